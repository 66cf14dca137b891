"""How many sequences a serving replica runs at a time, and the memory they take."""

from dataclasses import dataclass

from mfu.estimate.coefficients import InferenceCoefficients, keyed
from mfu.estimate.memory import ServingMemory, cache_bytes_per_sequence, serving_memory
from mfu.estimate.profile import Profile
from mfu.estimate.result import MemoryFit, MemoryPart
from mfu.estimate.serving_kernels import Rank
from mfu.estimate.workload import Inference, Workload

__all__ = ["Occupancy", "occupancy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """`sequences`: in flight for each attention rank; `waiting`: declared sequences of the replica that memory has no room for."""

    sequences: float
    memory: MemoryFit
    waiting: float


def occupancy(workload: Workload, job: Inference, profile: Profile, rank: Rank, known: InferenceCoefficients) -> Occupancy:
    """Sequences in flight: what is declared, or what memory and the engine's limit allow."""
    how = rank.behaviour
    memory = _memory(workload, job, profile, rank, known)
    held = job.input_tokens + (job.output_tokens if how.reserves_output else job.output_tokens / 2)
    per_sequence = cache_bytes_per_sequence(
        profile, held, rank.cache_bytes, tensor=rank.tensor, pipeline=rank.pipeline, whole_context=how.keeps_windows
    )
    most = memory.cache_budget_bytes / per_sequence if per_sequence > 0 else float(how.most_sequences)
    most = min(most, float(how.most_sequences))
    wanted = None if job.concurrency is None else job.concurrency / rank.data
    possible = max(1.0, most)
    running = possible if wanted is None else max(1.0 / rank.data, min(wanted, possible))
    fit = MemoryFit(
        parts=(
            MemoryPart(name="weights", required_bytes=memory.weight_bytes),
            MemoryPart(name="kvCache", required_bytes=max(1.0, running) * per_sequence),
            MemoryPart(name="buffers", required_bytes=memory.buffer_bytes),
        ),
        capacity_bytes=memory.capacity_bytes,
    )
    if not fit.fits:
        fit = MemoryFit(
            parts=fit.parts, capacity_bytes=fit.capacity_bytes, remedy=_remedy(workload, job, profile, rank, memory, per_sequence)
        )
    return Occupancy(sequences=running, memory=fit, waiting=0.0 if wanted is None else max(0.0, wanted - running) * rank.data)


def _memory(workload: Workload, job: Inference, profile: Profile, rank: Rank, known: InferenceCoefficients) -> ServingMemory:
    ratio = keyed(known.cache_memory_ratio, rank.behaviour.flavour, rank.behaviour.engine)
    if job.memory_ratio is not None:
        ratio *= job.memory_ratio / 0.92
    return serving_memory(
        profile,
        workload.fabric.accelerator,
        tensor=rank.tensor,
        pipeline=rank.pipeline,
        shards=rank.tensor * rank.data,
        dense_bytes=rank.weight_bytes,
        attention_bytes=rank.attention_weight_bytes,
        expert_bytes=rank.expert_weight_bytes,
        cache_ratio=min(0.98, ratio),
        of_free_memory=rank.behaviour.shares_free_memory,
        reserve_bytes=known.reserve_bytes,
    )


def _remedy(workload: Workload, job: Inference, profile: Profile, rank: Rank, memory: ServingMemory, per_sequence: float) -> str:
    """The smallest tensor parallelism, else weight precision, at which the weights and one sequence fit."""
    heads = min((op.heads for op in profile.attentions), default=1)
    for tensor in (2, 4, 8, 16, 32, 64):
        factor = tensor / rank.tensor
        if (
            factor > 1
            and heads % tensor == 0
            and (memory.weight_bytes + per_sequence) / factor + memory.buffer_bytes <= memory.capacity_bytes
        ):
            return f"inference.parallelism.tensor: {rank.tensor} → {tensor}"
    if (
        workload.precisions.weights.bytes_per_element > 1
        and memory.weight_bytes / 2 + per_sequence + memory.buffer_bytes <= memory.capacity_bytes
    ):
        return f"precision.weights: {workload.precisions.weights} → fp8"
    needed = (memory.weight_bytes + per_sequence + memory.buffer_bytes) / 1e9
    ranks = rank.tensor * rank.pipeline * rank.data
    return f"no single change fits: one replica needs {needed:.0f} GB on each of {ranks} accelerators; use more or larger ones"
