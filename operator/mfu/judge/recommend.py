"""Recommendations: changes that were tried through the estimator, with what each would reach and save."""

from collections.abc import Iterable
from math import ceil

from mfu.estimate.result import Estimate, ServingRates
from mfu.estimate.search import Change, rate
from mfu.estimate.workload import Inference, Workload
from mfu.judge.assessment import Cost, Recommendation
from mfu.judge.baseline import with_load
from mfu.judge.wording import percent
from mfu.missing import Missing
from mfu.observe.observation import Observation

__all__ = ["consolidate", "recommend"]

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


def consolidate(workload: Workload, estimate: Estimate, observation: Observation, cost: Cost) -> Recommendation | None:
    """Fewer replicas for the requests that really come, each loaded as declared at most; None where every replica has enough to do.

    More requests for each replica is what no change of the declaration can bring about.
    """
    running = observation.evidence.running_requests
    replicas = observation.accelerators // max(1, workload.fabric.count)
    if not isinstance(workload.job, Inference) or not isinstance(estimate.rates, ServingRates) or running is None or replicas < 2:
        return None
    fewer = max(1, ceil(running * replicas / estimate.rates.concurrency))
    loaded = with_load(workload, observation, running * replicas / fewer)
    if fewer >= replicas or loaded is None:
        return None
    return Recommendation(
        field_path="replicas",
        old=str(replicas),
        new=str(fewer),
        expected_mfu_ratio=loaded.mfu_ratio,
        saves_dollars_per_hour=cost.per_hour if isinstance(cost.per_hour, Missing) else cost.per_hour * (1.0 - fewer / replicas),
        note=f"{running:.0f} requests in flight for each replica; together they load {fewer} as declared; keep headroom for peaks",
    )
