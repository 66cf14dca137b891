"""One rank of a serving replica: sustained rates, its share of the model, and its links."""

from mfu.estimate.coefficients import InferenceCoefficients, keyed
from mfu.estimate.engine import Behaviour, kernel_kind
from mfu.estimate.machine import head_precision
from mfu.estimate.profile import Profile
from mfu.estimate.serving_kernels import Rank
from mfu.estimate.workload import Engine, Inference, Workload
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.precision import Precision
from mfu.missing import Missing

__all__ = ["rank_of"]

_FOUR_BIT = frozenset({Precision.FP4, Precision.NVFP4, Precision.MXFP4})


def rank_of(workload: Workload, job: Inference, profile: Profile, how: Behaviour, known: InferenceCoefficients) -> Rank | Missing:
    """Rates and shares of one rank, or why the accelerator cannot run it."""
    accelerator, precisions = workload.fabric.accelerator, workload.precisions
    peak = accelerator.peak(precisions.compute)
    head = head_precision(accelerator)
    attention = accelerator.peak(precisions.attention)
    if isinstance(peak, Missing):
        return peak
    if isinstance(head, Missing):
        return head
    if isinstance(attention, Missing):
        return attention
    base = keyed(known.sustained_ratio, accelerator.architecture)
    plain = accelerator.peak_flops_per_second[head.peak_key] * base
    dense = peak * base * keyed(known.precision_ratio, precisions.compute.value)
    kind = keyed(known.block_scaled_ratio, kernel_kind(job.engine, profile, precisions, accelerator))
    mixed = precisions.weights is Precision.MXFP4 and profile.experts > 0
    expert_rate = _expert_rate(accelerator, precisions.compute, dense, base, known) if mixed else dense
    sixteen_bit_attention = mixed or (profile.latent and precisions.weights in _FOUR_BIT)
    degrees = job.parallelism
    inside = degrees.tensor * degrees.data <= workload.fabric.link_domain and accelerator.link_is_switched
    link = accelerator.link_bytes_per_second
    if degrees.tensor * degrees.data > max(1, workload.fabric.link_domain):
        link = min(link, workload.fabric.network_bytes_per_second * max(1, workload.fabric.link_domain))
    link_kind = "switched" if inside else "unswitched"
    return Rank(
        peak_flops_per_second=peak,
        matmul_flops_per_second=dense * (kind if profile.latent else 1.0),
        plain_flops_per_second=plain,
        expert_flops_per_second=expert_rate * kind,
        attention_peak_flops_per_second=attention,
        memory_bytes_per_second=accelerator.memory_bytes_per_second,
        multiprocessors=accelerator.multiprocessors,
        tensor=degrees.tensor,
        pipeline=degrees.pipeline,
        data=degrees.data,
        expert=max(1, min(degrees.expert, degrees.tensor * degrees.data)),
        link_bytes_per_second=link * keyed(known.link_ratio, link_kind),
        dispatch_bytes_per_second=link * known.dispatch_link_ratio,
        link_latency_seconds=keyed(known.link_latency_seconds, link_kind),
        weight_bytes=2.0 if mixed else precisions.weights.bytes_per_element,
        expert_weight_bytes=precisions.weights.bytes_per_element,
        attention_weight_bytes=2.0 if sixteen_bit_attention else precisions.weights.bytes_per_element,
        attention_is_plain=sixteen_bit_attention,
        cache_bytes=how.cache_precision.bytes_per_element,
        fast_prefill=job.engine is Engine.TENSORRT_LLM and how.cache_precision is Precision.FP8,
        behaviour=how,
    )


def _expert_rate(accelerator: Accelerator, compute: Precision, dense: float, base: float, known: InferenceCoefficients) -> float:
    """MXFP4 experts run at the 8-bit rate where the matrix units take 4-bit operands, else in the compute precision."""
    eight_bit = accelerator.peak(Precision.FP8)
    if accelerator.architecture.startswith(("blackwell", "cdna4")) and not isinstance(eight_bit, Missing):
        return max(dense, eight_bit * base * keyed(known.precision_ratio, "fp8"))
    return dense
