"""What is assumed where the intent is silent."""

from collections.abc import Callable

import pytest

from mfu.estimate.profile import profile_of
from mfu.estimate.recipe import Recipe, settle
from mfu.estimate.workload import AttentionKernel, Framework, Recompute, Sharding, Training, Workload

Workloads = Callable[..., Workload]


def settled(workload: Workload) -> Recipe:
    assert isinstance(workload.job, Training)
    return settle(workload.job, profile_of(workload.architecture), workload.precisions, workload.fabric)


@pytest.mark.parametrize(
    ("framework", "sharding"),
    [
        (Framework.MEGATRON_CORE, Sharding.ZERO1),
        (Framework.NEMO, Sharding.ZERO1),
        (Framework.FSDP, Sharding.ZERO3),
        (Framework.TORCHTITAN, Sharding.ZERO3),
    ],
)
def test_sharding_is_what_the_framework_usually_runs(training: Workloads, framework: Framework, sharding: Sharding) -> None:
    recipe = settled(training(framework=framework))
    assert recipe.layout.sharding is sharding
    assert any(sharding.value in line for line in recipe.assumptions)


def test_recomputation_is_only_assumed_when_nothing_else_fits(training: Workloads) -> None:
    assert settled(training()).layout.recompute is Recompute.NONE
    assert settled(training(micro_batch=4)).layout.recompute is not Recompute.NONE


def test_an_undeclared_micro_batch_is_the_largest_that_fits(training: Workloads) -> None:
    recipe = settled(training(model="llama-8b", count=64, tensor=2, pipeline=1, micro_batch=None, recompute=Recompute.FULL))
    assert recipe.layout.micro_batch == 8
    assert recipe.layout.micro_batches * recipe.layout.micro_batch * recipe.layout.data == 1024


def test_megatron_recipes_interleave_by_a_divisor_of_the_stage(training: Workloads) -> None:
    assert settled(training(pipeline=4)).layout.interleave == 4
    assert settled(training(pipeline=4, framework=Framework.FSDP)).layout.interleave == 1


def test_a_declared_recipe_leaves_nothing_open(training: Workloads) -> None:
    assert settled(training(recompute=Recompute.FULL)).open_choices == 0
    assert settled(training(recompute=None, micro_batch=None, global_batch=None)).open_choices == 3


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        pytest.param({"tensor": 8}, True, id="beside tensor parallelism"),
        pytest.param({"tensor": 1, "pipeline": 4}, False, id="nothing to divide"),
        pytest.param({"tensor": 8, "framework": Framework.MEGATRON_DEEPSPEED}, False, id="a framework without it"),
        pytest.param({"tensor": 8, "attention_kernel": AttentionKernel.UNFUSED}, False, id="a stack from before it"),
        pytest.param({"tensor": 8, "attention_kernel": AttentionKernel.UNFUSED, "sequence_parallel": True}, True, id="declared"),
    ],
)
def test_sequence_parallelism_is_assumed_where_the_stack_has_it(training: Workloads, job: dict[str, object], expected: bool) -> None:
    assert settled(training(**job)).layout.sequence_parallel is expected
