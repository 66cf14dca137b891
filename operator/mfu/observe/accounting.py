"""Contradictions between what the application, the engine and the hardware say."""

from mfu.estimate.workload import Workload
from mfu.hardware.precision import Precision
from mfu.missing import Missing
from mfu.observe.observation import Observation

__all__ = ["accounting_faults", "overcounted"]

# Tensor activity is counted in sampled cycles and the clock is a mean: an application figure slightly above is no fault.
_ACCOUNTING_SLACK_RATIO = 1.15
_ACCOUNTING_SLACK = 0.02
# Precisions that run on the tensor pipe at the peak of their own data-sheet line, so that activity bounds the application's figure.
_COMPARABLE = frozenset({Precision.BF16, Precision.FP16, Precision.FP8, Precision.MXFP8})
_ENGINE_DISAGREEMENT_RATIO = 1.5


def accounting_faults(workload: Workload, observation: Observation, model_flops_per_second: float) -> tuple[str, ...]:
    """Contradictions between sources: they point at a wrong declaration or a wrong counter, not at a slow job."""
    faults = (overcounted(workload, observation), _engine_disagrees(observation, model_flops_per_second))
    return tuple(fault for fault in faults if fault is not None)


def overcounted(workload: Workload, observation: Observation) -> str | None:
    """Says so when the application figure is above what the tensor pipes can have done."""
    mfu, hardware = observation.mfu_ratio, observation.hardware_ratio
    accelerator = workload.fabric.accelerator
    if isinstance(mfu, Missing) or isinstance(hardware, Missing) or workload.precisions.compute not in _COMPARABLE:
        return None
    # Peaks hold at their stated clock, which may be below the maximum.
    bound = hardware * accelerator.max_clock_hertz / (accelerator.peak_clock_hertz or accelerator.max_clock_hertz)
    if mfu <= bound * _ACCOUNTING_SLACK_RATIO + _ACCOUNTING_SLACK:
        return None
    return (
        f"application MFU {mfu:.1%} is above the {bound:.1%} that the tensor pipes were active for: "
        "check the declared model, precision, sequence length and accelerator count"
    )


def _engine_disagrees(observation: Observation, model_flops_per_second: float) -> str | None:
    engine = observation.evidence.engine_flops_per_second
    if engine is None or model_flops_per_second <= 0.0:
        return None
    ratio = engine / model_flops_per_second
    if 1.0 / _ENGINE_DISAGREEMENT_RATIO <= ratio <= _ENGINE_DISAGREEMENT_RATIO:
        return None
    return (
        f"the engine's own count is {ratio:.2f} times the model FLOPs of its tokens; "
        "engines miscount mixtures of experts and tensor parallelism"
    )
