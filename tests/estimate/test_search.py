"""Searching for better layouts and single changes."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mfu.estimate.estimator import estimate
from mfu.estimate.plan import Objective, plan
from mfu.estimate.result import Estimate
from mfu.estimate.search import Change, Variant, best_changes, rate, smallest_change, variants
from mfu.estimate.workload import AttentionKernel, Recompute, Training, Workload
from mfu.hardware.catalog import accelerator
from mfu.missing import Missing

Workloads = Callable[..., Workload]


def known(workload: Workload) -> Estimate:
    result = estimate(workload)
    assert isinstance(result, Estimate)
    return result


def test_variants_keep_the_number_of_accelerators_of_a_training_job(training: Workloads) -> None:
    for variant in variants(training()):
        assert isinstance(variant.workload.job, Training)
        degrees = variant.workload.job.parallelism
        assert degrees.tensor * degrees.pipeline * degrees.data * degrees.context == 256
        assert variant.old != variant.new


def test_changes_fit_and_gain_and_come_best_first(training: Workloads) -> None:
    workload = training(recompute=Recompute.FULL, attention_kernel=AttentionKernel.UNFUSED, sequence_parallel=True)
    base = known(workload)
    changes = best_changes(workload, base, limit=10)
    assert {"training.activationRecompute", "training.attentionKernel"} <= {change.field_path for change in changes}
    assert all(change.estimate.memory.fits for change in changes)
    reached = [rate(change.estimate) for change in changes]
    assert reached == sorted(reached, reverse=True)
    assert reached[-1] > rate(base)
    assert len({change.field_path for change in changes}) == len(changes)


def test_changes_of_a_job_that_does_not_fit_are_those_that_make_it_fit(training: Workloads) -> None:
    workload = training(micro_batch=8, recompute=Recompute.NONE)
    base = known(workload)
    assert not base.memory.fits
    changes = best_changes(workload, base)
    assert changes and all(change.estimate.memory.fits for change in changes)


def test_an_under_batched_server_is_told_to_batch(serving: Workloads) -> None:
    workload = serving(concurrency=4)
    assert best_changes(workload, known(workload))[0].field_path == "inference.concurrency"


def test_the_plan_beats_a_poor_layout_and_every_candidate_fits(training: Workloads) -> None:
    poor = training(tensor=8, pipeline=16, count=256, interleave=1, global_batch=256)
    best = plan(poor)
    assert len(best) == 5
    assert best[0].estimate.mfu_ratio > 1.2 * known(poor).mfu_ratio
    assert all(candidate.estimate.memory.fits for candidate in best)
    ratios = [candidate.estimate.mfu_ratio for candidate in best]
    assert ratios == sorted(ratios, reverse=True)
    assert all(candidate.reason and candidate.summary for candidate in best)


def test_a_dominated_layout_is_never_preferred(training: Workloads) -> None:
    """Doubling every cost of a link cannot move a layout ahead of the best one on the better link."""
    workload = training(count=64, global_batch=512)
    good = plan(workload, limit=1)[0]
    slower = replace(workload, fabric=replace(workload.fabric, network_bytes_per_second=workload.fabric.network_bytes_per_second / 8))
    assert plan(slower, limit=1)[0].estimate.mfu_ratio <= good.estimate.mfu_ratio


def test_cost_compares_kinds_of_accelerators(training: Workloads) -> None:
    kinds = (accelerator("h100-sxm-80gb"), accelerator("a100-sxm-80gb"))
    best = plan(training(count=64, global_batch=512), objective=Objective.COST, accelerators=kinds, limit=20)
    dollars = [candidate.dollars_per_million_tokens for candidate in best]
    priced = [price for price in dollars if not isinstance(price, Missing)]
    assert len(priced) == len(dollars) > 1
    assert priced == sorted(priced)


def test_nothing_is_planned_where_nothing_fits(training: Workloads) -> None:
    assert plan(training(model="deepseek-v3", count=8, tensor=8, pipeline=1, global_batch=64)) == ()


@pytest.mark.parametrize("model", ["llama-70b", "mixtral", "deepseek-v3"])
def test_a_serving_plan_stays_inside_the_accelerators_given(serving: Workloads, model: str) -> None:
    best = plan(serving(model=model, device="h200-sxm-141gb", tensor=8, concurrency=None), objective=Objective.THROUGHPUT)
    assert best
    assert all(candidate.workload.fabric.count <= 8 for candidate in best)


@pytest.mark.parametrize(
    ("job", "passes", "field_path", "new"),
    [
        pytest.param({"tensor": 16}, 1.03, "training.parallelism.tensor", "8 with data 4 → 8", id="half the degree, not an eighth"),
        pytest.param({"recompute": Recompute.FULL}, 1.15, "training.activationRecompute", "selective", id="the next policy"),
    ],
)
def test_the_smallest_change_is_one_step_where_one_is_enough(
    training: Workloads, job: dict[str, object], passes: float, field_path: str, new: str
) -> None:
    workload = training(**job)
    wanted = passes * known(workload).mfu_ratio
    change = smallest_change(workload, lambda estimate: estimate.mfu_ratio >= wanted)
    assert change is not None
    assert (change.field_path, change.new) == (field_path, new)
    assert change.estimate.mfu_ratio >= wanted and change.estimate.memory.fits
    smaller = [variant for variant in variants(workload) if variant.steps < steps_of(workload, change)]
    assert all(not (found := known(variant.workload)).memory.fits or found.mfu_ratio < wanted for variant in smaller)


def steps_of(workload: Workload, change: Change) -> int:
    return next(variant.steps for variant in variants(workload) if (variant.field_path, variant.new) == (change.field_path, change.new))


def test_among_equally_small_changes_the_best_is_named(training: Workloads) -> None:
    workload = training(tensor=16, recompute=Recompute.FULL)
    change = smallest_change(workload, lambda estimate: True)
    assert change is not None
    equals = [known(variant.workload) for variant in variants(workload) if variant.steps == 1]
    assert change.estimate.mfu_ratio == max(estimate.mfu_ratio for estimate in equals if estimate.memory.fits)


def test_there_is_no_smallest_change_where_none_passes(training: Workloads) -> None:
    assert smallest_change(training(), lambda estimate: estimate.mfu_ratio > 0.99) is None


@pytest.mark.parametrize(
    ("field_path", "old", "new", "steps"),
    [
        ("training.parallelism.tensor", "16", "8 with data 4 → 8", 1),
        ("training.parallelism.tensor", "16", "2 with data 4 → 32", 3),
        ("training.parallelism.tensor", "8", "4 with pipeline 2 → 4", 2),
        ("training.microBatchSize", "1", "2", 1),
        ("training.activationRecompute", "full", "none", 2),
        ("training.sharding", "zero1", "zero3", 2),
        ("training.attentionKernel", "unfused", "flash2", 1),
        ("precision.compute", "bf16", "fp8", 2),
        ("training.globalBatchSize", "1024", "2048", 2),
    ],
)
def test_steps_count_doublings_places_and_what_moves_along(training: Workloads, field_path: str, old: str, new: str, steps: int) -> None:
    assert Variant(field_path=field_path, old=old, new=new, workload=training()).steps == steps
