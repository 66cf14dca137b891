"""Rules from evidence to causes: each says how much speed its cause takes by itself, or nothing."""

from collections.abc import Iterator

from mfu.estimate.result import Bound, Estimate, ServingRates
from mfu.estimate.workload import Inference, Workload
from mfu.judge.assessment import Cause
from mfu.judge.baseline import at_placement, is_below_load, with_load
from mfu.judge.waterfall import Loss
from mfu.missing import Missing
from mfu.observe.observation import Evidence, Observation
from mfu.place.assess import Spread

__all__ = ["losses", "unmeasured"]

_DATA_WAIT = 0.05
# Expectations include the clocks that parts hold under load; below this share of the maximum something holds them back.
_LOADED_CLOCK_RATIO = 0.85
_THROTTLED_CLOCK_RATIO = 0.75
_WORKING_RATIO = 0.5  # of GPU utilisation: an idle device lowers its clock by itself
_IDLE_ENGINE_BUSY_RATIO = 0.6
_FULL_CACHE_RATIO = 0.9
_BUSY_MEMORY_RATIO = 0.75
# Tensor-pipe activity over executed model FLOPs: 1.10 was measured (Kempner 7B on 32 H200, FSDP, full recomputation).
_ACTIVITY_OVER_FLOPS = 1.10
_UNDECLARED_WORK_RATIO = 1.3
_WRONG_PRECISION_RATIO = 1.6
_SPINNING_BUSY_RATIO = 0.9
_WAITING_BUSY_RATIO = 0.7


def losses(workload: Workload, estimate: Estimate, observation: Observation, spread: Spread | Missing) -> tuple[Loss, ...]:
    """Causes whose effect can be put in numbers."""
    return tuple(
        loss
        for rule in (
            _data_starvation(observation.evidence),
            _straggler(observation.evidence),
            _throttling(observation.evidence),
            _placement(workload, estimate, spread),
            _load(workload, estimate, observation),
            _undeclared_work(workload, estimate, observation),
        )
        for loss in rule
    )


def unmeasured(workload: Workload, estimate: Estimate, observation: Observation, spread: Spread | Missing) -> tuple[Cause, str]:
    """The cause that the evidence points to for what the measured ones leave over."""
    evidence = observation.evidence
    if not isinstance(spread, Missing) and spread.groups_inside is False:
        return Cause.TOPOLOGY, spread.message
    if _cache_is_full(evidence):
        return Cause.CACHE_PRESSURE, _cache_text(evidence)
    if (evidence.memory_active_ratio or 0.0) >= _BUSY_MEMORY_RATIO and estimate.bound is not Bound.MEMORY:
        return Cause.MEMORY_BOUND, f"device memory is active {evidence.memory_active_ratio:.0%} of the time"
    busy, tensor = evidence.busy_ratio, evidence.tensor_active_ratio
    if busy is not None and tensor is not None:
        figures = f"devices are busy {busy:.0%} of the time with tensor pipes active {tensor:.0%}"
        if busy >= _SPINNING_BUSY_RATIO and workload.fabric.count > 1:
            return Cause.COMMUNICATION, f"{figures}: they wait inside collectives"
        if busy < _WAITING_BUSY_RATIO and (evidence.data_wait_ratio or 0.0) < _DATA_WAIT:
            return Cause.HOST_BOUND, f"{figures}: they wait for the host"
        return Cause.UNEXPLAINED, f"{figures}, which points at no single cause"
    return Cause.UNEXPLAINED, "no exporter shows what is lost; enable the profiling counters of dcgm-exporter"


def _data_starvation(evidence: Evidence) -> Iterator[Loss]:
    wait = evidence.data_wait_ratio
    if wait is not None and wait >= _DATA_WAIT:
        yield Loss(cause=Cause.DATA_STARVATION, lost_ratio=wait, evidence=f"the training loop waits {wait:.0%} of the time for its data")


def _straggler(evidence: Evidence) -> Iterator[Loss]:
    if evidence.slowest_node is not None and evidence.slowest_node_ratio is not None:
        yield Loss(
            cause=Cause.STRAGGLER,
            lost_ratio=1.0 - evidence.slowest_node_ratio,
            evidence=f"node {evidence.slowest_node} runs at {evidence.slowest_node_ratio:.0%} of the median node, and all wait for it",
        )


def _throttling(evidence: Evidence) -> Iterator[Loss]:
    clock, busy = evidence.clock_ratio, evidence.busy_ratio
    idle = busy is not None and busy < _WORKING_RATIO
    if clock is not None and clock < _THROTTLED_CLOCK_RATIO and not idle and evidence.slowest_node is None:
        yield Loss(
            cause=Cause.THROTTLING,
            lost_ratio=1.0 - clock / _LOADED_CLOCK_RATIO,
            evidence=f"SM clocks are at {clock:.0%} of their maximum under load: look at power caps and temperatures",
        )


def _placement(workload: Workload, estimate: Estimate, spread: Spread | Missing) -> Iterator[Loss]:
    placed = at_placement(workload, spread)
    if placed is not None and not isinstance(spread, Missing) and placed.mfu_ratio < estimate.mfu_ratio:
        yield Loss(cause=Cause.TOPOLOGY, lost_ratio=1.0 - placed.mfu_ratio / estimate.mfu_ratio, evidence=spread.message)


def _load(workload: Workload, estimate: Estimate, observation: Observation) -> Iterator[Loss]:
    """A batch below the expected one, unless a full cache keeps requests out."""
    evidence = observation.evidence
    if not isinstance(estimate.rates, ServingRates) or not is_below_load(estimate, observation) or _cache_is_full(evidence):
        return
    loaded = with_load(workload, observation, evidence.running_requests or 0.0)
    if loaded is None:
        return
    running = evidence.running_requests or 0.0
    figures = f"{running:.0f} requests in flight on average where {estimate.rates.concurrency} are expected"
    idle = running < 1.0 or (evidence.busy_ratio is not None and evidence.busy_ratio < _IDLE_ENGINE_BUSY_RATIO)
    queue = "" if evidence.waiting_requests is None else f", {evidence.waiting_requests:.0f} waiting"
    yield Loss(
        cause=Cause.LOW_DEMAND if idle and not evidence.waiting_requests else Cause.SMALL_BATCH,
        lost_ratio=1.0 - loaded.mfu_ratio / estimate.mfu_ratio,
        evidence=figures + queue,
    )


def _undeclared_work(workload: Workload, estimate: Estimate, observation: Observation) -> Iterator[Loss]:
    """Tensor pipes that do much more than the tokens need: a wider precision, undeclared recomputation, padding, another model."""
    mfu, hardware = observation.mfu_ratio, observation.hardware_ratio
    if isinstance(mfu, Missing) or isinstance(hardware, Missing) or mfu <= 0.0 or isinstance(workload.job, Inference):
        return
    executed = estimate.hfu_ratio / estimate.mfu_ratio
    excess = hardware / (mfu * executed * _ACTIVITY_OVER_FLOPS)
    figures = f"tensor pipes do {excess:.1f} times the work that the declared tokens need"
    if excess >= _WRONG_PRECISION_RATIO and workload.precisions.compute.is_narrow:
        yield Loss(
            cause=Cause.PRECISION_MISMATCH,
            lost_ratio=1.0 - 1.0 / excess,
            evidence=f"{figures}: kernels seem to run wider than the declared {workload.precisions.compute}",
        )
    elif excess >= _UNDECLARED_WORK_RATIO:
        yield Loss(
            cause=Cause.WRONG_DECLARATION,
            lost_ratio=1.0 - 1.0 / excess,
            evidence=f"{figures}: look for undeclared recomputation, padding or another sequence length",
        )


def _cache_is_full(evidence: Evidence) -> bool:
    full = (evidence.cache_usage_ratio or 0.0) >= _FULL_CACHE_RATIO and (evidence.waiting_requests or 0.0) >= 1.0
    return full or (evidence.preemptions_per_second or 0.0) > 0.01


def _cache_text(evidence: Evidence) -> str:
    usage = "" if evidence.cache_usage_ratio is None else f"KV cache {evidence.cache_usage_ratio:.0%} full"
    waiting = "" if evidence.waiting_requests is None else f"{evidence.waiting_requests:.0f} requests waiting"
    evicted = "" if not evidence.preemptions_per_second else f"{evidence.preemptions_per_second:.2f} preemptions a second"
    return ", ".join(part for part in (usage, waiting, evicted) if part)
