"""The local calibration: shrunk, never led down, never led astray."""

from __future__ import annotations

from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.judge.calibration import ANCHORED_AFTER_SECONDS, Contribution, Correction, Where, calibrate, calibrated

WHERE = Where(accelerator="h100-sxm-80gb", software="vllm 0.11", family="llama")
DAY = 86_400.0


def seen(*ratios: float, where: Where = WHERE, origins: int = 100, at: float = 0.0) -> list[Contribution]:
    return [
        Contribution(where=where, origin=f"team-{number % origins}", log_ratio=ratio, learned_seconds=at)
        for number, ratio in enumerate(ratios)
    ]


def correction(contributions: list[Contribution], where: Where = WHERE) -> Correction:
    found = calibrate(contributions, (), 0.0).of(where)
    assert found is not None
    return found


def test_nothing_is_corrected_by_nothing() -> None:
    assert calibrate([], (), 0.0).of(WHERE) is None


def test_a_correction_is_drawn_towards_none_while_few_speak_for_it() -> None:
    sizes = [correction(seen(*[-0.2] * count)).log_ratio for count in (1, 2, 5, 20, 100)]
    assert sizes == sorted(sizes, reverse=True)
    assert -0.18 < sizes[0] < -0.05 and sizes[-1] == pytest.approx(-0.2, abs=0.01)


def test_the_interval_narrows_as_more_speak_for_it() -> None:
    widths = [correction(seen(*[-0.2, -0.18, -0.22] * count)).half_width for count in (1, 3, 10)]
    assert widths == sorted(widths, reverse=True)


def test_workloads_of_one_namespace_count_less() -> None:
    assert abs(correction(seen(*[-0.2] * 9, origins=1)).log_ratio) < abs(correction(seen(*[-0.2] * 9)).log_ratio)


def test_a_family_that_was_never_seen_gets_what_its_software_has_taught() -> None:
    other = Where(accelerator=WHERE.accelerator, software=WHERE.software, family="mixtral")
    found = correction(seen(-0.1, -0.1, -0.1) + seen(-0.1, -0.1, where=Where(**{**_parts(), "family": "qwen"})), other)
    assert -0.1 < found.log_ratio < 0.0
    assert calibrate(seen(-0.1), (), 0.0).of(Where(accelerator="l4-24gb", software=WHERE.software, family="llama")) is None


def test_a_broken_workload_does_not_move_it() -> None:
    honest = [-0.05, -0.04, -0.06, -0.05, -0.05]
    assert correction(seen(*honest, -2.0)).log_ratio == pytest.approx(correction(seen(*honest)).log_ratio, abs=1e-9)


def test_what_starts_later_can_raise_it_and_never_lower_it() -> None:
    first = calibrate(seen(*[0.0] * 6), (), 0.0)
    later = ANCHORED_AFTER_SECONDS + 30 * DAY
    slower = calibrate(seen(*[-0.1] * 6, at=later), first.anchors, later)
    faster = calibrate(seen(*[0.2] * 30, at=later), first.anchors, later)
    found, raised = slower.of(WHERE), faster.of(WHERE)
    assert found is not None and found.log_ratio == pytest.approx(0.0, abs=1e-9)
    assert slower.decays[WHERE] == pytest.approx(-0.1, abs=0.03)
    assert raised is not None and raised.log_ratio > 0.1 and faster.decays.get(WHERE, 0.0) == 0.0


def test_a_young_correction_still_follows() -> None:
    first = calibrate(seen(0.1, 0.1, 0.1), (), 0.0)
    later = calibrate(seen(*[0.1] * 3, *[-0.1] * 9), first.anchors, DAY).of(WHERE)
    assert later is not None and later.log_ratio < 0.0


def test_it_stands_beside_the_expectation_with_its_interval() -> None:
    shown = calibrated(0.4, Correction(log_ratio=log(0.9), half_width=log(1.1), workloads=14))
    assert (shown.mfu_ratio, shown.low_ratio, shown.high_ratio) == pytest.approx((0.36, 0.36 / 1.1, 0.36 * 1.1))
    assert shown.workloads == 14
    assert calibrated(0.95, Correction(log_ratio=0.5, half_width=0.1, workloads=1)).high_ratio == 1.0


@given(st.lists(st.floats(-0.3, 0.3), min_size=1, max_size=20))
def test_it_never_goes_further_than_what_was_seen(ratios: list[float]) -> None:
    found = correction(seen(*ratios))
    assert min(*ratios, 0.0) - 1e-9 <= found.log_ratio <= max(*ratios, 0.0) + 1e-9
    assert 0.0 < found.half_width < 1.0 and exp(found.half_width) < 2.0


@given(st.lists(st.floats(-0.3, 0.3), min_size=1, max_size=12), st.randoms())
def test_the_order_of_the_workloads_plays_no_part(ratios: list[float], chance: object) -> None:
    members = seen(*ratios)
    assert correction(members).log_ratio == pytest.approx(correction(members[::-1]).log_ratio, abs=1e-12)


def _parts() -> dict[str, str]:
    return {"accelerator": WHERE.accelerator, "software": WHERE.software, "family": WHERE.family}
