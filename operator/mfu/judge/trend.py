"""Trends over series of fleet figures: means by accelerator time, week over week, before and after, and running sums from tick to tick.

Clocks are not trusted: a step backwards or a hole in a series counts as no time, never as negative or invented time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from mfu.missing import Missing, Reason

__all__ = ["Direction", "Ledger", "Point", "Tick", "Trend", "advance", "compare", "slope_per_day", "time_mean", "week_over_week"]

DAY = 86_400.0
WEEK = 7 * DAY
_LONGEST_GAP = 600.0
_STEADY_RATIO = 0.02  # a smaller change is noise of the measurement
_MOST_SLOPES = 200  # points that Theil–Sen looks at; its pairs grow with the square


class Direction(StrEnum):
    IMPROVING = "Improving"
    STEADY = "Steady"
    FALLING = "Falling"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A figure at a moment. `weight`: what it is weighted by, usually the peak FLOP/s or the accelerators that it speaks for."""

    at_seconds: float
    value: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """`change_ratio`: after ÷ before − 1."""

    direction: Direction
    change_ratio: float
    before: float
    after: float


def time_mean(
    points: Sequence[Point], *, start_seconds: float, end_seconds: float, longest_gap_seconds: float = _LONGEST_GAP
) -> float | Missing:
    """Mean of the values by weight × time: a point holds until the next one, but no longer than `longest_gap_seconds`.

    Points are in the order in which they were taken; what was taken after the clock was set back counts from its own time.
    """
    total = weight = 0.0
    for index, point in enumerate(points):
        following = points[index + 1].at_seconds if index + 1 < len(points) else point.at_seconds + longest_gap_seconds
        until = min(following, point.at_seconds + longest_gap_seconds, end_seconds)
        held = max(0.0, until - max(point.at_seconds, start_seconds))
        total += point.value * point.weight * held
        weight += point.weight * held
    if weight <= 0.0:
        return Missing(reason=Reason.TELEMETRY_MISSING, message="nothing was recorded in this time")
    return total / weight


def week_over_week(points: Sequence[Point], *, now: float, longest_gap_seconds: float = _LONGEST_GAP) -> Trend | Missing:
    """The last seven days against the seven days before them."""
    return compare(points, at_seconds=now - WEEK, window_seconds=WEEK, longest_gap_seconds=longest_gap_seconds)


def compare(
    points: Sequence[Point], *, at_seconds: float, window_seconds: float, longest_gap_seconds: float = _LONGEST_GAP
) -> Trend | Missing:
    """The mean of the window after `at_seconds` against that of the window before: did new hardware, an image or a driver change it?"""
    before = time_mean(points, start_seconds=at_seconds - window_seconds, end_seconds=at_seconds, longest_gap_seconds=longest_gap_seconds)
    after = time_mean(points, start_seconds=at_seconds, end_seconds=at_seconds + window_seconds, longest_gap_seconds=longest_gap_seconds)
    if isinstance(before, Missing):
        return before
    if isinstance(after, Missing):
        return after
    if before <= 0.0:
        return Missing(reason=Reason.NOT_APPLICABLE, message="the figure was zero before, so its change has no ratio")
    change = after / before - 1.0
    direction = Direction.STEADY
    if abs(change) >= _STEADY_RATIO:
        direction = Direction.IMPROVING if change > 0.0 else Direction.FALLING
    return Trend(direction=direction, change_ratio=change, before=before, after=after)


def slope_per_day(points: Sequence[Point]) -> float | Missing:
    """Change of the figure a day: the median slope of all pairs of points (Theil 1950, Sen 1968), which outliers do not move."""
    ordered = sorted(points, key=lambda point: point.at_seconds)
    stride = max(1, -(-len(ordered) // _MOST_SLOPES))
    taken = ordered[::stride]
    slopes = [
        (later.value - earlier.value) / (later.at_seconds - earlier.at_seconds) * DAY
        for index, earlier in enumerate(taken)
        for later in taken[index + 1 :]
        if later.at_seconds > earlier.at_seconds
    ]
    if not slopes:
        return Missing(reason=Reason.TELEMETRY_MISSING, message="fewer than two moments are recorded")
    return median(slopes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What the fleet (or a part of it) did at one moment: rates that hold until the next tick."""

    accelerators: float
    useful_flops_per_second: float
    peak_flops_per_second: float  # of the accelerators that the useful FLOPs were observed on
    revenue_micros_per_hour: int
    gap_micros_per_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Running sums since the beginning. `useful_flops` ÷ `peak_flops` is the MFU of the whole time, by FLOPs and accelerator time.

    Money is whole millionths; what dividing by the hour leaves over is carried along, so that rounding loses nothing.
    """

    last_seconds: float | None = None
    accelerator_seconds: float = 0.0
    useful_flops: float = 0.0
    peak_flops: float = 0.0
    revenue_micros: int = 0
    gap_micros: int = 0
    revenue_rest: int = 0
    gap_rest: int = 0


_MILLISECONDS_PER_HOUR = 3_600_000


def advance(ledger: Ledger, tick: Tick, now: float, *, longest_gap_seconds: float = _LONGEST_GAP) -> Ledger:
    """The ledger after the time since its last tick. The first tick, a clock that was set back, and what is beyond a gap add nothing."""
    elapsed = 0.0 if ledger.last_seconds is None else min(longest_gap_seconds, max(0.0, now - ledger.last_seconds))
    milliseconds = round(elapsed * 1000)
    revenue, revenue_rest = divmod(tick.revenue_micros_per_hour * milliseconds + ledger.revenue_rest, _MILLISECONDS_PER_HOUR)
    gap, gap_rest = divmod(tick.gap_micros_per_hour * milliseconds + ledger.gap_rest, _MILLISECONDS_PER_HOUR)
    return Ledger(
        last_seconds=now,
        accelerator_seconds=ledger.accelerator_seconds + tick.accelerators * elapsed,
        useful_flops=ledger.useful_flops + tick.useful_flops_per_second * elapsed,
        peak_flops=ledger.peak_flops + tick.peak_flops_per_second * elapsed,
        revenue_micros=ledger.revenue_micros + revenue,
        gap_micros=ledger.gap_micros + gap,
        revenue_rest=revenue_rest,
        gap_rest=gap_rest,
    )
