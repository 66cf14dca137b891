"""What an estimate of a training job must hold, whatever the coefficients."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mfu.estimate.estimator import estimate
from mfu.estimate.result import Bound, Estimate, TrainingRates
from mfu.estimate.workload import AttentionKernel, Framework, MoeKernel, Recompute, Sharding, Workload
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.catalog import accelerator
from mfu.missing import Missing, Reason

Workloads = Callable[..., Workload]


def known(workload: Workload) -> Estimate:
    result = estimate(workload)
    assert isinstance(result, Estimate)
    return result


def seconds_of(result: Estimate, name: str) -> float:
    return sum(term.seconds for term in result.terms if term.name == name)


def faster(device: Accelerator, *, compute: float = 1.0, memory: float = 1.0, link: float = 1.0, network: float = 1.0) -> Accelerator:
    return replace(
        device,
        peak_flops_per_second={name: peak * compute for name, peak in device.peak_flops_per_second.items()},
        memory_bytes_per_second=device.memory_bytes_per_second * memory,
        link_bytes_per_second=device.link_bytes_per_second * link,
        network_bytes_per_second=device.network_bytes_per_second * network,
    )


degrees = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["llama-8b", "llama-70b", "mixtral", "deepseek-v3"]),
        "device": st.sampled_from(["a100-sxm-80gb", "h100-sxm-80gb", "b200-sxm-180gb", "gb200-nvl-186gb", "mi300x-192gb"]),
        "tensor": st.sampled_from([1, 2, 4, 8]),
        "pipeline": st.sampled_from([1, 2, 4]),
        "expert": st.sampled_from([1, 4, 8]),
        "micro_batch": st.sampled_from([1, 2]),
        "recompute": st.sampled_from(list(Recompute)),
        "sharding": st.sampled_from(list(Sharding)),
        "framework": st.sampled_from(list(Framework)),
        "attention_kernel": st.sampled_from([None, AttentionKernel.FLASH2, AttentionKernel.UNFUSED]),
    }
)


@settings(max_examples=60, deadline=None)
@given(chosen=degrees)
def test_ratios_stay_between_0_and_1_and_terms_add_up_to_the_step(training: Workloads, chosen: dict[str, object]) -> None:
    result = known(training(**chosen))
    assert isinstance(result.rates, TrainingRates)
    assert 0 < result.interval.low_ratio < result.mfu_ratio <= result.interval.high_ratio < 1
    assert result.mfu_ratio <= result.hfu_ratio < 1
    assert result.mfu_ratio <= result.full_attention_mfu_ratio < 1
    assert 0 < result.roofline_ratio <= 1
    assert all(term.seconds > 0 for term in result.terms)
    assert result.step_seconds == pytest.approx(result.rates.step_seconds)
    expected_mfu = result.rates.tokens_per_second_per_accelerator * result.model_flops_per_token / result.peak_flops_per_second
    assert result.mfu_ratio == pytest.approx(expected_mfu)


@settings(max_examples=60, deadline=None)
@given(
    chosen=degrees,
    gain=st.fixed_dictionaries({name: st.sampled_from([1.0, 1.3, 4.0]) for name in ("compute", "memory", "link", "network")}),
)
@example(  # bound by the host: faster kernels must not shrink the time in which communication hides
    chosen={
        "model": "mixtral",
        "device": "b200-sxm-180gb",
        "tensor": 8,
        "pipeline": 1,
        "sharding": Sharding.ZERO3,
        "recompute": Recompute.NONE,
    },
    gain={"compute": 4.0},
)
def test_a_faster_device_is_never_slower(training: Workloads, chosen: dict[str, object], gain: dict[str, float]) -> None:
    device = accelerator(str(chosen["device"]))
    slow = known(training(**{**chosen, "device": device}))
    fast = known(training(**{**chosen, "device": faster(device, **gain)}))
    assert fast.step_seconds <= slow.step_seconds * (1 + 1e-9)


def test_one_tensor_rank_has_no_tensor_communication(training: Workloads) -> None:
    assert seconds_of(known(training(tensor=1, pipeline=8)), "tensorParallel") == 0
    assert seconds_of(known(training(tensor=8)), "tensorParallel") > 0


def test_twice_the_micro_batches_lower_the_share_of_the_bubble(training: Workloads) -> None:
    few = known(training(global_batch=64, pipeline=8, tensor=8))
    many = known(training(global_batch=128, pipeline=8, tensor=8))
    assert seconds_of(many, "pipelineBubble") / many.step_seconds < seconds_of(few, "pipelineBubble") / few.step_seconds


def test_interleaving_divides_the_bubble(training: Workloads) -> None:
    plain = known(training(interleave=1))
    interleaved = known(training(interleave=4))
    assert seconds_of(interleaved, "pipelineBubble") < 0.3 * seconds_of(plain, "pipelineBubble")


def test_a_step_of_few_micro_batches_is_bound_by_its_pipeline(training: Workloads) -> None:
    assert known(training(global_batch=8, pipeline=16, tensor=8, count=256, interleave=1)).bound is Bound.PIPELINE


def test_recomputation_lowers_memory_and_costs_a_forward(training: Workloads) -> None:
    none = known(training(recompute=Recompute.NONE))
    full = known(training(recompute=Recompute.FULL))
    assert full.memory.required_bytes < none.memory.required_bytes
    assert 1.1 < full.step_seconds / none.step_seconds < 1.4
    assert full.hfu_ratio / full.mfu_ratio == pytest.approx(4 / 3, rel=0.01)


def test_tensor_parallelism_across_nodes_is_slower_than_inside(training: Workloads) -> None:
    workload = training(count=64, tensor=8, pipeline=1, global_batch=256)
    across = replace(workload, fabric=replace(workload.fabric, link_domain=4))
    assert known(across).step_seconds > 1.3 * known(workload).step_seconds
    slow_network = replace(workload, fabric=replace(workload.fabric, link_domain=4, network_bytes_per_second=12.5e9))
    assert known(slow_network).bound is Bound.COMMUNICATION


def test_unfused_attention_reads_its_scores_from_memory(training: Workloads) -> None:
    flash = known(training(attention_kernel=AttentionKernel.FLASH2))
    unfused = known(training(attention_kernel=AttentionKernel.UNFUSED))
    assert seconds_of(unfused, "attention") > 3 * seconds_of(flash, "attention")


def test_a_loop_over_experts_is_bound_by_the_host(training: Workloads) -> None:
    loop = known(training(model="mixtral", count=8, tensor=1, pipeline=1, global_batch=64, moe_kernel=MoeKernel.LOOP))
    assert loop.bound is Bound.HOST


def test_eight_bits_are_faster_but_use_less_of_their_peak(training: Workloads) -> None:
    wide, narrow = known(training()), known(training(compute="fp8"))
    assert isinstance(wide.rates, TrainingRates) and isinstance(narrow.rates, TrainingRates)
    gain = narrow.rates.tokens_per_second_per_accelerator / wide.rates.tokens_per_second_per_accelerator
    assert 1.1 < gain < 1.8
    assert narrow.mfu_ratio < wide.mfu_ratio


def test_padding_lowers_the_useful_rate(training: Workloads) -> None:
    whole, padded = known(training()), known(training(token_efficiency_ratio=0.8))
    assert padded.mfu_ratio == pytest.approx(0.8 * whole.mfu_ratio)


def test_unbalanced_routing_costs_time(training: Workloads) -> None:
    job = {"model": "mixtral", "count": 64, "tensor": 1, "pipeline": 1, "expert": 8, "global_batch": 512}
    assert known(training(**job, balanced_routing=False)).step_seconds > known(training(**job)).step_seconds


def test_a_precision_that_the_device_lacks_gives_missing(training: Workloads) -> None:
    result = estimate(training(device="a100-sxm-80gb", compute="fp8"))
    assert isinstance(result, Missing)
    assert result.reason is Reason.UNSUPPORTED_PRECISION
    assert "a100-sxm-80gb" in result.message and "fp8" in result.message


def test_what_is_not_declared_is_assumed_aloud_and_widens_the_interval(training: Workloads) -> None:
    stated = known(training(recompute=Recompute.NONE))
    silent = known(training(recompute=None, micro_batch=None))
    assert any("recomputation" in line for line in silent.assumptions)
    assert any("micro-batch" in line for line in silent.assumptions)
    width = [result.interval.high_ratio / result.interval.low_ratio for result in (stated, silent)]
    assert width[1] > width[0]


@pytest.mark.parametrize(
    ("workload", "tokens_per_second"),
    [
        pytest.param({"model": "llama-8b", "count": 8, "tensor": 1, "pipeline": 1}, 12036, id="8B on 8 H100"),
        pytest.param({"model": "llama-70b", "count": 64, "tensor": 4, "pipeline": 4, "interleave": 5}, 1533, id="70B on 64 H100"),
    ],
)
def test_published_jobs_come_out_near_their_rates(training: Workloads, workload: dict[str, object], tokens_per_second: float) -> None:
    """Llama 3 pre-training in FP8 at 8192 tokens and 128 sequences a step, as the NeMo 24.07 performance page gives it."""
    result = known(training(**workload, context=2, compute="fp8", global_batch=128, framework=Framework.NEMO))
    assert isinstance(result.rates, TrainingRates)
    assert result.rates.tokens_per_second_per_accelerator == pytest.approx(tokens_per_second, rel=0.25)


def test_the_newer_attention_kernel_is_faster_only_where_it_runs(training: Workloads) -> None:
    def gain(device: str) -> float:
        usual = seconds_of(known(training(device=device)), "attention")
        return usual / seconds_of(known(training(device=device, attention_kernel=AttentionKernel.FLASH3)), "attention")

    assert gain("h100-sxm-80gb") > 1.2
    assert gain("a100-sxm-80gb") == pytest.approx(1)


def test_small_gemms_lose_part_of_a_wave(training: Workloads) -> None:
    """The same arithmetic in fewer rows at a time takes longer, most where tensor parallelism has made the outputs narrow."""

    def loss(tensor: int) -> float:
        few, many = (known(training(tensor=tensor, pipeline=4, micro_batch=size, recompute=Recompute.FULL)) for size in (1, 4))
        return seconds_of(few, "matmul") / seconds_of(many, "matmul")

    assert loss(tensor=8) > loss(tensor=2) > 1.0
