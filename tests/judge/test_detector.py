"""The own level and the watch on it: learned once, anchored, and blind to scale, to a constant error and to what passes."""

from __future__ import annotations

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.judge.detector import (
    BANDS,
    NO_LEVELS,
    SETTLED_BLOCKS,
    Levels,
    anchored,
    band_of,
    hour_at,
    level_at,
    observe_level,
    watch,
    woken,
)
from mfu.judge.deviation import UNTRACKED, DriftState
from mfu.judge.policy import DriftRule

RULE = DriftRule(tolerance_ratio=0.10, for_seconds=600.0, recover_seconds=300.0)
TICK = 30.0
HALF_DAY = SETTLED_BLOCKS * 20


def learned(*runs: tuple[float, int], levels: Levels = NO_LEVELS, band: int = 0, suspect: bool = False) -> Levels:
    """Looks of 30 s: each run is a logarithm and how many of it."""
    for value, count in runs:
        for _ in range(count):
            levels = observe_level(levels, band, value, TICK, suspect=suspect)
    return levels


def watched(looks: list[float], level: float = 0.0, *, state: DriftState = UNTRACKED, rule: DriftRule = RULE) -> list[bool]:
    drifting = []
    for number, value in enumerate(looks):
        state = watch(state, level, None, value, rule, 1000.0 + number * TICK)
        drifting.append(state.drifting)
    return drifting


class TestLevel:
    def test_it_is_known_after_half_an_hour_and_not_before(self) -> None:
        assert level_at(learned((0.1, 59)), 1.0) is None
        assert level_at(learned((0.1, 60)), 1.0) == 0.1

    def test_a_few_bad_looks_do_not_move_it(self) -> None:
        assert level_at(learned((0.1, 20), (-5.0, 8), (0.1, 40)), 1.0) == 0.1

    def test_it_follows_the_median_for_half_a_day_and_is_anchored_then(self) -> None:
        young = learned((0.10, 60), (0.05, 200))
        assert level_at(young, 1.0) == 0.05 and not young.is_settled
        settled = learned((0.05, HALF_DAY))
        assert settled.is_settled
        assert level_at(learned((0.0, 10 * HALF_DAY), levels=settled), 1.0) == 0.05

    def test_a_slow_decay_does_not_move_it(self) -> None:
        levels = learned((0.0, HALF_DAY))
        for step in range(200):
            levels = learned((-0.001 * step, 60), levels=levels)
        assert level_at(levels, 1.0) == 0.0

    def test_half_a_day_that_is_clearly_better_raises_it_but_not_by_all_of_that(self) -> None:
        levels = learned((0.0, HALF_DAY))
        assert level_at(learned((0.03, HALF_DAY), levels=levels), 1.0) == 0.0
        assert level_at(learned((0.10, 2 * HALF_DAY), levels=levels), 1.0) == pytest.approx(0.08)

    def test_suspect_looks_teach_nothing(self) -> None:
        assert level_at(learned((0.0, 600), suspect=True), 1.0) is None

    def test_an_anchored_level_is_never_lowered_by_what_follows(self) -> None:
        levels = anchored(learned((0.0, 60)))
        assert level_at(learned((-0.05, 3 * HALF_DAY), levels=levels), 1.0) == 0.0

    def test_the_last_hour_is_known_besides(self) -> None:
        levels = learned((0.0, HALF_DAY), (0.03, 120))
        assert (level_at(levels, 1.0), hour_at(levels, 1.0)) == (0.0, 0.03)
        assert hour_at(woken(levels), 1.0) == 0.03
        assert hour_at(learned((0.0, 40)), 1.0) is None

    def test_it_is_bounded_however_long_it_is_fed(self) -> None:
        band = learned((0.01, 5 * HALF_DAY)).bands[0]
        assert len(band.blocks) <= SETTLED_BLOCKS and len(band.looks) <= 21


class TestLoad:
    def test_every_load_has_a_band_except_the_smallest(self) -> None:
        assert [band_of(load) for load in (1.0, 0.5, 0.25, 0.12, 0.07)] == list(range(BANDS))
        assert band_of(0.02) is None

    def test_between_two_octaves_the_level_is_a_straight_line(self) -> None:
        levels = learned((-0.2, 60), levels=learned((0.0, 60)), band=1)
        middle, edge = level_at(levels, 0.502), level_at(levels, 0.7099)
        assert middle is not None and middle == pytest.approx(-0.2, abs=0.002)
        assert edge is not None and edge == pytest.approx(-0.1, abs=0.002)

    def test_a_load_that_was_never_seen_has_no_level(self) -> None:
        assert level_at(learned((0.0, 60)), 0.5) is None
        assert level_at(learned((0.0, 60)), 0.01) is None


class TestWatch:
    def test_a_fall_as_deep_as_the_tolerance_is_found_in_the_policys_time(self) -> None:
        fallen = watched([log(0.9)] * 40)
        assert fallen.index(True) == 20  # the first look starts the clock

    def test_a_fall_of_half_the_tolerance_is_none(self) -> None:
        assert not any(watched([log(0.95)] * 1000))

    def test_a_dip_that_is_over_in_time_is_none_however_deep(self) -> None:
        assert not any(watched(([-9.0] * 18 + [0.0] * 20) * 20))

    def test_drift_ends_after_the_recovery_time_well_within_the_tolerance(self) -> None:
        state = UNTRACKED
        for number in range(30):
            state = watch(state, 0.0, None, -0.3, RULE, number * TICK)
        assert state.drifting
        assert all(watched([log(0.94)] * 100, state=state)), "hovering near the threshold ends nothing"
        ended = watched([log(0.97)] * 13, state=DriftState(drifting=True, since_seconds=0.0, last_seconds=1000.0))
        assert ended.index(False) == 10

    def test_a_sudden_fall_from_a_good_hour_is_found_where_the_level_alone_would_not_tell(self) -> None:
        state = UNTRACKED
        for number in range(40):
            state = watch(state, 0.0, 0.04, 0.04 + log(0.9), RULE, number * TICK)
        assert state.drifting
        assert not any(watched([0.04 + log(0.9)] * 25))

    @given(st.floats(-3.0, 3.0), st.lists(st.floats(-0.02, 0.02), max_size=80))
    def test_a_constant_series_with_small_noise_never_drifts(self, constant: float, noise: list[float]) -> None:
        assert not any(watched([constant + each for each in noise], constant))

    @given(st.floats(-3.0, 3.0), st.lists(st.floats(-1.0, 0.2), max_size=80))
    def test_scale_plays_no_part(self, shift: float, looks: list[float]) -> None:
        rounded = [round(each, 3) for each in looks]
        assert watched(rounded) == watched([each + round(shift) for each in rounded], float(round(shift)))

    @given(st.lists(st.tuples(st.floats(-0.5, 0.1), st.floats(0.0, 0.5)), max_size=80))
    def test_a_deeper_fall_is_never_found_later(self, looks: list[tuple[float, float]]) -> None:
        shallow, deep = watched([value for value, _ in looks]), watched([value - more for value, more in looks])
        first = shallow.index(True) if True in shallow else None
        assert first is None or any(deep[: first + 1])
