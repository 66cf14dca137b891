"""Splitting a slowdown among causes that multiply."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from mfu.judge.assessment import Cause, CauseShare

__all__ = ["Loss", "shares"]

_LEAST_SPEED = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A cause that alone would leave the workload at `1 − lost_ratio` of its expected speed."""

    cause: Cause
    lost_ratio: float
    evidence: str


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
