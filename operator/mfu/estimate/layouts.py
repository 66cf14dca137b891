"""Every layout of a workload on given accelerators that divides evenly: what a plan chooses from."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from mfu.estimate.profile import Profile, profile_of
from mfu.estimate.recipe import interleaves, settle
from mfu.estimate.workload import Inference, InferenceParallelism, Recompute, Training, TrainingParallelism, Workload

__all__ = ["layouts", "summary"]

_LARGEST_PIPELINE = 16


def layouts(workload: Workload) -> Iterator[Workload]:
    """Tensor, pipeline, expert and (serving) attention-data parallelism, interleaving and micro-batch; recomputation: what fits."""
    profile = profile_of(workload.architecture, workload.adapter)
    match workload.job:
        case Training() as job:
            return (replace(workload, job=tried) for tried in _training_layouts(workload, job, profile))
        case Inference() as job:
            return _serving_layouts(workload, job, profile)


def _training_layouts(workload: Workload, job: Training, profile: Profile) -> Iterator[Training]:
    count, domain = workload.fabric.count, max(1, workload.fabric.link_domain)
    heads = min((op.heads for op in profile.attentions), default=0)
    context = job.parallelism.context
    for tensor in _powers(min(domain, heads or 1)):
        for pipeline in _powers(min(_LARGEST_PIPELINE, profile.layers)):
            data, rest = divmod(count, tensor * pipeline * context)
            if rest or not data or (heads and heads % tensor) or (job.global_batch is not None and job.global_batch % data):
                continue
            each_rank = None if job.global_batch is None else job.global_batch // data
            experts = (
                [e for e in _powers(min(profile.experts, data * context * tensor)) if profile.experts % e == 0] if profile.experts else [1]
            )
            for expert in experts:
                for interleave in _interleaves(job, profile, pipeline):
                    degrees = TrainingParallelism(
                        tensor=tensor,
                        pipeline=pipeline,
                        interleave=interleave,
                        data=data,
                        context=context,
                        expert=expert,
                        expert_tensor=None,
                    )
                    for micro_batch in (1, 2, 4, 8):
                        if each_rank is None or each_rank % micro_batch == 0:
                            yield replace(job, parallelism=degrees, micro_batch=micro_batch, recompute=None, sharding_group=None)


def _interleaves(job: Training, profile: Profile, pipeline: int) -> Iterable[int]:
    if pipeline == 1 or not interleaves(job.framework):
        return (1,)
    return [part for part in (1, 2, 4, 8) if profile.layers % (pipeline * part) == 0] or (1,)


def _serving_layouts(workload: Workload, job: Inference, profile: Profile) -> Iterator[Workload]:
    count, domain = workload.fabric.count, max(1, workload.fabric.link_domain)
    heads = min((op.heads for op in profile.attentions), default=0)
    for tensor in _powers(min(count, domain, heads or 1)):
        if heads and heads % tensor:
            continue
        for data in _powers(min(count, domain) // tensor if profile.experts else 1):
            ranks = tensor * data
            for expert in {1, ranks} if profile.experts and profile.experts % ranks == 0 else {1}:
                degrees = InferenceParallelism(tensor=tensor, pipeline=1, data=data, expert=expert)
                yield replace(workload, job=replace(job, parallelism=degrees), fabric=replace(workload.fabric, count=ranks))


def summary(workload: Workload) -> str:
    """The layout in one line: degrees above one, micro-batch, sharding, recomputation."""
    name = workload.fabric.accelerator.name
    match workload.job:
        case Training() as job:
            degrees = job.parallelism
            settled = settle(job, profile_of(workload.architecture, workload.adapter), workload.precisions, workload.fabric).layout
            named = {
                "tensor": degrees.tensor,
                "pipeline": degrees.pipeline,
                "interleave": settled.interleave,
                "data": degrees.data,
                "context": degrees.context,
                "expert": degrees.expert,
            }
            shape = ", ".join(f"{key} {value}" for key, value in named.items() if value > 1) or "one rank"
            recompute = "" if settled.recompute is Recompute.NONE else f", {settled.recompute} recomputation"
            return f"{workload.fabric.count} × {name}: {shape}, micro-batch {settled.micro_batch}, {settled.sharding}{recompute}"
        case Inference() as job:
            serving = job.parallelism
            named = {"tensor": serving.tensor, "pipeline": serving.pipeline, "data": serving.data, "expert": serving.expert}
            shape = ", ".join(f"{key} {value}" for key, value in named.items() if value > 1) or "one accelerator"
            return f"{workload.fabric.count} × {name} a replica: {shape}"


def _powers(limit: int) -> list[int]:
    return [1 << exponent for exponent in range(max(1, limit).bit_length())]
