"""The two promises of drift detection, on a few simulated weeks; `tools/drift_months.py` measures them on years."""

import pytest

from mfu.judge.policy import DriftRule
from tools.drift_months import KINDS, detection, false_alarms
from tools.simulated_months import DAY_SECONDS, Fall, Story, looks

RULE = DriftRule()


@pytest.mark.parametrize("kind", ["training", "serving"])
def test_no_week_without_a_fall_is_accused(kind: str) -> None:
    assert false_alarms(Story(kind=KINDS[kind], days=4.0, seed=2), RULE) == 0


@pytest.mark.parametrize(("kind", "seed"), [("training", 3), ("training", 5), ("training", 8), ("serving", 2), ("serving", 7)])
def test_a_sustained_fall_of_a_tenth_is_found_within_a_quarter_of_an_hour_and_its_image_named(kind: str, seed: int) -> None:
    story = Story(kind=KINDS[kind], days=1.3, seed=seed, fall=Fall(at_seconds=1.2 * DAY_SECONDS, ratio=0.10, image="train:2"))
    delay, change = detection(story, RULE)
    assert delay is not None and 0.0 < delay <= 900.0
    assert "train:2" in change


def test_the_same_seed_tells_the_same_story() -> None:
    story = Story(kind=KINDS["serving"], days=0.2, seed=1)
    assert list(looks(story)) == list(looks(story))
