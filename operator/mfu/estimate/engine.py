"""What a serving engine does where the intent is silent: its flavour, cache precision, weight formats, scheduling limits."""

from dataclasses import dataclass

from mfu.estimate.profile import Profile
from mfu.estimate.release import runs_compiled_engine
from mfu.estimate.workload import Engine, Inference, Precisions
from mfu.hardware.accelerator import Accelerator, Vendor
from mfu.hardware.precision import Precision

__all__ = ["Behaviour", "behaviour", "cache_precision", "kernel_kind"]

_MOST_SEQUENCES = 4096  # for each attention rank
_LARGEST_CHUNK = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What follows from the engine.

    `flavour`: key of its coefficients, before `engine`. `reserves_output`: a sequence holds its whole length from the start.
    `keeps_windows`: the cache keeps tokens that have left a window. `shares_free_memory`: the memory ratio is of what the weights leave,
    not of the whole device.
    """

    flavour: str
    engine: str
    cache_precision: Precision
    reserves_output: bool
    keeps_windows: bool
    shares_free_memory: bool
    most_sequences: int
    chunk_tokens: int


def behaviour(job: Inference, precisions: Precisions, accelerator: Accelerator) -> Behaviour:
    """How `job.engine` runs."""
    flavour = job.engine.value
    if job.engine is Engine.TENSORRT_LLM:
        if runs_compiled_engine(job.engine, job.engine_version):
            flavour = "tensorrt-engine"
        elif job.concurrency is not None:
            flavour = "tensorrt-served"
    elif job.engine is Engine.VLLM and accelerator.vendor is Vendor.AMD:
        flavour = "vllm-rocm"
    return Behaviour(
        flavour=flavour,
        engine=job.engine.value,
        cache_precision=cache_precision(job, precisions, accelerator),
        reserves_output=job.engine is Engine.TENSORRT_LLM,
        keeps_windows=job.engine is Engine.TENSORRT_LLM,
        shares_free_memory=job.engine is Engine.TENSORRT_LLM,
        most_sequences=job.max_sequences or _MOST_SEQUENCES,
        chunk_tokens=job.max_batch_tokens or _LARGEST_CHUNK,
    )


def cache_precision(job: Inference, precisions: Precisions, accelerator: Accelerator) -> Precision:
    """The declared cache format, or the engine's usual one: 16 bits, but 8 beside quantised weights in TensorRT-LLM and in vLLM on ROCm."""
    if precisions.kv_cache is not None:
        return precisions.kv_cache
    quantised = precisions.weights.is_narrow
    eight_bit = job.engine is Engine.TENSORRT_LLM or (job.engine is Engine.VLLM and accelerator.vendor is Vendor.AMD)
    return Precision.FP8 if quantised and eight_bit else Precision.BF16


def kernel_kind(engine: Engine, profile: Profile, precisions: Precisions, accelerator: Accelerator) -> str:
    """Kind of expert (and, for latent attention, dense) kernel: block-scaled ones run below the dense rate."""
    if precisions.weights is Precision.MXFP4:
        return "mxfp4-emulated" if accelerator.architecture == "hopper" else "plain"
    if precisions.weights is Precision.FP8 and profile.experts:
        if engine in (Engine.VLLM, Engine.SGLANG) and accelerator.architecture == "hopper":
            return "triton"
        if profile.latent:
            return "fused"
    return "plain"
