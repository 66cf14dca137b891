"""What an estimate of a serving replica must hold, whatever the coefficients."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfu.estimate.estimator import estimate
from mfu.estimate.memory import cache_bytes_per_sequence
from mfu.estimate.profile import profile_of
from mfu.estimate.result import Bound, Estimate, ServingRates
from mfu.estimate.workload import Engine, Phase, Speculative, Workload
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.catalog import accelerator
from mfu.missing import Missing, Reason
from mfu.model.architecture import Architecture

Workloads = Callable[..., Workload]


def known(workload: Workload) -> Estimate:
    result = estimate(workload)
    assert isinstance(result, Estimate)
    return result


def rates(workload: Workload) -> ServingRates:
    found = known(workload).rates
    assert isinstance(found, ServingRates)
    return found


def faster(device: Accelerator, *, compute: float = 1.0, memory: float = 1.0, link: float = 1.0) -> Accelerator:
    return replace(
        device,
        peak_flops_per_second={name: peak * compute for name, peak in device.peak_flops_per_second.items()},
        memory_bytes_per_second=device.memory_bytes_per_second * memory,
        link_bytes_per_second=device.link_bytes_per_second * link,
    )


chosen_replicas = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["llama-8b", "llama-70b", "multi-head-7b", "mixtral", "deepseek-v3"]),
        "device": st.sampled_from(["h100-sxm-80gb", "h200-sxm-141gb", "b200-sxm-180gb", "l40s-48gb", "mi300x-192gb"]),
        "tensor": st.sampled_from([1, 2, 4, 8]),
        "pipeline": st.sampled_from([1, 2]),
        "data": st.sampled_from([1, 2]),
        "engine": st.sampled_from(list(Engine)),
        "phase": st.sampled_from(list(Phase)),
        "concurrency": st.sampled_from([None, 1, 16, 256]),
        "input_tokens": st.sampled_from([1, 128, 8192]),
        "output_tokens": st.sampled_from([1, 128, 4096]),
        "prefix_hit_ratio": st.sampled_from([0.0, 0.5]),
    }
)


@settings(max_examples=80, deadline=None)
@given(chosen=chosen_replicas)
def test_ratios_stay_between_0_and_1_and_rates_are_consistent(serving: Workloads, chosen: dict[str, object]) -> None:
    result = known(serving(**chosen))
    assert isinstance(result.rates, ServingRates)
    assert 0 < result.interval.low_ratio < result.mfu_ratio <= result.interval.high_ratio < 1
    assert result.mfu_ratio <= result.hfu_ratio <= 1
    assert result.mfu_ratio <= result.full_attention_mfu_ratio <= 1
    assert 0 < result.roofline_ratio <= 1
    assert all(term.seconds > 0 for term in result.terms)
    assert result.rates.output_tokens_per_second_per_accelerator <= result.rates.total_tokens_per_second_per_accelerator
    rate = result.rates.total_tokens_per_second_per_accelerator
    assert result.mfu_ratio == pytest.approx(rate * result.model_flops_per_token / result.peak_flops_per_second, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    chosen=chosen_replicas,
    gain=st.fixed_dictionaries({name: st.sampled_from([1.0, 1.5, 4.0]) for name in ("compute", "memory", "link")}),
)
def test_a_faster_device_never_serves_fewer_tokens(serving: Workloads, chosen: dict[str, object], gain: dict[str, float]) -> None:
    device = accelerator(str(chosen["device"]))
    slow = rates(serving(**{**chosen, "device": device}))
    fast = rates(serving(**{**chosen, "device": faster(device, **gain)}))
    assert fast.total_tokens_per_second_per_accelerator >= slow.total_tokens_per_second_per_accelerator * (1 - 1e-9)


def test_one_rank_has_no_tensor_communication(serving: Workloads) -> None:
    names = {term.name for term in known(serving(model="llama-8b", tensor=1)).terms}
    assert "tensorParallel" not in names
    assert "tensorParallel" in {term.name for term in known(serving(model="llama-8b", tensor=2)).terms}


def test_a_small_batch_is_bound_by_memory_and_near_its_roofline(serving: Workloads) -> None:
    result = known(serving(concurrency=4, phase=Phase.DECODE))
    assert result.bound is Bound.MEMORY
    assert result.mfu_ratio < 0.05
    assert result.roofline_ratio > 5 * result.mfu_ratio


def test_prefill_is_bound_by_compute(serving: Workloads) -> None:
    result = known(serving(phase=Phase.PREFILL, input_tokens=4096))
    assert result.bound is Bound.COMPUTE
    assert result.mfu_ratio > 0.2


def test_more_sequences_raise_throughput_and_the_time_of_a_token(serving: Workloads) -> None:
    few, many = rates(serving(concurrency=8)), rates(serving(concurrency=64))
    assert many.output_tokens_per_second_per_accelerator > 3 * few.output_tokens_per_second_per_accelerator
    assert many.time_per_output_token_seconds > few.time_per_output_token_seconds


def test_throughput_is_concurrency_over_latency(serving: Workloads) -> None:
    found = rates(serving(concurrency=32, input_tokens=1, output_tokens=1024))
    total = found.output_tokens_per_second_per_accelerator * 4
    assert total == pytest.approx(32 / found.time_per_output_token_seconds, rel=0.05)


def test_undeclared_concurrency_is_what_memory_holds(serving: Workloads) -> None:
    result = known(serving(concurrency=None, tensor=2))
    assert isinstance(result.rates, ServingRates)
    assert result.rates.concurrency > 8
    assert 0.7 < result.memory.required_bytes / result.memory.capacity_bytes <= 1
    assert any("concurrency" in line for line in result.assumptions)


def test_more_sequences_than_memory_holds_wait_for_their_first_token(serving: Workloads) -> None:
    fits, crowded = rates(serving(concurrency=64, tensor=2)), rates(serving(concurrency=4000, tensor=2))
    assert crowded.concurrency < 4000
    assert crowded.time_to_first_token_seconds > 10 * fits.time_to_first_token_seconds


def test_latent_attention_keeps_a_far_smaller_cache_than_one_with_as_many_heads(architecture: Callable[[str], Architecture]) -> None:
    latent = cache_bytes_per_sequence(profile_of(architecture("deepseek-v3")), 4096, 2.0, tensor=1, pipeline=1, whole_context=True) / 61
    heads = cache_bytes_per_sequence(profile_of(architecture("multi-head-7b")), 4096, 2.0, tensor=1, pipeline=1, whole_context=True) / 32
    assert latent < heads / 10


def test_a_narrow_cache_holds_twice_the_sequences(serving: Workloads) -> None:
    wide = rates(serving(concurrency=None, kv_cache="bf16", input_tokens=4096))
    narrow = rates(serving(concurrency=None, kv_cache="fp8", input_tokens=4096))
    assert narrow.concurrency == pytest.approx(2 * wide.concurrency, rel=0.02)


def test_weights_that_do_not_fit_name_the_tensor_parallelism_that_would(serving: Workloads) -> None:
    result = known(serving(tensor=1, compute="bf16"))
    assert not result.memory.fits
    assert result.memory.remedy == "inference.parallelism.tensor: 1 → 2"
    assert known(serving(tensor=2, compute="bf16", concurrency=1)).memory.fits


def test_a_prefix_cache_saves_prefill(serving: Workloads) -> None:
    cold, warm = rates(serving(input_tokens=8192)), rates(serving(input_tokens=8192, prefix_hit_ratio=0.9))
    assert warm.output_tokens_per_second_per_accelerator > 1.5 * cold.output_tokens_per_second_per_accelerator
    assert warm.time_to_first_token_seconds < 0.3 * cold.time_to_first_token_seconds


def test_accepted_drafts_speed_up_a_small_batch(serving: Workloads, architecture: Callable[[str], Architecture]) -> None:
    draft = architecture("llama-8b")
    plain = rates(serving(concurrency=4))
    good = rates(serving(concurrency=4, speculative=Speculative(method="draft", tokens=3, acceptance_ratio=0.9, draft=draft)))
    useless = rates(serving(concurrency=4, speculative=Speculative(method="draft", tokens=3, acceptance_ratio=0.0, draft=draft)))
    assert good.time_per_output_token_seconds < plain.time_per_output_token_seconds < useless.time_per_output_token_seconds


def test_a_precision_that_the_device_lacks_gives_missing(serving: Workloads) -> None:
    result = estimate(serving(device="a100-sxm-80gb", compute="fp8"))
    assert isinstance(result, Missing)
    assert result.reason is Reason.UNSUPPORTED_PRECISION


def test_a_published_deployment_comes_out_near_its_rate(serving: Workloads) -> None:
    """Llama-3.3-70B FP8 on two H100 at full load, 1000 in and 1000 out: the TensorRT-LLM 1.0 performance page."""
    found = rates(
        serving(tensor=2, engine=Engine.TENSORRT_LLM, engine_version="1.0", concurrency=None, input_tokens=1000, output_tokens=1000)
    )
    assert found.output_tokens_per_second_per_accelerator == pytest.approx(2102.5, rel=0.25)
