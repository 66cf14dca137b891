"""The accuracy of the shipped coefficients on the committed measurements, and the page that reports it."""

import re
import statistics
from pathlib import Path

import pytest

from tools.accuracy import scored
from tools.accuracy_page import Scored, page
from tools.measurements import published
from tools.model_fit import Errors

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def found() -> dict[str, Scored]:
    return {what: scored(what, published(what), ()) for what in ("training", "inference")}


@pytest.mark.parametrize(
    ("what", "core", "median", "mean", "p90"),
    [
        pytest.param("training", False, 0.065, 0.12, 0.18, id="training"),
        pytest.param("training", True, 0.075, 0.14, 0.22, id="training, balanced subset"),
        pytest.param("inference", False, 0.075, 0.13, 0.32, id="inference"),
    ],
)
def test_errors_stay_within_their_bounds(found: dict[str, Scored], what: str, core: bool, median: float, mean: float, p90: float) -> None:
    result = found[what]
    errors = Errors.of([r for r, each in zip(result.in_sample, result.measured, strict=True) if each.core or not core])
    assert errors.median <= median
    assert errors.mean <= mean
    assert errors.p90 <= p90


@pytest.mark.parametrize("what", ["training", "inference"])
def test_about_one_measured_value_in_five_is_outside_the_interval(found: dict[str, Scored], what: str) -> None:
    result = found[what]
    assert 0.12 <= result.outside(result.in_sample, range(len(result.measured))) <= 0.25


@pytest.mark.parametrize("what", ["training", "inference"])
def test_the_order_inside_ladders_is_mostly_right(found: dict[str, Scored], what: str) -> None:
    assert statistics.mean(ladder.tau for ladder in found[what].ladders) >= 0.75


@pytest.mark.parametrize("what", ["training", "inference"])
def test_the_page_has_the_figures_of_the_shipped_coefficients(found: dict[str, Scored], what: str) -> None:
    errors = Errors.of(found[what].in_sample)
    row = f"| in-sample, all rows | {errors.count} | {errors.median:.1%} | {errors.mean:.1%} | {errors.p90:.1%} |"
    assert row in (DOCS / "accuracy.md").read_text(encoding="utf-8"), "run python -m tools.accuracy"


def test_the_pictures_on_the_page_are_there() -> None:
    text = (DOCS / "accuracy.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert pictures == ["accuracy/training.svg", "accuracy/inference.svg"]
    assert all((DOCS / picture).is_file() for picture in pictures)


def test_the_page_puts_held_out_figures_beside_in_sample_ones() -> None:
    training = scored("training", published("training")[:60], ("source",))
    inference = scored("inference", published("inference")[:30], ("deployment",))
    text = page(training, inference)
    assert "leave one source out | 60 |" in text
    assert "leave one (model, accelerator, engine) out | 30 |" in text
    assert "Weak spots" in text and "No measurement of ours on a GPU" in text
    assert all(abs(r) < 2 for r in training.held_out["source"])
