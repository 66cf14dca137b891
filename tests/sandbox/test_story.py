"""The truth that the simulator plays: rates follow from the story's own figures, and from nothing of the operator's."""

import ast
from pathlib import Path

import pytest

from sandbox.story import Crossing, Happening, Serving, Tale, Training, read_story

ROOT = Path(__file__).resolve().parents[2]
STORY = ROOT / "sandbox" / "scenarios" / "demo" / "story.yaml"

TRAINING = Training(
    model_flops_per_token=1e11,
    peak_flops_per_second=1e15,
    mfu_ratio=0.4,
    hardware_over_model=1.0,
    tokens_per_step=1e6,
    data_wait_ratio=0.01,
)
LEAF = "leaf"


def test_tokens_follow_from_efficiency_peak_and_flops_per_token() -> None:
    rates = Tale(training=TRAINING).training_rates(8, 10.0, [])
    assert rates.tokens_per_second == pytest.approx(0.4 * 1e15 / 1e11 * 8)
    assert rates.steps_per_second == pytest.approx(rates.tokens_per_second / 1e6)


@pytest.mark.parametrize(
    ("labels", "factor"),
    [
        pytest.param([{LEAF: "a"}, {LEAF: "a"}], 1.0, id="inside one leaf"),
        pytest.param([{LEAF: "a"}, {LEAF: "b"}], 0.6, id="across two leaves"),
        pytest.param([], 1.0, id="not placed yet"),
    ],
)
def test_crossing_a_switch_slows_the_gang(labels: list[dict[str, str]], factor: float) -> None:
    tale = Tale(training=TRAINING, crossing=Crossing(label=LEAF, factor=0.6))
    assert tale.speed_ratio(5.0, labels) == pytest.approx(factor)


def test_a_happening_begins_at_its_time_and_lasts() -> None:
    tale = Tale(training=TRAINING, happenings=(Happening(after_seconds=60, slowdown=0.5, data_wait_ratio=0.4),))
    before, after = tale.training_rates(1, 59.9, []), tale.training_rates(1, 60.0, [])
    assert after.tokens_per_second == pytest.approx(before.tokens_per_second / 2)
    assert (before.data_wait_ratio, after.data_wait_ratio) == (0.01, 0.4)


def test_hardware_shows_more_work_than_the_model_needs_when_it_recomputes() -> None:
    plain = Tale(training=TRAINING).device_load(0.0, [], 0.9)
    recomputing = Tale(
        training=Training(
            model_flops_per_token=1e11,
            peak_flops_per_second=1e15,
            mfu_ratio=0.4,
            hardware_over_model=4 / 3,
            tokens_per_step=1e6,
            data_wait_ratio=0.01,
        )
    ).device_load(0.0, [], 0.9)
    assert recomputing.tensor_active_ratio == pytest.approx(4 / 3 * plain.tensor_active_ratio)


def test_a_busy_decode_does_little_tensor_work() -> None:
    tale = Tale(
        serving=Serving(
            model="m",
            running=3,
            waiting=0,
            step_seconds=0.022,
            prompt_tokens=1024,
            generation_tokens=256,
            cache_usage_ratio=0.03,
            flops_per_token=1.6e10,
            peak_flops_per_second=362e12,
            memory_active_ratio=0.82,
        )
    )
    load = tale.device_load(0.0, [], 0.92)
    assert load.busy_ratio > 0.9
    assert load.tensor_active_ratio < 0.1


def test_every_workload_of_the_demo_has_exactly_one_kind_of_truth() -> None:
    for key, tale in read_story(STORY).items():
        assert (tale.training is None) != (tale.serving is None), key


@pytest.mark.parametrize("module", ["story", "telemetry", "exporters", "fleet"])
def test_the_simulator_never_reads_the_operator(module: str) -> None:
    tree = ast.parse((ROOT / "sandbox" / f"{module}.py").read_text())
    imported = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not {name for name in imported if name.split(".")[0] == "mfu"}
