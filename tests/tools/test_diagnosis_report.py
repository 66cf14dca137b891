"""How often the diagnosis names the true cause, on part of the scenarios that the documentation reports."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tools.diagnosis_report import Outcome, diagnosed, main, rates
from tools.diagnosis_scenarios import scenarios

SEEDS = [pytest.param(11, 0.0, id="the story"), pytest.param(12, 1.0, id="other physics")]


def told(seed: int, *, roughness: float, count: int) -> Sequence[Outcome]:
    return [diagnosed(each) for each in scenarios(seed, count=count, roughness=roughness)]


@pytest.mark.parametrize(("seed", "roughness"), SEEDS)
def test_the_true_cause_is_told_first_in_nine_of_ten_scenarios(seed: int, roughness: float) -> None:
    found = rates(told(seed, roughness=roughness, count=160))
    assert (found.broken_count > 100, found.healthy_count) == (True, 40)
    assert found.first >= 0.90
    assert found.first_two >= 0.93
    assert found.healthy >= 0.98


def test_every_kind_of_trouble_is_drawn_and_the_draw_is_repeatable() -> None:
    first, again = list(scenarios(3, count=60)), list(scenarios(3, count=60))
    assert first == again
    assert len({each.name.split("-", 1)[1] for each in first}) >= 25
    assert first != list(scenarios(4, count=60))


def test_a_diagnosis_of_a_scenario_is_a_waterfall_that_ends_at_the_observed_figure() -> None:
    for outcome in told(5, roughness=1.0, count=30):
        rungs = outcome.assessment.waterfall
        assert (rungs[0].name, rungs[-1].name) == ("peak", "observed")
        assert sum(rung.lost_ratio for rung in rungs) == pytest.approx(1.0 - rungs[-1].left_ratio, abs=0.01)
        assert sum(share.share_ratio for share in outcome.assessment.diagnosis) <= 1.0 + 1e-9


def test_the_report_lists_what_was_told_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "40"]) == 0
    printed = capsys.readouterr().out
    assert "### The story" in printed and "### Other physics" in printed and "| data-starvation | DataStarvation |" in printed


def test_the_story_knows_nothing_of_the_estimator() -> None:
    import tools.diagnosis_scenarios as drawn
    import tools.diagnosis_serving as serving
    import tools.diagnosis_story as story
    import tools.diagnosis_training as training
    import tools.diagnosis_world as world

    for module in (drawn, story, world, training, serving):
        assert module.__file__ is not None
        with open(module.__file__, encoding="utf-8") as source:
            assert "mfu" not in {line.split()[1].split(".")[0] for line in source if line.startswith(("import ", "from "))}
