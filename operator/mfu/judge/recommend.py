"""Recommendations: changes that were tried through the estimator, with what each would reach, save and cost."""

from collections.abc import Iterable
from math import ceil, log

from mfu.estimate.result import Estimate, ServingRates
from mfu.estimate.search import Change, rate
from mfu.estimate.workload import Inference, Workload
from mfu.judge.assessment import Cost, Recommendation
from mfu.judge.baseline import with_load
from mfu.judge.economics import expected_tokens_per_second
from mfu.judge.wording import gibibytes
from mfu.missing import Missing
from mfu.observe.observation import Observation

__all__ = ["consolidate", "recommend"]

_WORTH_RATIO = 1.03  # below this a restart costs more attention than it gives
_SURE_RATIO = 2.0  # gain over half the interval, in logarithms: relative errors of two estimates are smaller than absolute ones
_LIKELY_RATIO = 0.75
_NOTICED_LATENCY_RATIO = 1.1
_NOTICED_MEMORY_RATIO = 0.05
# Changes of what is computed, not only of how: results have to be looked at.
_CHANGES_RESULTS = ("precision.", "training.globalBatchSize")
_SECONDS_PER_HOUR = 3600.0


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
        tokens = expected_tokens_per_second(change.workload, change.estimate)
        hourly = _hourly(change.workload)
        found.append(
            Recommendation(
                field_path=change.field_path,
                old=change.old,
                new=change.new,
                expected_mfu_ratio=change.estimate.mfu_ratio,
                saves_dollars_per_hour=saved,
                note="" if base.memory.fits else "makes it fit in memory",
                speed_ratio=after / before if before else 1.0,
                low_mfu_ratio=change.estimate.interval.low_ratio,
                high_mfu_ratio=change.estimate.interval.high_ratio,
                tokens_per_second=tokens,
                dollars_per_hour=hourly,
                dollars_per_million_tokens=_per_million(hourly, tokens),
                peak_ratio=change.estimate.peak_flops_per_second / base.peak_flops_per_second,
                price=_price(change, base),
                confidence=_confidence(change, base),
            )
        )
    return tuple(found[:limit])


def _hourly(workload: Workload) -> float | None:
    price = workload.fabric.accelerator.price_per_hour
    return None if price is None else price * workload.fabric.count


def _per_million(hourly: float | None, tokens: float) -> float | None:
    if hourly is None or tokens <= 0.0:
        return None
    return hourly / _SECONDS_PER_HOUR / tokens * 1e6


def _price(change: Change, base: Estimate) -> str:
    """What the change costs besides attention."""
    reached = change.estimate
    told = ["needs a restart"]
    more = reached.memory.required_bytes - base.memory.required_bytes
    if more > _NOTICED_MEMORY_RATIO * base.memory.capacity_bytes:
        told.append(f"{gibibytes(more)} more memory on each accelerator ({gibibytes(reached.memory.capacity_bytes)} there)")
    if isinstance(reached.rates, ServingRates) and isinstance(base.rates, ServingRates):
        old, new = base.rates.time_per_output_token_seconds, reached.rates.time_per_output_token_seconds
        if old > 0.0 and new > _NOTICED_LATENCY_RATIO * old:
            told.append(f"{new * 1e3:.0f} ms for each output token instead of {old * 1e3:.0f} ms")
    if change.field_path.startswith(_CHANGES_RESULTS):
        told.append("check the results" if change.field_path.startswith("precision.") else "check convergence")
    return ", ".join(told)


def _confidence(change: Change, base: Estimate) -> str:
    """How the gain compares with how far estimates of this kind are off."""
    reached = change.estimate
    if not base.memory.fits or rate(base) <= 0.0 or reached.mfu_ratio <= 0.0:
        return "medium"
    doubt = 0.5 * log(reached.interval.high_ratio / max(1e-9, reached.interval.low_ratio))
    sure = log(rate(reached) / rate(base)) / max(1e-9, doubt)
    return "high" if sure >= _SURE_RATIO else "medium" if sure >= _LIKELY_RATIO else "low"


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
        speed_ratio=replicas / fewer,
        low_mfu_ratio=loaded.interval.low_ratio,
        high_mfu_ratio=loaded.interval.high_ratio,
        price="less headroom for peaks",
        confidence="medium",
    )
