"""Dynamo: its front end counts for all workers, and they for themselves."""

from __future__ import annotations

import pytest

from mfu.observe import serving
from mfu.observe.dynamo import DYNAMO, preferring_engines
from mfu.observe.observation import Observation
from mfu.observe.telemetry import ServingTelemetry, Source
from mfu.observe.workload import observe
from tests.observe.cases import inference, pod, sample, serves, snapshot, workload

FRONT_END = serves(1000.0, 200.0, source=Source.DYNAMO)


@pytest.mark.parametrize(
    ("found", "sources"),
    [
        pytest.param([FRONT_END], [Source.DYNAMO], id="the front end alone"),
        pytest.param([FRONT_END, serves(500.0, 100.0)], [Source.VLLM], id="a worker reports"),
        pytest.param([FRONT_END, serves(1.0, 1.0, source=Source.SGLANG), FRONT_END], [Source.SGLANG], id="several front ends"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_a_front_end_is_read_only_where_no_worker_reports(found: list[ServingTelemetry], sources: list[Source]) -> None:
    assert [each.source for each in preferring_engines(found)] == sources


def test_tokens_of_workers_and_their_front_end_count_once() -> None:
    job = workload(inference())
    workers = {pod(0): serves(500.0, 100.0), pod(1): serves(500.0, 100.0)}
    alone = observe(job, [*workers], snapshot(served=workers), accelerators=8)
    together = observe(job, [*workers, pod(2)], snapshot(served={**workers, pod(2): FRONT_END}), accelerators=8)
    assert isinstance(alone, Observation) and isinstance(together, Observation)
    assert together.mfu_ratio == alone.mfu_ratio
    assert together.tokens_per_second == 200.0


def test_cached_input_is_taken_off() -> None:
    home = {"namespace": "team", "pod": "front-end-0"}
    samples = [sample("generation", 5.0, **home), sample("prompt", 100.0, **home), sample("cachedPrompt", 40.0, **home)]
    (found,) = serving.read(DYNAMO, samples).values()
    assert (found.source, found.computed_prompt_tokens_per_second) == (Source.DYNAMO, 60.0)


def test_releases_without_a_counter_of_output_tokens_have_their_histogram() -> None:
    generation = next(figure for figure in DYNAMO.figures if figure.name == "generation")
    assert generation.selectors == ("dynamo_frontend_output_tokens_total", "dynamo_frontend_output_sequence_tokens_sum")
