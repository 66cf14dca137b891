"""Bounded, robust least squares in logarithms: a Gauss-Newton fit of positive coefficients to positive measurements, standard library only.

Minimises Σ wᵢ s² log(1 + (rᵢ/s)²) + s² Σ ((xⱼ − pⱼ)/σ)², with rᵢ = log(measured/predicted), xⱼ the logarithms of the coefficients and pⱼ
those of their priors (Cauchy loss; iteratively reweighted, Levenberg-Marquardt damping).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log, log1p

__all__ = ["Parameter", "fit", "slopes"]

Residuals = Callable[[Sequence[float]], list[float]]

_STEP = 0.02
_LARGEST_MOVE = 0.4
_TRIES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A positive coefficient: where the fit starts, what is believed without data, and what physics allows."""

    name: str
    start: float
    prior: float
    low: float
    high: float


def fit(
    parameters: Sequence[Parameter],
    residuals: Residuals,
    weights: Sequence[float],
    *,
    scale: float,
    prior_scale: float,
    iterations: int = 8,
    columns: Sequence[Sequence[float]] | None = None,
) -> list[float]:
    """The fitted values, inside their bounds. `residuals` takes values and gives one log ratio a measurement; `scale`: where outliers
    begin.

    `columns`: what `slopes` gave at a point near the answer. They are then kept for all iterations (chord steps), which makes refits
    without a few measurements cheap.
    """
    low, high = [log(each.low) for each in parameters], [log(each.high) for each in parameters]
    prior = [log(each.prior) for each in parameters]
    x = [min(top, max(bottom, log(each.start))) for each, bottom, top in zip(parameters, low, high, strict=True)]
    pull = (scale / prior_scale) ** 2

    def at(point: Sequence[float]) -> list[float]:
        return residuals([exp(value) for value in point])

    def loss(found: Sequence[float], point: Sequence[float]) -> float:
        misfit = sum(weight * scale**2 * log1p((r / scale) ** 2) for r, weight in zip(found, weights, strict=True))
        return misfit + pull * sum((value - believed) ** 2 for value, believed in zip(point, prior, strict=True))

    found = at(x)
    current, damping = loss(found, x), 1e-2
    for _ in range(iterations):
        slope = columns if columns is not None else slopes(parameters, residuals, [exp(value) for value in x])
        trust = [weight / (1 + (r / scale) ** 2) for r, weight in zip(found, weights, strict=True)]
        matrix = [[sum(t * a * b for t, a, b in zip(trust, first, second, strict=True)) for second in slope] for first in slope]
        gradient = [
            -sum(t * a * r for t, a, r in zip(trust, column, found, strict=True)) - pull * (x[index] - prior[index])
            for index, column in enumerate(slope)
        ]
        for _ in range(_TRIES):
            damped = [
                [value + (pull + damping * (value + 1e-6) if row == column else 0.0) for column, value in enumerate(line)]
                for row, line in enumerate(matrix)
            ]
            move = [max(-_LARGEST_MOVE, min(_LARGEST_MOVE, value)) for value in _solve(damped, gradient)]
            tried = [min(top, max(bottom, value + by)) for value, by, bottom, top in zip(x, move, low, high, strict=True)]
            there = at(tried)
            reached = loss(there, tried)
            if reached < current:
                break
            damping *= 5
        else:
            break
        settled = current - reached < 1e-4 * current
        x, found, current, damping = tried, there, reached, max(1e-4, damping / 3)
        if settled:
            break
    return [exp(value) for value in x]


def slopes(parameters: Sequence[Parameter], residuals: Residuals, values: Sequence[float]) -> list[list[float]]:
    """Change of every residual with the logarithm of every coefficient, at `values`: one list a coefficient."""
    base = residuals(values)
    found = []
    for index, each in enumerate(parameters):
        step = _STEP if values[index] * exp(_STEP) <= each.high else -_STEP
        moved = [*values[:index], values[index] * exp(step), *values[index + 1 :]]
        found.append([(a - b) / step for a, b in zip(residuals(moved), base, strict=True)])
    return found


def _solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Gaussian elimination with partial pivoting."""
    size = len(right)
    rows = [[*line, value] for line, value in zip(matrix, right, strict=True)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(rows[row][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for row in range(column + 1, size):
            factor = rows[row][column] / rows[column][column]
            if factor:
                rows[row] = [a - factor * b for a, b in zip(rows[row], rows[column], strict=True)]
    solution = [0.0] * size
    for row in reversed(range(size)):
        known = sum(rows[row][column] * solution[column] for column in range(row + 1, size))
        solution[row] = (rows[row][size] - known) / rows[row][row]
    return solution
