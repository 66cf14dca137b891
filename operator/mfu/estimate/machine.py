"""One accelerator as the kernels see it: sustained rates instead of data-sheet peaks."""

from dataclasses import dataclass

from mfu.estimate.coefficients import Keyed, keyed
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.precision import Precision
from mfu.missing import Missing, Reason

__all__ = ["Machine", "head_precision", "sustained"]

# Watts for each bf16 TFLOP/s of the part that an architecture's sustained ratio was measured on; less power behind each FLOP clocks lower.
_REFERENCE_WATTS_PER_TERAFLOP = {
    "volta": 300 / 125,
    "ampere": 400 / 312,
    "ada": 350 / 362,
    "hopper": 700 / 989,
    "blackwell": 1200 / 2500,
    "blackwell-ultra": 1400 / 2500,
    "cdna3": 750 / 1307,
    "cdna4": 1400 / 2500,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Rates in FLOP/s and bytes/s that large kernels reach.

    `matmul`: at the compute precision; `head`: the output head, which stays in 16 bits; `attention_peak`: data-sheet peak of attention's
    precision.
    """

    architecture: str
    peak_flops_per_second: float
    matmul_flops_per_second: float
    head_flops_per_second: float
    attention_peak_flops_per_second: float
    memory_bytes_per_second: float
    operand_bytes: float
    multiprocessors: int


def head_precision(accelerator: Accelerator) -> Precision | Missing:
    """The 16-bit format that the output head and the router run in."""
    for precision in (Precision.BF16, Precision.FP16, Precision.TF32, Precision.FP32):
        if precision.peak_key in accelerator.peak_flops_per_second:
            return precision
    return Missing(
        reason=Reason.UNSUPPORTED_PRECISION, message=f"{accelerator.name} lists no 16- or 32-bit peak; add one to its AcceleratorClass"
    )


def sustained(accelerator: Accelerator, precision: Precision, ratios: Keyed, precisions: Keyed, power_exponent: float) -> float:
    """Sustained share of the dense peak for large GEMMs in `precision`; at most 0.97."""
    ratio = keyed(ratios, accelerator.architecture) * keyed(precisions, precision.value)
    sixteen_bit = accelerator.peak_flops_per_second.get("bf16") or accelerator.peak_flops_per_second.get("fp16")
    reference = _REFERENCE_WATTS_PER_TERAFLOP.get(accelerator.architecture)
    if sixteen_bit and reference:
        ratio *= (accelerator.power_watts / (sixteen_bit / 1e12) / reference) ** power_exponent
    return min(0.97, ratio)
