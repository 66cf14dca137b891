"""Searching for better layouts and single changes."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mfu.estimate.estimator import estimate
from mfu.estimate.result import Estimate
from mfu.estimate.search import Objective, best_changes, plan, rate, variants
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
    workload = training(recompute=Recompute.FULL, attention_kernel=AttentionKernel.UNFUSED)
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
