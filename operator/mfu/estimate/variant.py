"""Workloads that differ from a declared one in one choice: what recommendations and admission messages are made of."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import log2

from mfu.estimate.profile import Profile, profile_of
from mfu.estimate.recipe import settle
from mfu.estimate.workload import (
    AttentionKernel,
    Inference,
    InferenceParallelism,
    MoeKernel,
    Phase,
    Precisions,
    Recompute,
    Sharding,
    Training,
    TrainingParallelism,
    Workload,
)
from mfu.hardware.precision import Precision
from mfu.missing import Missing

__all__ = ["Variant", "variants"]

_SIXTEEN_BIT = frozenset({Precision.FP32, Precision.TF32, Precision.FP16, Precision.BF16})


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One change. `field_path` is relative to `spec`; `old` and `new` are as a person would write them."""

    field_path: str
    old: str
    new: str
    workload: Workload

    @property
    def steps(self) -> int:
        """How much it alters: one for each doubling, halving or neighbouring choice, of the field and of what moves along with it except
        data parallelism, and one more where the results change too (precision, global batch)."""
        path = self.field_path
        new, _, along = self.new.partition(" with ")
        total = _distance(self.old, new) + (1 if path.startswith("precision.") or path == "training.globalBatchSize" else 0)
        if along and not along.startswith("data "):
            before, _, after = along.partition(" ")[2].partition(" → ")
            total += _distance(before, after)
        return total


def variants(workload: Workload) -> Iterator[Variant]:
    """Every single change worth trying. Degrees that move together name the leading one; the number of accelerators of a training job
    stays."""
    profile = profile_of(workload.architecture, workload.adapter)
    yield from _precisions(workload)
    match workload.job:
        case Training() as job:
            yield from _training(workload, job, profile)
        case Inference() as job:
            yield from _inference(workload, job, profile)


def _precisions(workload: Workload) -> Iterator[Variant]:
    now = workload.precisions
    accelerator = workload.fabric.accelerator
    if now.compute in _SIXTEEN_BIT and not isinstance(accelerator.peak(Precision.FP8), Missing):
        serving = isinstance(workload.job, Inference)
        weights = Precision.FP8 if serving else now.weights
        changed = replace(workload, precisions=replace(now, compute=Precision.FP8, weights=weights))
        yield Variant(field_path="precision.compute", old=now.compute.value, new="fp8", workload=changed)
    if isinstance(workload.job, Inference) and (now.kv_cache is None or now.kv_cache in _SIXTEEN_BIT):
        cache: Precisions = replace(now, kv_cache=Precision.FP8)
        yield Variant(
            field_path="precision.kvCache",
            old="undeclared" if now.kv_cache is None else now.kv_cache.value,
            new="fp8",
            workload=replace(workload, precisions=cache),
        )


def _training(workload: Workload, job: Training, profile: Profile) -> Iterator[Variant]:
    settled = settle(job, profile, workload.precisions, workload.fabric).layout

    def changed(field_path: str, old: object, new: object, changed_job: Training) -> Variant:
        return Variant(field_path=f"training.{field_path}", old=_text(old), new=_text(new), workload=replace(workload, job=changed_job))

    each_rank = None if job.global_batch is None else job.global_batch // job.parallelism.data
    for size in (settled.micro_batch // 2, settled.micro_batch * 2):
        if size >= 1 and (each_rank is None or (each_rank % size == 0)):
            yield changed("microBatchSize", settled.micro_batch, size, replace(job, micro_batch=size))
    if settled.recompute is not Recompute.NONE:
        yield changed("activationRecompute", settled.recompute, "none", replace(job, recompute=Recompute.NONE))
    if settled.recompute is not Recompute.SELECTIVE:
        yield changed("activationRecompute", settled.recompute, "selective", replace(job, recompute=Recompute.SELECTIVE))
    if settled.recompute is not Recompute.FULL:
        yield changed("activationRecompute", settled.recompute, "full", replace(job, recompute=Recompute.FULL))
    if settled.tensor > 1 and not settled.sequence_parallel:
        yield changed("sequenceParallel", False, True, replace(job, sequence_parallel=True))
    if job.attention_kernel is AttentionKernel.UNFUSED:
        fused = replace(job, attention_kernel=AttentionKernel.FLASH2, sequence_parallel=settled.sequence_parallel)
        yield changed("attentionKernel", "unfused", "flash2", fused)
    if job.moe_kernel is MoeKernel.LOOP:
        yield changed("moeKernel", "loop", "grouped", replace(job, moe_kernel=MoeKernel.GROUPED))
    for sharding in (Sharding.ZERO1, Sharding.ZERO3):
        if settled.replicas > 1 and settled.sharding is not sharding:
            yield changed("sharding", settled.sharding, sharding, replace(job, sharding=sharding, sharding_group=None))
    domain = workload.fabric.link_domain // settled.tensor
    if settled.sharding is Sharding.ZERO3 and 1 < domain < settled.sharding_group and settled.replicas % domain == 0:
        yield changed("shardingGroup", settled.sharding_group, domain, replace(job, sharding_group=domain))
    if settled.pipeline > 1:
        stage = profile.layers // settled.pipeline
        for interleave in (1, 2, 4, 8):
            if interleave != settled.interleave and stage % interleave == 0:
                degrees = replace(job.parallelism, interleave=interleave)
                yield changed("parallelism.interleave", settled.interleave, interleave, replace(job, parallelism=degrees))
    yield from _degrees(workload, job, profile)
    if job.global_batch is not None:
        for factor in (2, 4):
            yield changed(
                "globalBatchSize", job.global_batch, job.global_batch * factor, replace(job, global_batch=job.global_batch * factor)
            )


def _degrees(workload: Workload, job: Training, profile: Profile) -> Iterator[Variant]:
    """Tensor and pipeline parallelism against data parallelism and each other; expert parallelism."""
    now = job.parallelism
    heads = min((op.heads for op in profile.attentions), default=0)
    batch = job.global_batch

    def usable(degrees: TrainingParallelism) -> bool:
        if heads and heads % degrees.tensor:
            return False
        expert_ranks = degrees.data * degrees.context * degrees.tensor
        return degrees.pipeline <= profile.layers and degrees.expert <= expert_ranks and (batch is None or batch % degrees.data == 0)

    moves: list[tuple[str, int, TrainingParallelism]] = []
    for factor in (2, 4, 8):
        if now.tensor % factor == 0:
            moves.append(("tensor", now.tensor // factor, replace(now, tensor=now.tensor // factor, data=now.data * factor)))
            moves.append(
                ("tensor", now.tensor // factor, replace(now, tensor=now.tensor // factor, pipeline=now.pipeline * factor, interleave=None))
            )
        if now.data % factor == 0:
            moves.append(("tensor", now.tensor * factor, replace(now, tensor=now.tensor * factor, data=now.data // factor)))
            moves.append(
                ("pipeline", now.pipeline * factor, replace(now, pipeline=now.pipeline * factor, data=now.data // factor, interleave=None))
            )
        if now.pipeline % factor == 0:
            moves.append(
                ("pipeline", now.pipeline // factor, replace(now, pipeline=now.pipeline // factor, data=now.data * factor, interleave=None))
            )
    if profile.experts:
        for expert in (now.expert // 2, now.expert * 2, now.expert * 4):
            if expert >= 1 and profile.experts % expert == 0:
                moves.append(("expert", expert, replace(now, expert=expert)))
    for name, new, degrees in moves:
        if usable(degrees):
            old = {"tensor": now.tensor, "pipeline": now.pipeline, "expert": now.expert}[name]
            yield Variant(
                field_path=f"training.parallelism.{name}",
                old=str(old),
                new=str(new) + _moved(name, now, degrees),
                workload=replace(workload, job=replace(job, parallelism=degrees)),
            )


def _moved(leading: str, before: TrainingParallelism, after: TrainingParallelism) -> str:
    """The degrees that move along, when it is not plainly data parallelism."""
    if leading == "tensor" and after.pipeline != before.pipeline:
        return f" with pipeline {before.pipeline} → {after.pipeline}"
    return f" with data {before.data} → {after.data}" if after.data != before.data else ""


def _inference(workload: Workload, job: Inference, profile: Profile) -> Iterator[Variant]:
    def changed(field_path: str, old: object, new: object, changed_job: Inference, count: int | None = None) -> Variant:
        fabric = workload.fabric if count is None else replace(workload.fabric, count=count)
        return Variant(
            field_path=f"inference.{field_path}", old=_text(old), new=_text(new), workload=replace(workload, job=changed_job, fabric=fabric)
        )

    if job.concurrency is not None:
        for factor in (2, 4, 8):
            yield changed("concurrency", job.concurrency, job.concurrency * factor, replace(job, concurrency=job.concurrency * factor))
    now = job.parallelism
    heads = min((op.heads for op in profile.attentions), default=0)
    ranks = now.tensor * now.pipeline * now.data
    for factor in (2, 4, 8):
        if now.tensor % factor == 0:
            fewer = replace(now, tensor=now.tensor // factor, expert=_clipped(now.expert, now.tensor // factor * now.data))
            yield changed("parallelism.tensor", now.tensor, fewer.tensor, replace(job, parallelism=fewer), ranks // factor)
            if profile.experts:
                spread: InferenceParallelism = replace(now, tensor=now.tensor // factor, data=now.data * factor)
                yield changed("parallelism.data", now.data, spread.data, replace(job, parallelism=spread))
        wider = now.tensor * factor
        if heads and heads % wider == 0 and wider * now.data <= workload.fabric.link_domain:
            yield changed("parallelism.tensor", now.tensor, wider, replace(job, parallelism=replace(now, tensor=wider)), ranks * factor)
    if profile.experts and profile.experts % (now.tensor * now.data) == 0 and now.expert < now.tensor * now.data:
        whole = replace(now, expert=now.tensor * now.data)
        yield changed("parallelism.expert", now.expert, whole.expert, replace(job, parallelism=whole))
    if now.pipeline > 1 and heads and heads % (now.tensor * now.pipeline) == 0:
        flat = replace(now, tensor=now.tensor * now.pipeline, pipeline=1)
        yield changed("parallelism.pipeline", now.pipeline, 1, replace(job, parallelism=flat))
    if job.phase is not Phase.DECODE and job.max_batch_tokens is not None and job.max_batch_tokens < 8192:
        yield changed("engine.maxBatchTokens", job.max_batch_tokens, 8192, replace(job, max_batch_tokens=8192))
    if job.max_sequences is not None and (job.concurrency is None or job.concurrency > job.max_sequences):
        yield changed("engine.maxSequences", job.max_sequences, job.max_sequences * 2, replace(job, max_sequences=job.max_sequences * 2))


def _distance(old: str, new: str) -> int:
    """Doublings between two numbers; places between two policies of an ordered list; one for anything else."""
    if old.isdigit() and new.isdigit():
        return max(1, round(abs(log2(int(new) / int(old)))))
    for order in (list(Recompute), list(Sharding)):
        if old in order and new in order:
            return abs([str(each) for each in order].index(old) - [str(each) for each in order].index(new))
    return 1


def _clipped(expert: int, most: int) -> int:
    return max(1, min(expert, most))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
