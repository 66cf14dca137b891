"""What hardware counters should show for the declared work, and how far what they do show departs from it.

Synchronous work obeys speed = activity × clock ÷ work: a slowdown is pipes that wait, cycles that are slower, or more work than the
tokens need. The counters tell the three apart whatever the estimate's own error is.
"""

from dataclasses import dataclass

from mfu.estimate.result import Bound, Estimate, ServingRates
from mfu.estimate.workload import Inference, Phase, Workload
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.precision import Precision
from mfu.missing import Missing
from mfu.model.operations import Pass
from mfu.model.totals import count
from mfu.observe.observation import Observation

__all__ = [
    "BUSY_WHEN_HEALTHY",
    "Departure",
    "departure",
    "excess_traffic",
    "expected_memory_active",
    "loaded_clock_ratio",
    "stated_clock_ratio",
    "wide_kernel_excess",
]

# Tensor-pipe activity over executed model FLOPs: 1.10 was measured (Kempner 7B on 32 H200, FSDP, full recomputation).
_ACTIVITY_OVER_FLOPS = 1.10
BUSY_WHEN_HEALTHY = 0.97
# Parts under a full load run below the clock that their peak is stated at; expectations include that.
_LEAST_LOADED_CLOCK_RATIO = 0.85
# Memory activity while a term runs. Kempner 7B: 0.22 of the H200's bandwidth over a whole training step.
_MEMORY_BOUND_ACTIVITY = 0.85
_ACTIVITY = {
    "matmul": 0.25,
    "experts": 0.35,
    "attention": 0.15,
    "head": 0.4,
    "recompute": 0.35,
    "hostLaunch": 0.1,
    "frameworkOverhead": 0.25,
    "draft": 0.6,
    "rankImbalance": 0.2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """`speed_ratio`: observed over expected MFU. Others are None where the counters are not there.

    `excess_work_ratio`: work of the tensor pipes over what the counted tokens need. `idle_ratio`: share of time without any kernel,
    beyond what every job has. `memory_excess_ratio`: share of time of memory traffic beyond what the work in the tensor pipes needs.
    """

    speed_ratio: float
    excess_work_ratio: float | None
    idle_ratio: float | None
    memory_excess_ratio: float | None


def departure(workload: Workload, estimate: Estimate, observation: Observation) -> Departure:
    """How `observation`, whose MFU is known, departs from `estimate`."""
    evidence = observation.evidence
    mfu = 0.0 if isinstance(observation.mfu_ratio, Missing) else observation.mfu_ratio
    speed = mfu / estimate.mfu_ratio if estimate.mfu_ratio > 0.0 else 1.0
    memory, excess = evidence.memory_active_ratio, _excess_work(workload, estimate, observation, mfu)
    moved = min(1.0, speed * max(1.0, excess or 1.0))
    return Departure(
        speed_ratio=speed,
        excess_work_ratio=excess,
        idle_ratio=None if evidence.busy_ratio is None else max(0.0, 1.0 - evidence.busy_ratio / BUSY_WHEN_HEALTHY),
        memory_excess_ratio=None if memory is None else memory - moved * expected_memory_active(estimate),
    )


def loaded_clock_ratio(accelerator: Accelerator) -> float:
    """The lowest clock of a healthy part under load, over its maximum."""
    return min(_LEAST_LOADED_CLOCK_RATIO, stated_clock_ratio(accelerator))


def stated_clock_ratio(accelerator: Accelerator) -> float:
    """The clock that the peak is stated at, over the maximum."""
    return (accelerator.peak_clock_hertz or accelerator.max_clock_hertz) / accelerator.max_clock_hertz


def expected_memory_active(estimate: Estimate) -> float:
    """Share of time in which the device memory should be active."""
    step = estimate.step_seconds
    if step <= 0.0:
        return 0.0
    active = sum(
        term.seconds * (_MEMORY_BOUND_ACTIVITY if term.bound is Bound.MEMORY else _ACTIVITY.get(term.name, 0.05)) for term in estimate.terms
    )
    return active / step


def wide_kernel_excess(workload: Workload) -> float:
    """Work of the tensor pipes, over what is expected, if the products of a declared narrow precision ran in 16 bits; 2 for 16 in 32."""
    accelerator = workload.fabric.accelerator
    compute, wide = accelerator.peak(workload.precisions.compute), accelerator.peak(Precision.BF16)
    if not workload.precisions.compute.is_narrow or isinstance(compute, Missing) or isinstance(wide, Missing):
        return 2.0
    return compute / wide / _wide_work(workload, accelerator)


def excess_traffic(workload: Workload, estimate: Estimate, observation: Observation) -> tuple[float, float] | None:
    """Device-memory bytes of a decode step over those of the declared weights and the cache, and what the same would be for 16-bit
    weights. None for anything that does not decode one token a request and step, or where a figure is missing.
    """
    job, evidence = workload.job, observation.evidence
    running, active, tokens = evidence.running_requests, evidence.memory_active_ratio, observation.tokens_per_second
    if not isinstance(job, Inference) or not isinstance(estimate.rates, ServingRates) or job.speculative or job.phase is Phase.PREFILL:
        return None
    if not running or active is None or not tokens or workload.architecture.has_experts:
        return None
    replicas = max(1.0, observation.accelerators / workload.fabric.count)
    steps_per_second = tokens / replicas / running
    moved = active * workload.fabric.accelerator.memory_bytes_per_second / steps_per_second
    parts = {part.name: part.required_bytes for part in estimate.memory.parts}
    weights, cache = parts.get("weights", 0.0), parts.get("kvCache", 0.0) * running / max(1, estimate.rates.concurrency)
    if weights <= 0.0:
        return None
    wider = weights * max(1.0, Precision.BF16.bytes_per_element / workload.precisions.weights.bytes_per_element)
    return moved / (weights + cache), (wider + cache) / (weights + cache)


def _excess_work(workload: Workload, estimate: Estimate, observation: Observation, mfu: float) -> float | None:
    hardware = observation.hardware_ratio
    if isinstance(hardware, Missing) or mfu <= 0.0 or isinstance(workload.job, Inference):
        return None  # decoding leaves most of a tile empty: pipes are active for work that no token needs
    accelerator = workload.fabric.accelerator
    executed = estimate.hfu_ratio / estimate.mfu_ratio * _wide_work(workload, accelerator) * _ACTIVITY_OVER_FLOPS
    # Activity × clock ÷ maximum is a share of the peak at the maximum clock, MFU of the peak at its stated clock.
    stated = stated_clock_ratio(accelerator)
    return hardware / (mfu * executed * stated)


def _wide_work(workload: Workload, accelerator: Accelerator) -> float:
    """Pipe time of a pass over what it would be if all of it ran at the compute precision: attention and head stay wide."""
    job = workload.job
    compute, wide = accelerator.peak(workload.precisions.compute), accelerator.peak(Precision.BF16)
    if not workload.precisions.compute.is_narrow or isinstance(job, Inference) or isinstance(compute, Missing) or isinstance(wide, Missing):
        return 1.0
    counted = count(workload.architecture, Pass(batch=1, new_tokens=job.sequence_length), workload.adapter).training
    share = (counted.attention_visible + counted.lm_head) / counted.total_visible
    return 1.0 + share * (compute / wide - 1.0)
