"""Why a workload is below its expectation: named causes with evidence.

While nothing is observed: why the expectation is below the peak.
"""

from mfu.estimate.result import Bound, Estimate, ServingRates, Term
from mfu.estimate.workload import Inference, Workload
from mfu.judge.assessment import Cause, CauseShare
from mfu.judge.evidence import losses, unmeasured
from mfu.judge.waterfall import shares
from mfu.judge.wording import term_text
from mfu.missing import Missing
from mfu.observe.accounting import overcounted
from mfu.observe.observation import Observation
from mfu.place.assess import Spread

__all__ = ["diagnose"]

_HEALTHY_RATIO = 0.9
_LEAST_SHARE = 0.05
_MOST_CAUSES = 5
_ROOM_FOR_MORE = 2.0


def diagnose(
    workload: Workload, estimate: Estimate | Missing, observation: Observation | Missing, spread: Spread | Missing
) -> tuple[CauseShare, ...]:
    """Causes, largest first; their shares of the gap add up to at most 1. Empty: healthy, or nothing is known to judge by."""
    if isinstance(estimate, Missing):
        return ()
    if isinstance(observation, Missing) or isinstance(observation.mfu_ratio, Missing):
        return _structural(workload, estimate)
    contradiction = overcounted(workload, observation)
    if contradiction is not None:
        return (CauseShare(cause=Cause.WRONG_DECLARATION, share_ratio=1.0, evidence=contradiction),)
    observed = observation.mfu_ratio
    if observed >= _HEALTHY_RATIO * estimate.mfu_ratio or observed >= estimate.interval.low_ratio:
        return ()
    found = losses(workload, estimate, observation, spread)
    measured = shares(found, speed_ratio=observed / estimate.mfu_ratio)
    rest = 1.0 - sum(share.share_ratio for share in measured)
    if rest >= _LEAST_SHARE and not _is_within_doubt(rest, observed, estimate):
        cause, evidence = unmeasured(workload, estimate, observation, spread)
        measured = (*measured, CauseShare(cause=cause, share_ratio=rest, evidence=evidence))
    return _largest(_joined(measured))


def _is_within_doubt(rest: float, observed: float, estimate: Estimate) -> bool:
    """Whether what the measured causes leave over is no more than the expectation itself may be off."""
    left = float((observed / estimate.mfu_ratio) ** rest)
    return left >= estimate.interval.low_ratio / estimate.mfu_ratio


def _structural(workload: Workload, estimate: Estimate) -> tuple[CauseShare, ...]:
    """Shares of the time that the expectation is above the pure arithmetic, from the estimate's own terms."""
    step = estimate.step_seconds
    lost = step * (1.0 - estimate.mfu_ratio)
    if step <= 0.0 or lost <= 0.0:
        return ()
    found = []
    for term in estimate.terms:
        excess = term.seconds if term.ceiling_mfu_ratio is None else step * (1.0 - estimate.mfu_ratio / term.ceiling_mfu_ratio)
        if term.bound is Bound.COMPUTE or excess <= 0.0:
            continue
        cause, evidence = _cause(workload, estimate, term)
        found.append(CauseShare(cause=cause, share_ratio=min(1.0, excess / lost), evidence=evidence))
    return _largest(_joined(tuple(found)))


def _cause(workload: Workload, estimate: Estimate, term: Term) -> tuple[Cause, str]:
    evidence = f"{term_text(term)} takes {term.seconds / estimate.step_seconds:.0%} of the expected step"
    match term.bound:
        case Bound.COMMUNICATION:
            return Cause.COMMUNICATION, evidence
        case Bound.PIPELINE:
            return Cause.PIPELINE_BUBBLE, evidence
        case Bound.HOST:
            return Cause.HOST_BOUND, evidence
        case _:
            held = _held_by_memory(workload, estimate)
            if held is not None:
                return Cause.SMALL_BATCH, held
            return Cause.MEMORY_BOUND, evidence


def _held_by_memory(workload: Workload, estimate: Estimate) -> str | None:
    """Evidence that memory has room for far more requests than are in flight, or None."""
    if not isinstance(workload.job, Inference) or not isinstance(estimate.rates, ServingRates):
        return None
    cache = next((part.required_bytes for part in estimate.memory.parts if part.name == "kvCache"), 0.0)
    if cache <= 0.0:
        return None
    running = estimate.rates.concurrency
    room = running * (1.0 + max(0.0, estimate.memory.capacity_bytes - estimate.memory.required_bytes) / cache)
    return f"{running} requests in flight where memory holds about {room:.0f}" if room >= _ROOM_FOR_MORE * running else None


def _joined(found: tuple[CauseShare, ...]) -> tuple[CauseShare, ...]:
    """One entry a cause: shares added, the evidence of the largest."""
    by_cause: dict[Cause, CauseShare] = {}
    for share in sorted(found, key=lambda each: -each.share_ratio):
        first = by_cause.setdefault(share.cause, share)
        if first is not share:
            by_cause[share.cause] = CauseShare(
                cause=share.cause, share_ratio=first.share_ratio + share.share_ratio, evidence=first.evidence
            )
    return tuple(by_cause.values())


def _largest(found: tuple[CauseShare, ...]) -> tuple[CauseShare, ...]:
    ordered = sorted((share for share in found if share.share_ratio >= _LEAST_SHARE), key=lambda share: (-share.share_ratio, share.cause))
    return tuple(ordered[:_MOST_CAUSES])
