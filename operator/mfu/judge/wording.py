"""How figures read in one-line messages."""

import re

from mfu.estimate.result import Bound, Estimate, Term

__all__ = ["change_text", "dollars", "gibibytes", "main_cause", "percent", "spoken", "term_text"]


def percent(ratio: float) -> str:
    """`11.8%`; whole percentages without decimals."""
    text = f"{ratio * 100:.1f}"
    return (text.removesuffix(".0") if text.endswith(".0") else text) + "%"


def gibibytes(size_bytes: float) -> str:
    size = size_bytes / 2**30
    return f"{size:.0f} GiB" if size >= 100 else f"{size:.1f} GiB"


def dollars(amount: float) -> str:
    """`$112`, `$9.84`, `$0.0042`: three figures are enough for a person."""
    if abs(amount) >= 100:
        return f"${amount:,.0f}"
    return f"${amount:.2f}" if abs(amount) >= 0.1 or amount == 0 else f"${amount:.2g}"


def spoken(name: str) -> str:
    """`tensorParallel` → `tensor parallel`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()


def term_text(term: Term) -> str:
    """What a term of the step is called in a sentence."""
    name = spoken(term.name)
    return f"{name} communication" if term.bound is Bound.COMMUNICATION and name.endswith("parallel") else name


def main_cause(estimate: Estimate) -> str:
    """The largest part of the step that is not arithmetic, with its share; the largest part at all where everything is arithmetic."""
    step = estimate.step_seconds
    others = [term for term in estimate.terms if term.bound is not Bound.COMPUTE] or list(estimate.terms)
    if step <= 0.0 or not others:
        return f"{estimate.bound.value.lower()} bound"
    largest = max(others, key=lambda term: term.seconds)
    return f"{term_text(largest)} ({largest.seconds / step:.0%} of the step)"


def change_text(field_path: str, old: str, new: str) -> str:
    return f"{field_path} {old or 'unset'} → {new}"
