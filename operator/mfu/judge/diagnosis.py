"""Why a workload is below its expectation, and where that is met, what in the declaration keeps it low: named causes with evidence.

While nothing is observed: why the expectation is below the peak.
"""

from collections.abc import Sequence

from mfu.estimate.result import Estimate
from mfu.estimate.search import Change
from mfu.estimate.workload import Workload
from mfu.judge.assessment import Cause, CauseShare
from mfu.judge.counters import Departure, departure
from mfu.judge.evidence import cache_is_full, losses
from mfu.judge.residual import Pointer, memory_pointers, pointers, waiting_ratio
from mfu.judge.structure import avoidable, structural
from mfu.judge.waterfall import Loss, remaining_speed, shares
from mfu.missing import Missing
from mfu.observe.accounting import overcounted
from mfu.observe.observation import Observation
from mfu.observe.troubles import LINK_ERRORS_PER_SECOND
from mfu.place.assess import Spread

__all__ = ["diagnose"]

_HEALTHY_RATIO = 0.88
_CLEAR_WAITING = 0.12
_WAITING_RATIO = 0.95
_WIDE_DOUBT = 1.3
_WIDER_DOUBT = 1.7
_SLOWER_RATIO = 0.93  # what an estimated loss needs to be believed
_SEEN_RATIO = 0.91
_LEAST_LOSS = 0.07
_LEAST_MEASURED_LOSS = 0.08
_LEAST_SHARE = 0.05
_MOST_CAUSES = 5


def diagnose(
    workload: Workload,
    estimate: Estimate | Missing,
    observation: Observation | Missing,
    spread: Spread | Missing,
    changes: Sequence[Change] = (),
) -> tuple[CauseShare, ...]:
    """Causes, largest first; their shares of the gap add up to at most 1. Empty: healthy, or nothing is known to judge by.

    `changes`: what was tried through the estimator, to tell what of the declared intent could be done without.
    """
    if isinstance(estimate, Missing):
        return ()
    if isinstance(observation, Missing) or isinstance(observation.mfu_ratio, Missing):
        return _largest(_joined(structural(workload, estimate)))
    contradiction = overcounted(workload, observation)
    if contradiction is not None:
        return (CauseShare(cause=Cause.WRONG_DECLARATION, share_ratio=1.0, evidence=contradiction),)
    departed = departure(workload, estimate, observation)
    found = _credible(losses(workload, estimate, observation, spread, departed), departed)
    observed = observation.mfu_ratio
    # A measured loss is there even where the expectation, which may be off, is met: without it the workload would be above.
    reachable = max(estimate.mfu_ratio, observed / remaining_speed([loss for loss in found if loss.measured]))
    measured = shares(found, speed_ratio=observed / reachable) if found else ()
    rest = 1.0 - sum(share.share_ratio for share in measured)
    apart = not isinstance(spread, Missing) and spread.groups_inside is False
    left = float((observed / reachable) ** rest)  # of the speed, by what the measured causes leave over
    pointed: tuple[Pointer, ...] = ()
    if rest >= _LEAST_SHARE and not _is_within_doubt(left, workload, observation, estimate, departed, apart=apart):
        pointed = pointers(workload, estimate, observation, spread, departed)
    elif rest >= _LEAST_SHARE and left < _SEEN_RATIO and not found:
        # Memory traffic is counted: it needs no clear gap to be seen.
        pointed = memory_pointers(workload, estimate, observation.evidence, departed)
    measured = (
        *measured,
        *(CauseShare(cause=each.cause, share_ratio=rest * each.weight, evidence=each.evidence) for each in pointed),
    )
    return _largest(_joined(measured)) or _largest(_joined(avoidable(workload, estimate, changes)))


def _credible(found: Sequence[Loss], departed: Departure) -> list[Loss]:
    slower = departed.speed_ratio < _SLOWER_RATIO
    return [
        loss for loss in found if loss.lost_ratio >= (_LEAST_MEASURED_LOSS if loss.measured else _LEAST_LOSS) and (slower or loss.measured)
    ]


def _is_within_doubt(
    left: float, workload: Workload, observation: Observation, estimate: Estimate, departed: Departure, *, apart: bool
) -> bool:
    """Whether what the measured causes leave over is no more than the expectation itself may be off.

    `apart`: groups are known to cross more borders than they need.
    """
    errors = (observation.evidence.link_errors_per_second or 0.0) > LINK_ERRORS_PER_SECOND
    if apart or errors or cache_is_full(observation.evidence):
        return left >= _SLOWER_RATIO  # something is known to be wrong that costs speed
    low = estimate.interval.low_ratio / estimate.mfu_ratio
    waited = waiting_ratio(estimate, observation.evidence, departed)
    # Counters that show devices waiting need no clear gap, counters that show them at work need a very clear one.
    if waited is not None and waited >= _CLEAR_WAITING:
        return left >= _WAITING_RATIO
    # The interval holds four of five: a power of its end holds more.
    return left >= min(
        _HEALTHY_RATIO, float(low ** (_WIDE_DOUBT if waited is None and not workload.architecture.has_experts else _WIDER_DOUBT))
    )


def _joined(found: tuple[CauseShare, ...]) -> tuple[CauseShare, ...]:
    """One entry a cause: shares added, the evidence of the largest."""
    by_cause: dict[Cause, CauseShare] = {}
    for share in sorted(found, key=lambda each: -each.share_ratio):
        first = by_cause.setdefault(share.cause, share)
        if first is not share:
            by_cause[share.cause] = CauseShare(
                cause=share.cause,
                share_ratio=min(1.0, first.share_ratio + share.share_ratio),
                evidence=first.evidence,
                expected=first.expected,
            )
    return tuple(by_cause.values())


def _largest(found: tuple[CauseShare, ...]) -> tuple[CauseShare, ...]:
    total = max(1.0, sum(share.share_ratio for share in found))
    ordered = sorted(
        (
            CauseShare(cause=share.cause, share_ratio=share.share_ratio / total, evidence=share.evidence, expected=share.expected)
            for share in found
            if share.share_ratio >= _LEAST_SHARE
        ),
        key=lambda share: (-share.share_ratio, share.cause),
    )
    return tuple(ordered[:_MOST_CAUSES])
