"""Splitting a slowdown among causes that multiply, and the way from peak over expected to observed in steps that add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from mfu.estimate.result import Bound, Estimate
from mfu.judge.assessment import Cause, CauseShare, Rung
from mfu.judge.wording import spoken
from mfu.missing import Missing
from mfu.observe.observation import Observation

__all__ = ["Loss", "remaining_speed", "shares", "waterfall"]

_LEAST_SPEED = 1e-3
_LEAST_RUNG = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A cause that alone would leave the workload at `1 − lost_ratio` of its expected speed.

    `measured`: the loss itself was measured, so that it is there whether or not the expectation is met.
    """

    cause: Cause
    lost_ratio: float
    evidence: str
    measured: bool = False


def remaining_speed(losses: Sequence[Loss]) -> float:
    """Speed left by all of them together."""
    speed = 1.0
    for loss in losses:
        speed *= 1.0 - min(1.0, max(0.0, loss.lost_ratio))
    return max(_LEAST_SPEED, speed)


def shares(losses: Sequence[Loss], *, speed_ratio: float) -> tuple[CauseShare, ...]:
    """Shares of the gap between full speed and `speed_ratio`.

    Slowdowns multiply, so their logarithms add up: a share is log(1 − loss) over log(speed). Where the causes explain more than the
    whole gap (they overlap) they are scaled down to it together.
    """
    whole = -log(min(1.0 - 1e-9, max(_LEAST_SPEED, speed_ratio)))
    parts = [-log(max(_LEAST_SPEED, 1.0 - min(1.0, max(0.0, loss.lost_ratio)))) / whole for loss in losses]
    scale = 1.0 / max(1.0, sum(parts))
    return tuple(
        CauseShare(cause=loss.cause, share_ratio=part * scale, evidence=loss.evidence)
        for loss, part in zip(losses, parts, strict=True)
        if part > 0.0
    )


def waterfall(estimate: Estimate | Missing, observation: Observation | Missing, diagnosis: Sequence[CauseShare]) -> tuple[Rung, ...]:
    """From the peak down to the observed MFU (to the expected one while nothing is observed); every rung is what is left after it.

    Down to the expectation a term of the step loses the share of its time, the arithmetic terms what they need beyond the peak's rate.
    From there on the causes lose their shares of the gap; what no cause explains has a rung of its own, and so has an observation above
    the expectation.
    """
    if isinstance(estimate, Missing) or estimate.step_seconds <= 0.0:
        return ()
    left = 1.0
    rungs = [Rung(name="peak", lost_ratio=0.0, left_ratio=1.0)]
    for name, lost in _expected_losses(estimate):
        left -= lost
        rungs.append(Rung(name=name, lost_ratio=lost, left_ratio=left))
    rungs.append(Rung(name="expected", lost_ratio=0.0, left_ratio=estimate.mfu_ratio))
    if isinstance(observation, Missing) or isinstance(observation.mfu_ratio, Missing):
        return tuple(rungs)
    left, gap = estimate.mfu_ratio, estimate.mfu_ratio - observation.mfu_ratio
    known = [share for share in diagnosis if not share.expected] if gap > 0.0 else []
    for share in known:
        left -= gap * share.share_ratio
        rungs.append(Rung(name=spoken(share.cause), lost_ratio=gap * share.share_ratio, left_ratio=left))
    # Always there, so that noise does not make it come and go.
    rest = "not explained" if known else "within doubt"
    rungs.append(Rung(name=rest, lost_ratio=left - observation.mfu_ratio, left_ratio=observation.mfu_ratio))
    rungs.append(Rung(name="observed", lost_ratio=0.0, left_ratio=observation.mfu_ratio))
    return tuple(rungs)


def _expected_losses(estimate: Estimate) -> list[tuple[str, float]]:
    """MFU lost to each term, largest first, arithmetic before the rest; together 1 − expected."""
    step = estimate.step_seconds
    lost = {term.name: term.seconds / step for term in estimate.terms if term.bound is not Bound.COMPUTE}
    arithmetic = {term.name: term.seconds / step for term in estimate.terms if term.bound is Bound.COMPUTE}
    # Seconds of arithmetic that are not the peak's own: what the other terms leave over.
    slow = 1.0 - estimate.mfu_ratio - sum(lost.values())
    total = sum(arithmetic.values())
    if slow < 0.0 or total <= 0.0:
        # Arithmetic runs beside the other terms: they share the loss by their time.
        scale = (1.0 - estimate.mfu_ratio) / max(1e-12, sum(lost.values()))
        lost = {name: share * scale for name, share in lost.items()}
    else:
        lost |= {f"{name} below peak": slow * share / total for name, share in arithmetic.items()}
    small = sum(share for share in lost.values() if share < _LEAST_RUNG)
    found = sorted(((spoken(name), share) for name, share in lost.items() if share >= _LEAST_RUNG), key=lambda item: -item[1])
    return [*found, ("other", small)] if small > 0.0 else found
