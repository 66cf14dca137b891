"""One thing that is wrong with a declared object: where, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from mfu.errors import IntentError

__all__ = ["Problem", "raise_first"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """`path`: the field in the object ("spec.training.parallelism.tensor"); `message`: one line that says what must hold."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def raise_first(problems: Sequence[Problem]) -> None:
    """Raise IntentError for the first problem, with the others behind it in one line; nothing when there is none."""
    if not problems:
        return
    first, *others = problems
    more = "".join(f"; {other}" for other in others[:4]) + (f"; and {len(others) - 4} more" if len(others) > 4 else "")
    raise IntentError(first.path, first.message + more)
