"""Releases of frameworks and engines."""

import pytest

from mfu.estimate.release import captures_expert_layers, release_numbers, runs_compiled_engine
from mfu.estimate.workload import Engine, Framework


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("26.04.01", (26, 4, 1)), ("v0.8", (0, 8)), ("r0.8", (0, 8)), ("1.2.0rc6.post2", (1, 2, 0)), ("main", ()), (None, ())],
)
def test_the_leading_numbers_of_a_version_are_read(version: str | None, numbers: tuple[int, ...]) -> None:
    assert release_numbers(version) == numbers


def test_graph_capture_of_expert_layers_comes_with_a_release() -> None:
    assert captures_expert_layers(Framework.MEGATRON_BRIDGE, "26.06.01")
    assert not captures_expert_layers(Framework.MEGATRON_BRIDGE, "26.04.01")
    assert not captures_expert_layers(Framework.MEGATRON_BRIDGE, None)
    assert not captures_expert_layers(Framework.NEMO, "26.06")


def test_only_declared_old_releases_run_a_compiled_engine() -> None:
    assert runs_compiled_engine(Engine.TENSORRT_LLM, "0.17")
    assert not runs_compiled_engine(Engine.TENSORRT_LLM, "1.0")
    assert not runs_compiled_engine(Engine.TENSORRT_LLM, None)
    assert not runs_compiled_engine(Engine.VLLM, "0.6")
