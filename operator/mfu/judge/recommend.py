"""Recommendations: changes that were tried through the estimator, with what each would reach and save."""

from collections.abc import Iterable

from mfu.estimate.result import Estimate
from mfu.estimate.search import Change, rate
from mfu.judge.assessment import Cost, Recommendation
from mfu.judge.wording import percent
from mfu.missing import Missing

__all__ = ["recommend"]

_WORTH_RATIO = 1.03  # below this a restart costs more attention than it gives


def recommend(changes: Iterable[Change], base: Estimate, cost: Cost, limit: int = 3) -> tuple[Recommendation, ...]:
    """The best `limit` changes that are worth a restart, most tokens for each accelerator first.

    What a change saves is the hourly cost of the accelerators that the same tokens would no longer need; where the base does not run at all
    (it does not fit in memory) nothing is saved, but something runs.
    """
    before = rate(base) if base.memory.fits else 0.0
    found = []
    for change in changes:
        after = rate(change.estimate)
        if after <= 0.0 or after < _WORTH_RATIO * before:
            continue
        saved = cost.per_hour if isinstance(cost.per_hour, Missing) else cost.per_hour * (1.0 - before / after if before else 0.0)
        found.append(
            Recommendation(
                field_path=change.field_path,
                old=change.old,
                new=change.new,
                expected_mfu_ratio=change.estimate.mfu_ratio,
                saves_dollars_per_hour=saved,
                note=_note(change, base),
            )
        )
    return tuple(found[:limit])


def _note(change: Change, base: Estimate) -> str:
    if not base.memory.fits:
        return "makes it fit in memory"
    faster = rate(change.estimate) / rate(base)
    low, high = change.estimate.interval.low_ratio, change.estimate.interval.high_ratio
    return f"{faster:.2f} times the tokens per second, expected MFU between {percent(low)} and {percent(high)}; needs a restart"
