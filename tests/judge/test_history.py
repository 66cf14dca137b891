"""The record of one workload: levels, changes and points of the past, from look to look."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import pytest

from mfu.judge.assessment import Drift
from mfu.judge.change import Setup
from mfu.judge.drift import with_own
from mfu.judge.history import DAY_SECONDS, UNRECORDED, Look, Record, advance, frozen, own_drift
from mfu.judge.policy import DriftRule
from tests.judge.cases import NOW, unknown

RULE = DriftRule(tolerance_ratio=0.10, for_seconds=600.0, recover_seconds=300.0)
TICK = 30.0
OLD = Setup(image="train:1", nodes="gpu-1", spec="a", leaves=(("training.globalBatchSize", "64"),))
START = float(int(NOW // DAY_SECONDS) * DAY_SECONDS)


def run(
    record: Record,
    seconds: float,
    observed: float,
    *,
    setup: Setup = OLD,
    start: float | None = None,
    expected: float = 0.4,
    load: float = 1.0,
) -> Record:
    begin = start if start is not None else (START if record.seen_seconds is None else record.seen_seconds + TICK)
    for number in range(round(seconds / TICK)):
        look = Look(
            at_seconds=begin + number * TICK, observed_ratio=observed, expected_ratio=expected, declared_ratio=expected, load_ratio=load
        )
        record = advance(record, look, setup, RULE)
    return record


STABLE = run(UNRECORDED, 13 * 3600, 0.38)


def test_a_fall_from_the_own_level_is_drift_although_the_expectation_allows_it() -> None:
    record = run(STABLE, 900, 0.33)
    own = own_drift(record)
    assert own is not None and own.drifting and own.change == ""
    assert own.ratio == pytest.approx(0.33 / 0.38 - 1) and own.level_ratio == pytest.approx(0.38)


def test_the_change_that_came_with_the_fall_is_named() -> None:
    record = run(STABLE, 900, 0.33, setup=replace(OLD, image="train:2"))
    own = own_drift(record)
    assert own is not None and own.drifting and own.change == "image train:1 → train:2"
    assert record.epoch is not None and record.epoch.change == own.change


def test_a_change_without_a_fall_is_remembered_and_nothing_else() -> None:
    record = run(STABLE, 900, 0.38, setup=replace(OLD, image="train:2"))
    assert not record.deviation.drifting and record.epoch is not None and "train:2" in record.epoch.change


def test_an_old_change_is_not_blamed_for_a_new_fall() -> None:
    record = run(run(STABLE, 10_000, 0.38, setup=replace(OLD, image="train:2")), 900, 0.33, setup=replace(OLD, image="train:2"))
    own = own_drift(record)
    assert own is not None and own.drifting and own.change == ""


def test_a_rollout_that_flickers_is_no_change() -> None:
    record = STABLE
    for _ in range(10):
        record = run(run(record, 60, 0.38, setup=replace(OLD, nodes="gpu-1, gpu-2")), 60, 0.38)
    assert record.epoch == STABLE.epoch


def test_a_slow_decay_is_found() -> None:
    record, observed = STABLE, 0.38
    for _ in range(60):
        observed *= 0.997
        record = run(record, 3600, observed)
    assert record.deviation.drifting


def test_what_another_intent_costs_by_its_own_expectation_is_no_drift() -> None:
    smaller = replace(OLD, spec="b", leaves=(("training.globalBatchSize", "8"),))
    record = run(STABLE, 1500, 0.19, setup=smaller, expected=0.2)
    assert not record.deviation.drifting
    assert record.epoch is not None and record.epoch.change == "training.globalBatchSize 64 → 8"


def test_falling_short_of_a_better_expectation_without_becoming_slower_is_no_drift() -> None:
    better = replace(OLD, spec="b", leaves=(("training.globalBatchSize", "128"),))
    assert not run(STABLE, 1500, 0.38, setup=better, expected=0.6).deviation.drifting


def test_another_intent_that_is_slower_than_both_allow_is_drift() -> None:
    other = replace(OLD, spec="b", leaves=(("training.globalBatchSize", "128"),))
    own = own_drift(run(STABLE, 1200, 0.25, setup=other))
    assert own is not None and own.drifting and own.change == "training.globalBatchSize 64 → 128"


def test_after_half_a_day_another_intent_is_held_to_its_own_level() -> None:
    other = replace(OLD, spec="b", leaves=(("training.globalBatchSize", "128"),))
    record = run(STABLE, 13 * 3600, 0.30, setup=other, expected=0.36)
    assert record.level_setup.spec == "b" and not record.deviation.drifting
    own = own_drift(run(record, 900, 0.26, setup=other, expected=0.36))
    assert own is not None and own.drifting and own.level_ratio == pytest.approx(0.30, rel=0.01)


def test_an_accepted_level_is_the_new_normal() -> None:
    fallen = run(STABLE, 900, 0.33)
    accepted = replace(OLD, accepted="the new data set")
    record = run(fallen, 4000, 0.33, setup=accepted)
    assert not record.deviation.drifting and record.levels.top == pytest.approx(-0.1924, abs=0.001)


def test_another_model_starts_from_nothing() -> None:
    other = Setup(spec="c", leaves=(("model.catalog", "other"),))
    assert run(STABLE, 300, 0.1, setup=other).levels.top is None


def test_silence_freezes_and_what_has_just_started_is_not_judged() -> None:
    record = frozen(STABLE)
    assert own_drift(record) is None and record.levels == STABLE.levels
    start = START + 14 * 3600
    started = run(record, 180, 0.01, start=start)
    assert started.deviation.since_seconds is None
    assert run(started, 900, 0.33).deviation.drifting


def test_the_replicas_level_depends_on_its_load() -> None:
    day, night = run(UNRECORDED, 13 * 3600, 0.38), 0.30
    record = run(day, 13 * 3600, night, load=0.25)
    assert not record.deviation.drifting, "the night has its own level"
    assert run(record, 900, 0.33, load=1.0).deviation.drifting
    assert run(record, 900, night * 0.88, load=0.25).deviation.drifting


def test_a_load_too_small_to_judge_by_is_silence() -> None:
    assert run(STABLE, 3600, 0.001, load=0.01).deviation.since_seconds is None


def test_a_standstill_is_drift() -> None:
    own = own_drift(run(STABLE, 900, 0.0))
    assert own is not None and own.drifting and own.ratio == pytest.approx(-1.0, abs=1e-5)


def test_seven_days_are_kept() -> None:
    record = UNRECORDED
    for day in range(10):
        record = run(record, 3600, 0.30 + 0.001 * day, start=START + day * DAY_SECONDS)
    assert record.days == pytest.approx([0.302, 0.303, 0.304, 0.305, 0.306, 0.307, 0.308])


def test_the_expectation_has_the_first_word_and_the_own_level_the_second() -> None:
    own = own_drift(run(STABLE, 900, 0.33, setup=replace(OLD, image="train:2")))
    fine = Drift(ratio=-0.1, drifting=False, since_seconds=None, baseline="Expected")
    both = with_own(replace(fine, drifting=True, since_seconds=NOW), own)
    alone = with_own(fine, own)
    assert isinstance(both, Drift) and isinstance(alone, Drift)
    assert (both.baseline, both.change) == ("Expected", "image train:1 → train:2")
    assert (alone.baseline, alone.drifting, alone.change) == ("OwnLevel", True, "image train:1 → train:2")
    assert with_own(fine, own_drift(STABLE)) == replace(fine, level_ratio=0.4 * exp(STABLE.levels.top or 0.0))
    assert with_own(unknown(), own) == unknown()
