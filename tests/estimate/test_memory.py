"""Memory of training: state by sharding, activations, and the smallest change that fits."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mfu.estimate.estimator import estimate
from mfu.estimate.result import Estimate
from mfu.estimate.workload import Recompute, Sharding, Training, Workload

Workloads = Callable[..., Workload]


def parts(workload: Workload) -> dict[str, float]:
    result = estimate(workload)
    assert isinstance(result, Estimate)
    return {part.name: part.required_bytes for part in result.memory.parts}


def fit(workload: Workload) -> Estimate:
    result = estimate(workload)
    assert isinstance(result, Estimate)
    return result


@pytest.mark.parametrize(
    ("sharding", "weights", "gradients", "optimizer"),
    [
        pytest.param(Sharding.NONE, 2, 4, 12, id="nothing sharded"),
        pytest.param(Sharding.ZERO1, 2, 4, 12 / 8, id="optimizer state"),
        pytest.param(Sharding.ZERO2, 2, 4 / 8, 12 / 8, id="and gradients"),
        pytest.param(Sharding.ZERO3, 2 / 8, 4 / 8, 12 / 8, id="and weights"),
    ],
)
def test_sharding_divides_the_state_stage_by_stage(
    training: Workloads, sharding: Sharding, weights: float, gradients: float, optimizer: float
) -> None:
    found = parts(training(model="llama-8b", count=8, tensor=1, pipeline=1, sharding=sharding, recompute=Recompute.NONE))
    parameters = 8.03e9
    assert found["weights"] == pytest.approx(weights * parameters, rel=0.01)
    assert found["gradients"] == pytest.approx(gradients * parameters, rel=0.01)
    assert found["optimizer"] == pytest.approx(optimizer * parameters, rel=0.01)


def test_activations_grow_with_the_micro_batch_and_shrink_with_tensor_parallelism(training: Workloads) -> None:
    base = parts(training(recompute=Recompute.NONE))["activations"]
    assert parts(training(recompute=Recompute.NONE, micro_batch=2))["activations"] == pytest.approx(2 * base)
    assert parts(training(recompute=Recompute.NONE, tensor=4))["activations"] == pytest.approx(2 * base, rel=0.05)


def test_policies_order_the_activations(training: Workloads) -> None:
    none, selective, full = (
        parts(training(recompute=policy))["activations"] for policy in (Recompute.NONE, Recompute.SELECTIVE, Recompute.FULL)
    )
    assert full < 0.3 * none
    assert full < selective < none


@pytest.mark.parametrize(
    ("job", "remedy"),
    [
        pytest.param({"micro_batch": 8, "recompute": Recompute.NONE}, "training.microBatchSize: 8 → 2", id="a smaller micro-batch"),
        pytest.param(
            {"tensor": 8, "pipeline": 1, "recompute": Recompute.NONE},
            "training.activationRecompute: none → selective",
            id="recomputation",
        ),
        pytest.param({"tensor": 2, "pipeline": 1, "recompute": Recompute.FULL}, "training.sharding: zero1 → zero3", id="full sharding"),
    ],
)
def test_the_remedy_is_the_least_disruptive_change_that_fits(training: Workloads, job: dict[str, object], remedy: str) -> None:
    result = fit(training(**job))
    assert not result.memory.fits
    assert result.memory.remedy == remedy


def test_following_the_remedy_fits(training: Workloads) -> None:
    workload = training(micro_batch=8, recompute=Recompute.NONE)
    assert isinstance(workload.job, Training)
    assert fit(replace(workload, job=replace(workload.job, micro_batch=2))).memory.fits


def test_a_model_that_nothing_makes_fit_says_how_much_it_needs(training: Workloads) -> None:
    result = fit(training(model="deepseek-v3", count=8, tensor=8, pipeline=1, global_batch=64))
    assert not result.memory.fits
    assert "no single change fits" in result.memory.remedy and "GB" in result.memory.remedy
