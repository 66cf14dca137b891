"""More work in the tensor pipes than the counted tokens need: padding, recomputation, a wider precision, another model."""

from collections.abc import Iterator
from math import log

from mfu.estimate.result import Estimate
from mfu.estimate.workload import Recompute, Training, Workload
from mfu.judge.assessment import Cause
from mfu.judge.counters import Departure, excess_traffic, wide_kernel_excess
from mfu.judge.hypotheses import unfused_attention, wide_kernels, with_recomputation
from mfu.judge.waterfall import Loss
from mfu.observe.observation import Evidence, Observation

__all__ = ["excess_work"]

_LEAST_EXCESS = 1.17
_CLEAR_EXCESS = 1.25
_SLOWER = 1.0  # excess work that costs no speed is a wrong counter at most
_FULL_TOKENS_RATIO = 0.95
_FIRST = 0.55  # part of the loss for the likelier of two
_LEAST_WIDER = 1.12
_MOST_OF_IT = 0.6  # of the way, in logarithms
_RECOMPUTED = (1.2, 1.45)  # a third more, less what attention and the head do not repeat
_RECOMPUTED_EXCESS = 4.0 / 3.0
_TWICE = (1.5, 2.4)
_UNFUSED_MEMORY_EXCESS = 0.12


def excess_work(workload: Workload, estimate: Estimate, observation: Observation, departed: Departure) -> Iterator[Loss]:
    """The likeliest reason, and the second where counters cannot tell them apart."""
    excess, job = departed.excess_work_ratio, workload.job
    yield from _wide_weights(workload, estimate, observation, departed)
    if excess is None or not isinstance(job, Training):
        return
    figures = f"tensor pipes do {excess:.1f} times the work that the counted tokens need"
    filled = _filled_ratio(job, observation.evidence)
    if filled is not None and filled < _FULL_TOKENS_RATIO and excess * filled > 0.5 * (1.0 + filled):
        text = f"{figures}, and steps hold {filled:.0%} of the declared tokens"
        yield Loss(cause=Cause.PADDING, lost_ratio=1.0 - filled, evidence=text, measured=True)
        return
    if excess < _LEAST_EXCESS or departed.speed_ratio > _SLOWER:
        return
    clear = excess >= _CLEAR_EXCESS
    lost = 1.0 - (1.0 / excess if clear else max(1.0 / excess, departed.speed_ratio))
    if _looks_unfused(workload, estimate, departed):
        return  # the square is computed whole, and memory traffic tells why
    nearer_to_wide = abs(log(excess / wide_kernel_excess(workload))) < abs(log(excess / _RECOMPUTED_EXCESS))
    if workload.precisions.compute.is_narrow and nearer_to_wide:
        yield Loss(
            cause=Cause.PRECISION_MISMATCH,
            lost_ratio=lost,
            evidence=f"{figures}: kernels seem to run wider than the declared {workload.precisions.compute}",
        )
        return
    again = job.recompute is not Recompute.FULL and with_recomputation(workload, estimate) is not None
    recomputing = again and _RECOMPUTED[0] <= excess <= _RECOMPUTED[1]
    second: Cause | None = None
    other = ""
    text = f"{figures}: look for {'undeclared recomputation, then ' if recomputing else ''}padding, another sequence length or model"
    if filled is None:
        second, other = Cause.PADDING, f"{figures}: padding, unless steps are counted (the reporter's steps counter tells)"
    elif _TWICE[0] <= excess <= _TWICE[1]:
        # A pipe at half the rate and a model twice the size look alike.
        second, other = Cause.PRECISION_MISMATCH, f"{figures}: or kernels run wider than the declared {workload.precisions.compute}"
    yield Loss(
        cause=Cause.WRONG_DECLARATION,
        lost_ratio=lost if second is None else 1.0 - (1.0 - lost) ** _FIRST,
        evidence=text,
        measured=clear,
    )
    if second is not None:
        yield Loss(cause=second, lost_ratio=1.0 - (1.0 - lost) ** (1.0 - _FIRST), evidence=other, measured=clear)


def _wide_weights(workload: Workload, estimate: Estimate, observation: Observation, departed: Departure) -> Iterator[Loss]:
    """A decode step that reads as much as 16-bit weights are, where fewer bits are declared."""
    declared, traffic = workload.precisions.weights, excess_traffic(workload, estimate, observation)
    if traffic is None or not declared.is_narrow or departed.speed_ratio > _SLOWER:
        return
    moved, wide = traffic
    left = wide_kernels(workload, estimate)
    if wide < _LEAST_WIDER or moved < wide**_MOST_OF_IT or left is None:
        return
    yield Loss(
        cause=Cause.PRECISION_MISMATCH,
        lost_ratio=1.0 - max(left, departed.speed_ratio),
        evidence=f"a decode step moves {moved:.1f} times the bytes of {declared} weights and cache (in 16 bits it would be {wide:.1f})",
    )


def _filled_ratio(job: Training, evidence: Evidence) -> float | None:
    """Tokens that a step was counted for over those that it was declared to hold."""
    if job.global_batch is None or evidence.tokens_per_step is None:
        return None
    return evidence.tokens_per_step / (job.global_batch * job.sequence_length)


def _looks_unfused(workload: Workload, estimate: Estimate, departed: Departure) -> bool:
    return (departed.memory_excess_ratio or 0.0) >= _UNFUSED_MEMORY_EXCESS and unfused_attention(workload, estimate) is not None
