import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.api.figures import ratio_of
from mfu.api.settle import settled, settled_text, steady_percent

RATIOS = st.floats(min_value=0.0, max_value=1.0)


@pytest.mark.parametrize(
    ("new", "written", "kept"),
    [
        ("31.4% observed", "31.0% observed", True),
        ("32.4% observed", "31.0% observed", False),
        ("31.4% seen", "31.0% observed", False),
        ("costs $113/h", "costs $112/h", True),
        ("costs $1,130/h", "costs $112/h", False),
        ("2 of 8 nodes", "1 of 8 nodes", False),
        ("990 ms", "1.01 s", False),
        ("-2% off", "+2% off", False),
        ("-0.2% off", "+0.2% off", True),
        ("steady", "steady", True),
    ],
)
def test_a_text_is_kept_when_only_its_figures_moved_and_only_a_little(new: str, written: str, kept: bool) -> None:
    assert settled_text(new, written) == (written if kept else new)


def test_times_and_changes_are_exact() -> None:
    new = {"lastTransitionTime": "2026-01-01T00:00:05Z", "change": "microBatchSize: 64 → 65", "message": "31.4%"}
    old = {"lastTransitionTime": "2026-01-01T00:00:04Z", "change": "microBatchSize: 64 → 64", "message": "31.0%"}
    assert settled(new, old) == {**new, "message": "31.0%"}


def test_loosely_any_figure_is_kept_but_not_other_words() -> None:
    assert settled({"a": "silent for 35 s", "since": "1"}, {"a": "silent for 5 s", "since": "2"}, loose=True) == {
        "a": "silent for 5 s",
        "since": "1",
    }
    assert settled("silent", "silent for 5 s", loose=True) == "silent"


def test_small_ratios_are_shown_finer() -> None:
    assert steady_percent(0.0213, None) == "2.1%"
    assert steady_percent(0.0226, "2.1%") == "2.3%"


def test_lists_of_another_length_are_written_as_they_are() -> None:
    assert settled(["31.4%", "2%"], ["31.0%"]) == ["31.4%", "2%"]
    assert settled(["31.4%"], ["31.0%"]) == ["31.0%"]


@given(ratio=RATIOS)
def test_a_new_ratio_is_shown_to_a_tenth_of_a_point(ratio: float) -> None:
    shown = ratio_of(steady_percent(ratio, None))
    assert shown is not None and abs(shown - ratio) <= 0.0005 + 1e-9


@given(ratio=st.floats(min_value=0.11, max_value=1.0), noise=st.floats(min_value=-0.0044, max_value=0.0044))
def test_noise_does_not_move_a_shown_ratio(ratio: float, noise: float) -> None:
    shown = steady_percent(ratio, None)
    assert steady_percent(max(0.0, ratio + noise), shown) == shown


@given(ratios=st.lists(RATIOS, min_size=1))
def test_a_trend_is_followed(ratios: list[float]) -> None:
    shown = "unknown"
    for ratio in ratios:
        shown = steady_percent(ratio, shown)
        value = ratio_of(shown)
        assert value is not None and abs(value - ratio) <= 0.005 + 1e-9
