"""Drift: begins only after its time, ends only after its time, and silence changes nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mfu.judge.assessment import Drift, DriftState
from mfu.judge.drift import UNTRACKED, resume, track
from mfu.judge.policy import DriftRule
from mfu.missing import Missing, Reason
from tests.judge.cases import NOW, estimate, observed, unknown

RULE = DriftRule(tolerance_ratio=0.10, for_seconds=900.0, recover_seconds=300.0)
EXPECTED = estimate(0.40, low=0.36, high=0.44)
SILENCE = unknown(Reason.TELEMETRY_MISSING, "no tokens")
TICK = 30.0


def play(
    looks: list[float | None], *, state: DriftState = UNTRACKED, rule: DriftRule = RULE, start: float = NOW
) -> tuple[Drift | Missing, DriftState]:
    """Looks at every tick; None is silence."""
    drift: Drift | Missing = SILENCE
    for number, mfu in enumerate(looks):
        seen = SILENCE if mfu is None else observed(mfu)
        drift, state = track(state, seen, EXPECTED, rule, start + number * TICK)
    return drift, state


def known(drift: Drift | Missing) -> Drift:
    assert isinstance(drift, Drift)
    return drift


def test_a_lasting_drop_is_drift_once_the_policys_time_is_over() -> None:
    before, _ = play([0.30] * 30)  # 29 ticks of 30 s after the first look: 870 s
    after, _ = play([0.30] * 31)
    assert (known(before).drifting, known(after).drifting) == (False, True)
    assert known(after).ratio == 0.30 / 0.40 - 1
    assert known(after).since_seconds == NOW
    assert known(after).baseline == "Expected"


def test_below_the_tolerance_but_inside_the_interval_is_no_drift() -> None:
    wide = estimate(0.40, low=0.25, high=0.55)
    state = UNTRACKED
    for number in range(100):
        drift, state = track(state, observed(0.30), wide, RULE, NOW + number * TICK)
    assert not known(drift).drifting and known(drift).since_seconds is None


def test_below_the_interval_but_inside_the_tolerance_is_no_drift() -> None:
    narrow = estimate(0.40, low=0.395, high=0.405)
    state = UNTRACKED
    for number in range(100):
        drift, state = track(state, observed(0.37), narrow, RULE, NOW + number * TICK)
    assert not known(drift).drifting


def test_above_the_interval_is_no_drift() -> None:
    assert not known(play([0.60] * 100)[0]).drifting


def test_a_short_dip_is_forgotten() -> None:
    drift, state = play([0.30] * 10 + [0.40] * 11)
    assert known(drift).since_seconds is None and state.below_seconds == 0.0


def test_one_good_look_among_bad_ones_does_not_start_the_count_again() -> None:
    assert known(play([0.30] * 20 + [0.40] + [0.30] * 13)[0]).drifting


def test_an_even_mix_of_good_and_bad_looks_is_no_drift() -> None:
    assert not known(play([0.30, 0.40] * 500)[0]).drifting


def test_drift_ends_after_the_recovery_time_and_not_before() -> None:
    _, state = play([0.30] * 40)
    assert state.drifting
    later = NOW + 40 * TICK
    assert play([0.40] * 9, state=state, start=later)[1].drifting
    drift, _ = play([0.40] * 10, state=state, start=later)
    assert not known(drift).drifting and known(drift).since_seconds is None


def test_hovering_at_the_threshold_does_not_end_drift() -> None:
    _, state = play([0.30] * 40)
    assert play([0.361] * 100, state=state, start=NOW + 40 * TICK)[1].drifting


def test_silence_freezes_and_neither_heals_nor_harms() -> None:
    _, state = play([0.30] * 20)
    drift, frozen = play([None] * 200, state=state, start=NOW + 20 * TICK)
    assert drift == SILENCE
    assert (frozen.below_seconds, frozen.since_seconds, frozen.drifting) == (state.below_seconds, NOW, False)
    again, _ = play([0.30] * 12, state=frozen, start=NOW + 220 * TICK)
    assert known(again).drifting, "19 + 11 intervals of 30 s below are 900 s"
    earlier, _ = play([0.30] * 11, state=frozen, start=NOW + 220 * TICK)
    assert not known(earlier).drifting
    _, drifting = play([0.30] * 40)
    assert play([None] * 200, state=drifting, start=NOW + 40 * TICK)[1].drifting


def test_a_missing_expectation_or_figure_freezes_too() -> None:
    _, state = play([0.30] * 20)
    gone = unknown(Reason.UNKNOWN_MODEL)
    assert track(state, observed(0.3), gone, RULE, NOW + 700)[0] == gone
    blind = observed(unknown(Reason.TELEMETRY_STALE))
    drift, frozen = track(state, blind, EXPECTED, RULE, NOW + 700)
    assert drift == unknown(Reason.TELEMETRY_STALE) and frozen.below_seconds == state.below_seconds


def test_a_clock_that_steps_backwards_adds_nothing() -> None:
    _, state = play([0.30] * 20)
    _, stepped = track(state, observed(0.30), EXPECTED, RULE, NOW - 5000)
    assert stepped.below_seconds == state.below_seconds


def test_after_a_restart_drift_goes_on_from_the_status() -> None:
    state = resume(since_seconds=NOW - 600, drifting=False, now=NOW)
    drift, _ = play([0.30] * 11, state=state)
    assert known(drift).drifting and known(drift).since_seconds == NOW - 600
    assert resume(since_seconds=None, drifting=False, now=NOW) == UNTRACKED
    assert play([0.30], state=resume(since_seconds=NOW - 5000, drifting=True, now=NOW))[1].drifting


def test_without_a_waiting_time_the_first_bad_look_is_drift() -> None:
    assert known(play([0.30], rule=DriftRule(for_seconds=0.0))[0]).drifting


@given(st.lists(st.one_of(st.none(), st.floats(0.0, 1.0)), max_size=120))
def test_drift_needs_its_time_below_the_threshold(looks: list[float | None]) -> None:
    drift, state = play(looks)
    below = sum(TICK for mfu in looks if mfu is not None and mfu < 0.36)
    if state.drifting:
        assert below >= RULE.for_seconds
        assert state.since_seconds is not None
    if isinstance(drift, Drift):
        assert drift.drifting == state.drifting
    assert state.below_seconds >= 0.0


@given(st.lists(st.floats(0.3605, 1.0), max_size=120))
def test_a_workload_that_is_never_below_never_drifts(looks: list[float | None]) -> None:
    assert play(looks)[1].since_seconds is None
