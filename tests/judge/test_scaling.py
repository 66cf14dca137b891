"""Scaling curves: the fit recovers what made the points, and says at which size a floor is crossed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.judge.scaling import Curve, ScalePoint, fit, scaling_curves
from mfu.missing import Missing, Reason
from tests.judge.cases import fabric, training, unknown
from tests.judge.provider_cases import assessment, member

SIZES = (8, 16, 64, 256, 1024)


def points(base: float, exponent: float) -> list[ScalePoint]:
    return [ScalePoint(accelerators=size, mfu_ratio=base * size**-exponent) for size in SIZES]


@given(base=st.floats(0.1, 0.9), exponent=st.floats(0.01, 0.5))
def test_the_fit_recovers_the_curve_that_made_the_points(base: float, exponent: float) -> None:
    found = fit("llama", points(base, exponent))
    assert isinstance(found, Curve)
    assert (found.mfu_at_one, found.exponent) == pytest.approx((base, exponent), rel=1e-6)
    assert (found.smallest, found.largest, found.points) == (8, 1024, 5) and found.spread_ratio == pytest.approx(0.0, abs=1e-6)


def test_the_size_is_the_last_one_at_which_the_floor_holds() -> None:
    # 0.64 × n^−0.5 is 0.08 at 64.
    found = fit("llama", points(0.64, 0.5))
    assert isinstance(found, Curve) and found.size_at(0.08) == 64
    assert found.mfu_at(64) >= 0.08 > found.mfu_at(65)
    assert found.size_at(0.7) == 0


@pytest.mark.parametrize("exponent", [pytest.param(0.0, id="flat"), pytest.param(-0.1, id="rising")])
def test_a_curve_that_does_not_fall_crosses_no_floor(exponent: float) -> None:
    found = fit("llama", points(0.3, exponent))
    assert isinstance(found, Curve)
    size = Curve(family="f", mfu_at_one=0.3, exponent=exponent, smallest=8, largest=64, points=5, spread_ratio=0.0).size_at(0.2)
    assert isinstance(size, Missing) and size.reason is Reason.NOT_APPLICABLE


@pytest.mark.parametrize(
    "known",
    [
        pytest.param([], id="nothing"),
        pytest.param(points(0.5, 0.1)[:2], id="two workloads"),
        pytest.param([ScalePoint(accelerators=size, mfu_ratio=0.3) for size in (8, 8, 12)], id="all of a size"),
        pytest.param([ScalePoint(accelerators=size, mfu_ratio=0.0) for size in SIZES], id="no MFU above zero"),
    ],
)
def test_too_little_to_fit_is_unknown(known: list[ScalePoint]) -> None:
    assert isinstance(fit("llama", known), Missing)


def test_families_have_curves_of_their_own_observed_members() -> None:
    members = [
        member(f"{family}-{size}", family=family, of=assessment(workload=training(on=fabric(count=size)), seen=seen))
        for family, exponent in (("llama", 0.1), ("qwen3", 0.3))
        for size in SIZES
        for seen in (0.5 * size**-exponent,)
    ]
    silent = member("silent", family="llama", of=assessment(seen=unknown(Reason.TELEMETRY_STALE)))
    found = dict(scaling_curves([*members, silent]))
    llama, qwen = found["llama"], found["qwen3"]
    assert isinstance(llama, Curve) and isinstance(qwen, Curve)
    assert (llama.exponent, qwen.exponent, llama.points) == (pytest.approx(0.1), pytest.approx(0.3), 5)
