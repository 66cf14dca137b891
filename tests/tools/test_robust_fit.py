"""The fit behind the calibration."""

from collections.abc import Callable, Sequence
from math import log

import pytest

from tools.robust_fit import Parameter, fit

POINTS = [(float(size), float(width)) for size in (1, 2, 4, 8, 16) for width in (1, 3, 9)]


def model(values: Sequence[float], point: tuple[float, float]) -> float:
    """A compute and a traffic term that add up."""
    return values[0] * point[0] * point[1] + values[1] * (point[0] + point[1])


def residuals_of(measured: Sequence[float]) -> Callable[[Sequence[float]], list[float]]:
    return lambda values: [log(rate / model(values, point)) for rate, point in zip(measured, POINTS, strict=True)]


def parameters(low: float = 0.01, high: float = 100.0) -> list[Parameter]:
    return [Parameter(name=name, start=1.0, prior=1.0, low=low, high=high) for name in ("compute", "traffic")]


def solve(measured: Sequence[float], chosen: Sequence[Parameter], prior_scale: float = 10.0) -> list[float]:
    return fit(chosen, residuals_of(measured), [1.0] * len(POINTS), scale=0.1, prior_scale=prior_scale, iterations=40)


def test_known_coefficients_are_recovered() -> None:
    measured = [model((2.5, 0.4), point) for point in POINTS]
    assert solve(measured, parameters()) == pytest.approx([2.5, 0.4], rel=0.02)


def test_an_outlier_moves_nothing() -> None:
    measured = [model((2.5, 0.4), point) for point in POINTS]
    measured[7] *= 20
    assert solve(measured, parameters()) == pytest.approx([2.5, 0.4], rel=0.05)


def test_values_stay_inside_their_bounds() -> None:
    measured = [model((2.5, 0.4), point) for point in POINTS]
    found = solve(measured, parameters(low=0.8, high=2.0))
    assert all(0.8 - 1e-9 <= value <= 2.0 + 1e-9 for value in found)


def test_without_information_the_prior_stays() -> None:
    chosen = [Parameter(name="unused", start=3.0, prior=2.0, low=0.1, high=10.0)]
    found = fit(chosen, lambda values: [0.1], [1.0], scale=0.1, prior_scale=0.35, iterations=20)
    assert found == pytest.approx([2.0], rel=0.01)
