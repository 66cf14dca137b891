"""Searching through the estimator: the best single changes of a workload, and the smallest one that satisfies a condition."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from mfu.estimate.estimator import estimate
from mfu.estimate.result import Estimate, ServingRates, TrainingRates
from mfu.estimate.variant import Variant, variants
from mfu.estimate.workload import Workload
from mfu.missing import Missing

__all__ = ["Change", "Variant", "best_changes", "rate", "smallest_change", "variants"]

_WORTH_RATIO = 1.01  # a change that gains less is noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A single change and what it would reach."""

    field_path: str
    old: str
    new: str
    workload: Workload
    estimate: Estimate


def best_changes(workload: Workload, base: Estimate, limit: int = 3) -> tuple[Change, ...]:
    """Single changes that fit in memory and give more tokens per second and accelerator (or that fit where `base` does not), best first.

    A field appears once, with its best value.
    """
    found: dict[str, Change] = {}
    for variant in variants(workload):
        change = _changed(variant)
        if change is None or (base.memory.fits and rate(change.estimate) < _WORTH_RATIO * rate(base)):
            continue
        best = found.get(variant.field_path)
        if best is None or rate(change.estimate) > rate(best.estimate):
            found[variant.field_path] = change
    return tuple(sorted(found.values(), key=lambda change: -rate(change.estimate))[:limit])


def rate(result: Estimate) -> float:
    """Tokens per second and accelerator: trained, or output."""
    match result.rates:
        case TrainingRates() as training:
            return training.tokens_per_second_per_accelerator
        case ServingRates() as serving:
            return serving.output_tokens_per_second_per_accelerator or serving.total_tokens_per_second_per_accelerator


def smallest_change(workload: Workload, passes: Callable[[Estimate], bool]) -> Change | None:
    """The single change that alters least and whose estimate fits in memory and `passes`; None where no single change does.

    Least first: by the steps a variant takes (`Variant.steps`: tensor 16 → 8 before 16 → 2), among equals the best MFU.
    """
    for _, equals in groupby(sorted(variants(workload), key=_steps), key=_steps):
        found = [change for variant in equals if (change := _changed(variant)) is not None and passes(change.estimate)]
        if found:
            return max(found, key=lambda change: change.estimate.mfu_ratio)
    return None


def _steps(variant: Variant) -> int:
    return variant.steps


def _changed(variant: Variant) -> Change | None:
    """The variant estimated; None where it does not fit in memory or the accelerator lacks its precision."""
    result = estimate(variant.workload)
    if isinstance(result, Missing) or not result.memory.fits:
        return None
    return Change(field_path=variant.field_path, old=variant.old, new=variant.new, workload=variant.workload, estimate=result)
