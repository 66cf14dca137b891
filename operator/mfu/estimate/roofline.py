"""A workload on the roofline of its accelerator: arithmetic intensity of every operation as one rank runs it, and what the hardware
allows at that intensity (Williams, Waterman and Patterson, CACM 52(4), 2009)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mfu.estimate.engine import cache_precision
from mfu.estimate.profile import profile_of
from mfu.estimate.recipe import settle
from mfu.estimate.result import Estimate, ServingRates
from mfu.estimate.workload import Inference, Phase, Training, Workload
from mfu.hardware.accelerator import Accelerator
from mfu.model.build import operations
from mfu.model.operations import AttentionCore, ExpertLinear, Linear, Logits, Module, Operation, Pass, Scan, Split
from mfu.model.traffic import Storage, moved_bytes

__all__ = ["Point", "Roofline", "roofline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One operation in one phase. `attainable_flops_per_second` lies on the roof; `share_ratio` is its share of the time that the roof
    would allow for the whole workload."""

    operation: str
    phase: str  # forward, prefill or decode
    intensity_flops_per_byte: float
    attainable_flops_per_second: float
    share_ratio: float
    memory_bound: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Roofline:
    """Roofs and points; `expected_*` is the whole workload as the estimate expects it to run."""

    accelerator: str
    precision: str
    attention_precision: str
    peak_flops_per_second: float
    attention_peak_flops_per_second: float
    memory_bytes_per_second: float
    points: tuple[Point, ...]
    expected_intensity_flops_per_byte: float
    expected_flops_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phase:
    """A pass that one rank runs `weight` times for what another phase runs once."""

    name: str
    work: Pass
    weight: float


def roofline(workload: Workload, found: Estimate) -> Roofline:
    """Points of all operations with arithmetic, largest share first. Needs an estimate of the same workload."""
    accelerator = workload.fabric.accelerator
    precisions = workload.precisions
    job = workload.job
    attention_peak = _peak(accelerator, precisions.attention.peak_key, found.peak_flops_per_second)
    if isinstance(job, Training):
        layout = settle(job, profile_of(workload.architecture, workload.adapter), precisions, workload.fabric).layout
        tensor = layout.tensor
        tokens = max(1, layout.sequence_length // layout.context)
        phases: tuple[_Phase, ...] = (_Phase(name="forward", work=Pass(batch=layout.micro_batch, new_tokens=tokens), weight=1.0),)
        operand = min(2.0, precisions.compute.bytes_per_element)
        storage = Storage(weight_bytes=operand, activation_bytes=operand, cache_bytes=2.0)
    else:
        tensor = job.parallelism.tensor
        phases = tuple(_serving_phases(job, found))
        cache = cache_precision(job, precisions, accelerator)
        storage = Storage(weight_bytes=precisions.weights.bytes_per_element, activation_bytes=2.0, cache_bytes=cache.bytes_per_element)
    memory = accelerator.memory_bytes_per_second
    drawn: list[tuple[Point, float]] = []
    flops_sum = bytes_sum = 0.0
    for phase in phases:
        for op in operations(workload.architecture, workload.adapter):
            one = _of_one_rank(op, tensor)
            divisor = tensor if op.split is Split.HEADS else 1
            flops = one.flops(phase.work) * op.count / divisor
            moved = moved_bytes(one, phase.work, storage) * op.count / divisor
            flops_sum += phase.weight * flops
            bytes_sum += phase.weight * moved
            if not flops or not moved or not isinstance(op, AttentionCore | ExpertLinear | Linear | Scan):
                continue
            sixteen_bit = isinstance(op, AttentionCore | Scan) or op.module is Module.HEAD
            peak = attention_peak if sixteen_bit else found.peak_flops_per_second
            attainable = min(peak, memory * flops / moved)
            point = Point(
                operation=op.name,
                phase=phase.name,
                intensity_flops_per_byte=flops / moved,
                attainable_flops_per_second=attainable,
                share_ratio=0.0,
                memory_bound=attainable < peak,
            )
            drawn.append((point, phase.weight * flops / attainable))
    whole = sum(seconds for _, seconds in drawn)
    points = [replace(point, share_ratio=seconds / whole) for point, seconds in sorted(drawn, key=lambda pair: -pair[1])]
    return Roofline(
        accelerator=accelerator.name,
        precision=precisions.compute.value,
        attention_precision=precisions.attention.value,
        peak_flops_per_second=found.peak_flops_per_second,
        attention_peak_flops_per_second=attention_peak,
        memory_bytes_per_second=memory,
        points=tuple(points),
        expected_intensity_flops_per_byte=flops_sum / bytes_sum,
        expected_flops_per_second=found.mfu_ratio * found.peak_flops_per_second,
    )


def _serving_phases(job: Inference, found: Estimate) -> Iterator[_Phase]:
    """One request's prefill, and the decode steps of the batch in flight that fall to one request."""
    if job.phase is not Phase.DECODE:
        computed = max(1, round(job.input_tokens * (1.0 - job.prefix_hit_ratio)))
        past = job.input_tokens - computed
        yield _Phase(name="prefill", work=Pass(batch=1, new_tokens=computed, past_tokens=past, logits=Logits.LAST), weight=1.0)
    if job.phase is not Phase.PREFILL:
        sequences = found.rates.concurrency if isinstance(found.rates, ServingRates) else 1
        batch = max(1, sequences // job.parallelism.data // job.parallelism.pipeline)
        context = max(1, job.input_tokens + job.output_tokens // 2)
        yield _Phase(name="decode", work=Pass(batch=batch, new_tokens=1, past_tokens=context), weight=job.output_tokens / batch)


def _of_one_rank(op: Operation, tensor: int) -> Operation:
    """The slice of a linear layer that one tensor rank computes; heads are divided by the caller."""
    match op:
        case Linear(split=Split.COLUMN | Split.VOCABULARY) | ExpertLinear(split=Split.COLUMN):
            return replace(op, outputs=max(1, op.outputs // tensor))
        case Linear(split=Split.ROW) | ExpertLinear(split=Split.ROW):
            return replace(op, inputs=max(1, op.inputs // tensor))
        case _:
            return op


def _peak(accelerator: Accelerator, key: str, otherwise: float) -> float:
    return accelerator.peak_flops_per_second.get(key, otherwise)
