"""Trends: means by accelerator time, week over week, and sums that survive a clock that is set back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.judge.trend import Direction, Ledger, Point, Tick, Trend, advance, compare, slope_per_day, time_mean, week_over_week
from mfu.missing import Missing, Reason

DAY = 86_400.0
NOW = 30 * DAY


def hourly(value: float, start: float, end: float, weight: float = 1.0) -> list[Point]:
    return [Point(at_seconds=at * 3600.0, value=value, weight=weight) for at in range(int(start // 3600), int(end // 3600))]


def test_a_mean_is_weighted_by_accelerators_and_by_time() -> None:
    # 0.4 on 8 accelerators for 300 s and 0.1 on 24 for 100 s: (960 + 240) / (2400 + 2400).
    points = [
        Point(at_seconds=0, value=0.4, weight=8),
        Point(at_seconds=300, value=0.1, weight=24),
        Point(at_seconds=400, value=0, weight=0),
    ]
    assert time_mean(points, start_seconds=0, end_seconds=400) == pytest.approx(0.25)


def test_only_what_lies_in_the_window_counts() -> None:
    points = [Point(at_seconds=0, value=0.4), Point(at_seconds=300, value=0.1), Point(at_seconds=600, value=0.9)]
    assert time_mean(points, start_seconds=200, end_seconds=400) == pytest.approx(0.25)


def test_a_hole_in_the_series_is_not_filled() -> None:
    # The first value holds for the longest gap of 600 s, not for the day until the next.
    points = [Point(at_seconds=0, value=0.2), Point(at_seconds=DAY, value=0.4)]
    assert time_mean(points, start_seconds=0, end_seconds=DAY + 600) == pytest.approx(0.3)


def test_a_step_backwards_counts_as_no_time() -> None:
    points = [Point(at_seconds=1000, value=0.9), Point(at_seconds=100, value=0.2), Point(at_seconds=400, value=0.4)]
    assert time_mean(points, start_seconds=0, end_seconds=700) == pytest.approx(0.3)


def test_nothing_recorded_is_unknown() -> None:
    found = time_mean([], start_seconds=0, end_seconds=DAY)
    assert isinstance(found, Missing) and found.reason is Reason.TELEMETRY_MISSING


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [
        pytest.param(0.30, 0.36, Direction.IMPROVING, id="a fifth better"),
        pytest.param(0.30, 0.24, Direction.FALLING, id="a fifth worse"),
        pytest.param(0.30, 0.303, Direction.STEADY, id="within noise"),
    ],
)
def test_the_last_week_is_compared_with_the_one_before(before: float, after: float, direction: Direction) -> None:
    points = [*hourly(before, NOW - 14 * DAY, NOW - 7 * DAY), *hourly(after, NOW - 7 * DAY, NOW)]
    found = week_over_week(points, now=NOW, longest_gap_seconds=3600.0)
    assert isinstance(found, Trend) and found.direction is direction and found.change_ratio == pytest.approx(after / before - 1)


def test_one_week_of_history_has_no_trend() -> None:
    assert isinstance(week_over_week(hourly(0.3, NOW - 7 * DAY, NOW), now=NOW), Missing)


def test_new_hardware_is_judged_by_the_time_before_and_after_it() -> None:
    points = [*hourly(0.25, 0, 2 * DAY), *hourly(0.35, 2 * DAY, 4 * DAY)]
    found = compare(points, at_seconds=2 * DAY, window_seconds=2 * DAY, longest_gap_seconds=3600.0)
    assert isinstance(found, Trend) and (found.before, found.after) == pytest.approx((0.25, 0.35))


def test_the_slope_is_not_moved_by_one_outlier() -> None:
    points = [Point(at_seconds=day * DAY, value=0.30 + 0.01 * day) for day in range(10)]
    points[4] = Point(at_seconds=4 * DAY, value=99.0)
    assert slope_per_day(points) == pytest.approx(0.01)
    assert isinstance(slope_per_day(points[:1]), Missing)


def tick(revenue: int = 3_600_000, gap: int = 1_000_001) -> Tick:
    return Tick(
        accelerators=8, useful_flops_per_second=3e15, peak_flops_per_second=8e15, revenue_micros_per_hour=revenue, gap_micros_per_hour=gap
    )


def test_running_sums_grow_with_the_time_between_ticks() -> None:
    ledger = advance(advance(Ledger(), tick(), 100.0), tick(), 130.0)
    assert (ledger.accelerator_seconds, ledger.useful_flops / ledger.peak_flops, ledger.revenue_micros) == (240.0, 0.375, 30_000)


def test_a_clock_that_is_set_back_takes_nothing_away_and_invents_nothing() -> None:
    before = advance(advance(Ledger(), tick(), 1000.0), tick(), 1030.0)
    back = advance(before, tick(), 500.0)
    assert (back.accelerator_seconds, back.revenue_micros) == (before.accelerator_seconds, before.revenue_micros)
    assert advance(back, tick(), 530.0).accelerator_seconds == before.accelerator_seconds + 240.0


def test_a_long_silence_counts_no_more_than_the_longest_gap() -> None:
    ledger = advance(advance(Ledger(), tick(), 0.0), tick(), 10 * DAY)
    assert ledger.accelerator_seconds == 8 * 600.0


@given(st.lists(st.integers(1, 300_000), min_size=1, max_size=40))
def test_rounding_to_the_micro_never_loses_money(steps: list[int]) -> None:
    ledger, now = advance(Ledger(), tick(), 0.0), 0
    for milliseconds in steps:
        now += milliseconds
        ledger = advance(ledger, tick(), now / 1000.0)
    # The whole, divided once.
    assert ledger.gap_micros == 1_000_001 * now // 3_600_000
