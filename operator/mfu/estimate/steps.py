"""From a training workload to its estimate: settle the recipe, time the step, convert to rates and ratios."""

from dataclasses import dataclass
from functools import lru_cache

from mfu.estimate.breakdown import dominant, terms
from mfu.estimate.coefficients import Calibration
from mfu.estimate.interval import interval, training_kind
from mfu.estimate.machine import Machine, head_precision, sustained
from mfu.estimate.memory import training_memory
from mfu.estimate.profile import profile_of
from mfu.estimate.recipe import settle
from mfu.estimate.remedy import training_remedy
from mfu.estimate.result import Estimate, MemoryFit, TrainingRates
from mfu.estimate.training import training_step
from mfu.estimate.workload import Training, Workload
from mfu.missing import Missing
from mfu.model.architecture import Adapter, Architecture
from mfu.model.operations import Pass
from mfu.model.totals import count

__all__ = ["estimate_training"]


def estimate_training(workload: Workload, job: Training, known: Calibration) -> Estimate | Missing:
    """Expected step time, tokens/s and MFU of one training job."""
    accelerator = workload.fabric.accelerator
    precision = workload.precisions.compute
    peak = accelerator.peak(precision)
    head = head_precision(accelerator)
    attention = accelerator.peak(workload.precisions.attention)
    if isinstance(peak, Missing):
        return peak
    if isinstance(head, Missing):
        return head
    if isinstance(attention, Missing):
        return attention
    head_peak = accelerator.peak_flops_per_second[head.peak_key]
    coefficients = known.training
    ratios = (coefficients.sustained_ratio, coefficients.precision_ratio, coefficients.power_exponent)
    machine = Machine(
        architecture=accelerator.architecture,
        peak_flops_per_second=peak,
        matmul_flops_per_second=peak * sustained(accelerator, precision, *ratios),
        head_flops_per_second=head_peak * sustained(accelerator, head, *ratios),
        attention_peak_flops_per_second=attention,
        memory_bytes_per_second=accelerator.memory_bytes_per_second,
        operand_bytes=precision.bytes_per_element,
        multiprocessors=accelerator.multiprocessors,
    )
    profile = profile_of(workload.architecture, workload.adapter)
    recipe = settle(job, profile, workload.precisions, workload.fabric)
    layout = recipe.layout
    step = training_step(job, layout, profile, workload.fabric, machine, precision, coefficients)
    seconds = step.seconds
    tokens = layout.tokens_per_step * job.token_efficiency_ratio
    rate = tokens / seconds / layout.ranks
    flops = _flops_per_token(workload.architecture, workload.adapter, job.sequence_length)
    mfu = rate * flops.visible / peak
    fit = training_memory(layout, profile, workload.precisions, accelerator, job.framework, job.optimizer)
    if not fit.fits:
        fit = MemoryFit(parts=fit.parts, capacity_bytes=fit.capacity_bytes, remedy=training_remedy(workload, job, layout, profile))
    return Estimate(
        mfu_ratio=mfu,
        interval=interval(mfu, training_kind(profile, recipe.open_choices), accelerator, known.widths),
        hfu_ratio=mfu * (1.0 + step.recomputed_ratio * flops.forward_visible / flops.visible),
        full_attention_mfu_ratio=rate * flops.full / peak,
        roofline_ratio=min(1.0, (layout.tokens_per_step * flops.visible / layout.ranks / peak + step.traffic_seconds) / seconds),
        bound=dominant(step.parts),
        model_flops_per_token=flops.visible,
        peak_flops_per_second=peak,
        memory=fit,
        terms=terms(step.parts, mfu),
        rates=TrainingRates(step_seconds=seconds, tokens_per_second_per_accelerator=rate, tokens_per_step=round(tokens)),
        assumptions=(*workload.assumptions, *recipe.assumptions),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flops:
    """Model FLOP of one trained token."""

    visible: float
    full: float
    forward_visible: float


@lru_cache(maxsize=1024)
def _flops_per_token(architecture: Architecture, adapter: Adapter | None, sequence_length: int) -> _Flops:
    counted = count(architecture, Pass(batch=1, new_tokens=sequence_length), adapter)
    return _Flops(
        visible=counted.training.total_visible / sequence_length,
        full=counted.training.total_full / sequence_length,
        forward_visible=counted.forward.total_visible / sequence_length,
    )
