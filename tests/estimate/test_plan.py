"""Plans: objectives, precisions, and that nothing better is ever passed over."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfu.estimate.plan import Candidate, Objective, plan
from mfu.estimate.search import rate
from mfu.estimate.workload import Workload
from mfu.hardware.catalog import accelerator
from mfu.hardware.precision import Precision
from mfu.missing import Missing

Workloads = Callable[..., Workload]
EVERY = 100_000


def figures(candidate: Candidate) -> tuple[float, ...]:
    """All that a plan shows, larger is better."""
    dollars = candidate.dollars_per_million_tokens
    assert not isinstance(dollars, Missing)
    return (
        candidate.estimate.mfu_ratio,
        rate(candidate.estimate),
        candidate.fleet_tokens_per_second,
        -dollars,
        -candidate.estimate.memory.required_bytes,
    )


def dominates(one: Candidate, other: Candidate) -> bool:
    pairs = list(zip(figures(one), figures(other), strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    model=st.sampled_from(["llama-8b", "llama-70b", "mixtral"]),
    count=st.sampled_from([8, 16, 64]),
    batch=st.sampled_from([64, 256, 512]),
    objective=st.sampled_from(list(Objective)),
    kinds=st.sampled_from([("h100-sxm-80gb",), ("h100-sxm-80gb", "a100-sxm-80gb")]),
)
def test_a_dominated_training_plan_is_never_preferred(
    training: Workloads, model: str, count: int, batch: int, objective: Objective, kinds: tuple[str, ...]
) -> None:
    job = training(model=model, count=count, tensor=1, pipeline=1, global_batch=batch)
    found = plan(job, objective=objective, accelerators=[accelerator(name) for name in kinds], limit=EVERY)[:40]
    for index, first in enumerate(found):
        assert not any(dominates(later, first) for later in found[index + 1 :])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    model=st.sampled_from(["llama-8b", "llama-70b", "mixtral", "deepseek-v3"]),
    objective=st.sampled_from(list(Objective)),
    concurrency=st.sampled_from([8, 64, None]),
)
def test_a_dominated_serving_plan_is_never_preferred(serving: Workloads, model: str, objective: Objective, concurrency: int | None) -> None:
    server = serving(model=model, device="h200-sxm-141gb", tensor=8, concurrency=concurrency)
    found = plan(server, objective=objective, limit=EVERY)
    assert found
    for index, first in enumerate(found):
        assert not any(dominates(later, first) for later in found[index + 1 :])


def test_time_prefers_the_layout_that_finishes_first(training: Workloads) -> None:
    kinds = [accelerator("a100-sxm-80gb"), accelerator("h100-sxm-80gb")]
    found = plan(training(count=64, global_batch=512), objective=Objective.TIME, accelerators=kinds, limit=10)
    durations = [candidate.seconds_to(15e12) for candidate in found]
    assert durations == sorted(durations)
    assert found[0].workload.fabric.accelerator.name == "h100-sxm-80gb"
    assert durations[0] == pytest.approx(15e12 / (rate(found[0].estimate) * 64))


def test_time_of_a_server_counts_all_replicas_that_the_accelerators_hold(serving: Workloads) -> None:
    found = plan(serving(tensor=8, model="llama-8b", concurrency=16), objective=Objective.TIME, limit=EVERY)
    for candidate in found:
        replicas = 8 // candidate.workload.fabric.count
        assert candidate.fleet_tokens_per_second == pytest.approx(replicas * candidate.tokens_per_second)


def test_precisions_are_tried_where_the_accelerator_has_them(training: Workloads) -> None:
    job = training(count=64, global_batch=512)
    both = plan(job, objective=Objective.THROUGHPUT, precisions=[Precision.BF16, Precision.FP8], limit=EVERY)
    assert both[0].workload.precisions.compute is Precision.FP8
    assert both[0].workload.precisions.attention is Precision.BF16
    assert {candidate.workload.precisions.compute for candidate in both} == {Precision.BF16, Precision.FP8}
    old = training(device="a100-sxm-80gb", count=64, global_batch=512)
    assert plan(old, precisions=[Precision.FP8]) == ()


def test_a_server_stores_its_weights_in_the_precision_tried(serving: Workloads) -> None:
    (best, *_) = plan(serving(compute="bf16"), precisions=[Precision.FP8])
    assert best.workload.precisions.weights is Precision.FP8
