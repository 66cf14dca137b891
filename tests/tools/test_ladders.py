"""Ladders and Kendall's tau."""

import pytest

from tools.ladders import kendall, ladders
from tools.measurements import Measurement, published


@pytest.mark.parametrize(
    ("steps", "tau"),
    [
        pytest.param([(1, 10), (2, 20), (3, 30)], 1.0, id="right order"),
        pytest.param([(1, 30), (2, 20), (3, 10)], -1.0, id="reversed"),
        pytest.param([(1, 10), (2, 30), (3, 20)], 1 / 3, id="one pair wrong"),
        pytest.param([(1, 10), (2, 10), (3, 30)], 2 / 3, id="a predicted tie is half right"),
        pytest.param([(100, 1), (100.5, 9), (200, 10)], 1.0, id="measured ties do not count"),
        pytest.param([(100, 1), (100.2, 2)], None, id="no order at all"),
    ],
)
def test_tau_counts_pairs(steps: list[tuple[float, float]], tau: float | None) -> None:
    assert kendall(steps) == (None if tau is None else pytest.approx(tau))


@pytest.fixture(scope="module")
def measured() -> list[Measurement]:
    return published("training")


def test_only_one_thing_varies_in_a_ladder_and_repeated_runs_are_one_step(measured: list[Measurement]) -> None:
    rates = [each.rate for each in measured]
    found = ladders(measured, rates)
    assert len(found) >= 30
    assert all(ladder.tau == 1.0 for ladder in found)
    for ladder in found:
        assert len(ladder.steps) >= 3
    sequences = [ladder for ladder in found if ladder.knob == "sequence"]
    assert sequences and all(len({rate for rate, _ in ladder.steps}) >= 2 for ladder in sequences)


def test_a_constant_prediction_orders_nothing(measured: list[Measurement]) -> None:
    assert all(ladder.tau == 0.0 for ladder in ladders(measured, [1.0] * len(measured)))
