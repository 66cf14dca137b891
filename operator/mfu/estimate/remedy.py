"""The smallest change that would make a training job or a replica fit in memory, found by trying: single changes first, then pairs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

from mfu.estimate.layout import Layout
from mfu.estimate.memory import training_memory
from mfu.estimate.profile import Profile
from mfu.estimate.workload import Recompute, Sharding, Training, Workload

__all__ = ["training_remedy"]


@dataclass(frozen=True, slots=True)
class _Edit:
    field_path: str
    old: str
    new: str
    apply: Callable[[Layout], Layout]

    @property
    def text(self) -> str:
        return f"{self.field_path}: {self.old} → {self.new}"


def training_remedy(workload: Workload, job: Training, layout: Layout, profile: Profile) -> str:
    """One line that names the change, or that nothing short of more memory helps."""
    accelerator = workload.fabric.accelerator

    def required(candidate: Layout) -> float:
        return training_memory(candidate, profile, workload.precisions, accelerator, job.framework, job.optimizer).required_bytes

    capacity = training_memory(layout, profile, workload.precisions, accelerator, job.framework, job.optimizer).capacity_bytes
    edits = tuple(_edits(layout, workload, profile))
    for edit in edits:
        if required(edit.apply(layout)) <= capacity:
            return edit.text
    for first, second in combinations(edits, 2):
        if first.field_path != second.field_path and required(second.apply(first.apply(layout))) <= capacity:
            return f"{first.text} and {second.text}"
    lightest = layout
    for edit in edits:
        tried = edit.apply(lightest)
        if tried.ranks == layout.ranks and required(tried) < required(lightest):
            lightest = tried
    gigabytes = required(lightest) / 0.96e9
    return (
        f"no single change fits; sharded and recomputed throughout it needs {gigabytes:.0f} GB on each of {layout.ranks} accelerators: "
        "use more of them or larger ones"
    )


def _edits(layout: Layout, workload: Workload, profile: Profile) -> Iterator[_Edit]:
    """Changes from the least to the most disruptive; degrees keep the number of accelerators."""
    size = layout.micro_batch // 2
    while size >= 1:
        if layout.micro_batch % size == 0:
            yield _Edit("training.microBatchSize", str(layout.micro_batch), str(size), _micro_batch(size))
        size //= 2
    if layout.tensor > 1 and not layout.sequence_parallel:
        yield _Edit("training.sequenceParallel", "false", "true", lambda it: replace(it, sequence_parallel=True))
    if layout.sharding is Sharding.NONE and layout.replicas > 1:
        yield _Edit("training.sharding", str(layout.sharding), "zero1", _sharding(Sharding.ZERO1))
    if layout.recompute is Recompute.NONE:
        yield _Edit(
            "training.activationRecompute", str(layout.recompute), "selective", lambda it: replace(it, recompute=Recompute.SELECTIVE)
        )
    if layout.recompute is not Recompute.FULL:
        yield _Edit("training.activationRecompute", str(layout.recompute), "full", lambda it: replace(it, recompute=Recompute.FULL))
    if layout.sharding is not Sharding.ZERO3 and layout.replicas > 1:
        yield _Edit("training.sharding", str(layout.sharding), "zero3", _sharding(Sharding.ZERO3))
    heads = min((op.heads for op in profile.attentions), default=1)
    for factor in (2, 4, 8, 16):
        tensor = layout.tensor * factor
        if layout.data % factor == 0 and heads % tensor == 0 and tensor <= workload.fabric.link_domain:
            yield _Edit("training.parallelism.tensor", str(layout.tensor), str(tensor), _move("tensor", factor))
    for factor in (2, 4, 8, 16):
        pipeline = layout.pipeline * factor
        if layout.data % factor == 0 and pipeline <= profile.layers:
            yield _Edit("training.parallelism.pipeline", str(layout.pipeline), str(pipeline), _move("pipeline", factor))
    for factor in (2, 4, 8, 16):
        expert = layout.expert * factor
        if profile.experts and profile.experts % expert == 0 and expert <= layout.replicas * layout.tensor:
            yield _Edit("training.parallelism.expert", str(layout.expert), str(expert), _expert(expert))


def _micro_batch(size: int) -> Callable[[Layout], Layout]:
    return lambda it: replace(it, micro_batch=size, micro_batches=it.micro_batches * it.micro_batch // size)


def _sharding(sharding: Sharding) -> Callable[[Layout], Layout]:
    return lambda it: replace(it, sharding=sharding, sharding_group=it.replicas)


def _expert(expert: int) -> Callable[[Layout], Layout]:
    return lambda it: replace(it, expert=expert, expert_tensor=1)


def _move(degree: str, factor: int) -> Callable[[Layout], Layout]:
    """Grow `tensor` or `pipeline` at the price of data parallelism."""

    def moved(it: Layout) -> Layout:
        data = it.data // factor
        group = min(it.sharding_group, max(1, data * it.context))
        micro_batches = it.micro_batches * factor
        if degree == "tensor":
            return replace(
                it, tensor=it.tensor * factor, data=data, sharding_group=group, micro_batches=micro_batches, sequence_parallel=True
            )
        return replace(it, pipeline=it.pipeline * factor, interleave=1, data=data, sharding_group=group, micro_batches=micro_batches)

    return moved
