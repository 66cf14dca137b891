"""What the evidence points to for the part of a gap that no rule puts in numbers."""

from dataclasses import dataclass
from math import log, pi, sqrt

from mfu.estimate.result import Bound, Estimate
from mfu.estimate.workload import Inference, Training, Workload
from mfu.judge.assessment import Cause
from mfu.judge.counters import Departure, expected_memory_active, stated_clock_ratio
from mfu.judge.evidence import cache_is_full, cache_text
from mfu.judge.hypotheses import unfused_attention, unfused_work, wide_kernels
from mfu.judge.structure import unaligned_vocabulary
from mfu.judge.wording import spoken
from mfu.missing import Missing
from mfu.observe.observation import Evidence, Observation
from mfu.observe.troubles import LINK_ERRORS_PER_SECOND
from mfu.place.assess import Spread

__all__ = ["Pointer", "memory_pointers", "pointers", "seen", "waiting_ratio"]

_MEMORY_EXCESS = 0.10
_BUSY_MEMORY_RATIO = 0.75
_SPINNING_BUSY_RATIO = 0.85
_FEW_MULTIPROCESSORS_RATIO = 0.75  # collectives hold a few of them
# Multiprocessors that large kernels hold, and those that collectives do (SM activity of 91 % was measured over a whole FSDP step).
_COMPUTING_MULTIPROCESSORS = 0.93
_COLLECTIVE_MULTIPROCESSORS = 0.14
_NO_WAITING = 0.04
_SLOW_CLOCK_RATIO = 0.93
_UNFUSED_SLACK = 0.75
_UNFUSED_SPEED_DOUBT = 0.15  # in logarithms
_OTHER_SPEED_RANGE = 0.9
_WORK_DOUBT = 0.05
_WIDE_SLACK = 0.25
_ACTIVE_LINK_RATIO = 0.35
_FIRST, _SECOND = 0.65, 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """`weight`: part of the rest of the gap; several where the counters cannot tell causes apart."""

    cause: Cause
    evidence: str
    weight: float = 1.0


def pointers(
    workload: Workload, estimate: Estimate, observation: Observation, spread: Spread | Missing, departed: Departure
) -> tuple[Pointer, ...]:
    """Causes for the rest of the gap, the likeliest first; weights add up to 1."""
    evidence = observation.evidence
    if cache_is_full(evidence):
        return (Pointer(cause=Cause.CACHE_PRESSURE, evidence=cache_text(evidence)),)
    if not isinstance(spread, Missing) and spread.groups_inside is False:
        return (Pointer(cause=Cause.TOPOLOGY, evidence=spread.message),)
    if evidence.link_error_node is not None:
        text = f"only node {evidence.link_error_node} reports {', '.join(evidence.slowest_node_reasons)}, and all wait for it"
        return (Pointer(cause=Cause.STRAGGLER, evidence=text),)
    if (evidence.link_errors_per_second or 0.0) > LINK_ERRORS_PER_SECOND:
        errors = f"{evidence.link_errors_per_second or 0.0:.0f} link errors a second and device"
        return (Pointer(cause=Cause.SLOW_INTERCONNECT, evidence=f"{errors}: packets are sent again"),)
    return memory_pointers(workload, estimate, evidence, departed) or _waiting(workload, estimate, evidence, departed)


def seen(evidence: Evidence) -> str:
    """The device figures that are there, in a sentence; empty where there are none."""
    figures = (
        ("busy", evidence.busy_ratio),
        ("tensor pipes active", evidence.tensor_active_ratio),
        ("memory active", evidence.memory_active_ratio),
        ("multiprocessors active", evidence.multiprocessor_active_ratio),
    )
    return ", ".join(f"{name} {value:.0%}" for name, value in figures if value is not None)


def memory_pointers(workload: Workload, estimate: Estimate, evidence: Evidence, departed: Departure) -> tuple[Pointer, ...]:
    """Device memory that moves more than the tokens need."""
    active, excess = evidence.memory_active_ratio, departed.memory_excess_ratio
    if active is None or excess is None:
        return ()
    busy_where_not_expected = active >= _BUSY_MEMORY_RATIO and estimate.bound is not Bound.MEMORY
    if not busy_where_not_expected and (excess < _MEMORY_EXCESS or excess < 0.3 * (1.0 - departed.speed_ratio)):
        return ()
    figures = f"device memory is active {active:.0%} of the time, {expected_memory_active(estimate):.0%} expected"
    unfused = unfused_attention(workload, estimate)
    if unfused is not None and unfused < 0.95 and departed.speed_ratio >= _UNFUSED_SLACK * unfused:
        reached = f"unfused attention would leave {unfused:.0%} of the expected speed"
        whole = _fits_unfused(departed, unfused, unfused_work(workload))
        return (
            Pointer(cause=Cause.KERNEL_MISMATCH, evidence=f"{figures}; {reached}", weight=_FIRST if whole else _SECOND),
            Pointer(cause=Cause.MEMORY_BOUND, evidence=figures, weight=_SECOND if whole else _FIRST),
        )
    wide = wide_kernels(workload, estimate) if isinstance(workload.job, Inference) else None
    if wide is not None and workload.precisions.weights.is_narrow and departed.speed_ratio <= wide + _WIDE_SLACK:
        reached = f"weights wider than the declared {workload.precisions.weights} would leave {wide:.0%} of the expected speed"
        return (
            Pointer(cause=Cause.PRECISION_MISMATCH, evidence=f"{figures}; {reached}", weight=_FIRST),
            Pointer(cause=Cause.MEMORY_BOUND, evidence=figures, weight=_SECOND),
        )
    return (Pointer(cause=Cause.MEMORY_BOUND, evidence=figures),)


def _fits_unfused(departed: Departure, speed_ratio: float, work_ratio: float) -> bool:
    """Whether the speed that is left and the work of the pipes fit unfused attention better than some other memory traffic.

    Log-likelihoods: unfused attention computes the whole square and leaves a certain speed; other traffic adds no work and may leave any.
    """
    work, observed = departed.excess_work_ratio, max(1e-3, departed.speed_ratio)
    square, other = -log(_UNFUSED_SPEED_DOUBT * sqrt(2.0 * pi)), -log(_OTHER_SPEED_RANGE)
    square -= 0.5 * (log(observed / speed_ratio) / _UNFUSED_SPEED_DOUBT) ** 2
    if work is not None:
        square -= 0.5 * (log(work / work_ratio) / _WORK_DOUBT) ** 2
        other -= 0.5 * (log(work) / _WORK_DOUBT) ** 2
    return square >= other


def _waiting(workload: Workload, estimate: Estimate, evidence: Evidence, departed: Departure) -> tuple[Pointer, ...]:
    """Devices run kernels all the time that neither compute nor move memory."""
    figures = seen(evidence)
    if not figures:
        advice = "no device figures are there to tell what is lost; enable the profiling counters of dcgm-exporter"
        return (Pointer(cause=Cause.UNEXPLAINED, evidence=advice),)
    spread_out = workload.fabric.count > 1
    few = evidence.multiprocessor_active_ratio
    waited = waiting_ratio(estimate, evidence, departed)
    slow = _slow_clocks(workload, evidence)
    if slow is not None and (not spread_out or (waited is not None and waited < _NO_WAITING)):
        return (Pointer(cause=Cause.THROTTLING, evidence=slow),)
    odd = unaligned_vocabulary(workload, estimate)
    if odd is not None and (not spread_out or (few is not None and few >= _FEW_MULTIPROCESSORS_RATIO)):
        return (Pointer(cause=Cause.KERNEL_MISMATCH, evidence=f"{odd[1]}; {figures}"),)
    if spread_out and (evidence.busy_ratio or 0.0) >= _SPINNING_BUSY_RATIO and (waited is None or waited >= _NO_WAITING):
        return _collectives(workload, estimate, evidence, figures, slow)
    if (evidence.busy_ratio or 0.0) >= _SPINNING_BUSY_RATIO and few is not None and few >= _FEW_MULTIPROCESSORS_RATIO:
        return (Pointer(cause=Cause.KERNEL_MISMATCH, evidence=f"{figures}: kernels run that use the tensor pipes little"),)
    return (Pointer(cause=Cause.UNEXPLAINED, evidence=f"{figures}, which points at no single cause"),)


def _collectives(workload: Workload, estimate: Estimate, evidence: Evidence, figures: str, slow: str | None) -> tuple[Pointer, ...]:
    kind = communication_kind(estimate)
    waiting = f"{figures}: devices wait inside collectives{f' ({kind} takes most of them)' if kind else ''}"
    links = evidence.link_bytes_per_second
    pipeline = isinstance(workload.job, Training) and workload.job.parallelism.pipeline > 1
    if links is not None and links >= _ACTIVE_LINK_RATIO * 2.0 * workload.fabric.accelerator.link_bytes_per_second:
        return (
            Pointer(cause=Cause.COMMUNICATION, evidence=f"{waiting}; links carry {links / 1e9:.0f} GB/s", weight=_FIRST),
            Pointer(cause=Cause.SLOW_INTERCONNECT, evidence=waiting, weight=_SECOND),
        )
    if slow is not None:
        second = Pointer(cause=Cause.THROTTLING, evidence=slow, weight=_SECOND)
    elif workload.architecture.has_experts and workload.job.parallelism.expert > 1 and evidence.hottest_device_ratio is None:
        second = Pointer(cause=Cause.ROUTING_IMBALANCE, evidence=f"{waiting}, or for the experts with most tokens", weight=_SECOND)
    elif pipeline and kind.startswith("pipeline"):
        second = Pointer(cause=Cause.PIPELINE_BUBBLE, evidence=f"{waiting}, or for the stage before", weight=_SECOND)
    else:
        second = Pointer(cause=Cause.SLOW_INTERCONNECT, evidence=f"{waiting}; look at the links", weight=_SECOND)
    return (Pointer(cause=Cause.COMMUNICATION, evidence=waiting, weight=_FIRST), second)


def _slow_clocks(workload: Workload, evidence: Evidence) -> str | None:
    """Clocks below the one that the peak is stated at, which power may explain."""
    accelerator, clock = workload.fabric.accelerator, evidence.clock_ratio
    if clock is None or clock >= _SLOW_CLOCK_RATIO * stated_clock_ratio(accelerator) or (evidence.busy_ratio or 1.0) < _SPINNING_BUSY_RATIO:
        return None
    power = "" if evidence.power_watts is None else f" at {evidence.power_watts:.0f} of {accelerator.power_watts:.0f} W"
    return f"SM clocks are at {clock:.0%} of their maximum{power}: look at power caps and temperatures"


def waiting_ratio(estimate: Estimate, evidence: Evidence, departed: Departure) -> float | None:
    """Share of time that devices wait inside collectives beyond what is expected: they are busy then, but on few multiprocessors."""
    active, busy = evidence.multiprocessor_active_ratio, evidence.busy_ratio
    if active is None or busy is None or estimate.step_seconds <= 0.0:
        return None
    expected = sum(term.seconds for term in estimate.terms if term.bound in (Bound.COMMUNICATION, Bound.PIPELINE)) / estimate.step_seconds
    waited = (_COMPUTING_MULTIPROCESSORS * busy - active) / (_COMPUTING_MULTIPROCESSORS - _COLLECTIVE_MULTIPROCESSORS)
    return waited - min(1.0, departed.speed_ratio) * expected


def communication_kind(estimate: Estimate) -> str:
    """The parallelism whose communication takes most of the expected step, in words; empty where none does."""
    found = [term for term in estimate.terms if term.bound in (Bound.COMMUNICATION, Bound.PIPELINE) and term.name != "stragglers"]
    return spoken(max(found, key=lambda term: term.seconds).name) if found else ""
