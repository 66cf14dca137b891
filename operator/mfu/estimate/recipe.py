"""A training job with nothing left open: where the intent is silent, the framework's usual choice, which is then named as an assumption.

The rule throughout is "a competent recipe": no recomputation unless nothing else fits, the largest micro-batch that fits, interleaving
where the framework has it.
"""

from dataclasses import dataclass, replace
from math import ceil

from mfu.estimate.layout import Layout
from mfu.estimate.memory import training_memory
from mfu.estimate.profile import Profile
from mfu.estimate.workload import AttentionKernel, Fabric, Framework, Precisions, Recompute, Sharding, Training

__all__ = ["Recipe", "interleaves", "settle"]

_INTERLEAVES = frozenset({Framework.MEGATRON_CORE, Framework.MEGATRON_BRIDGE, Framework.NEMO})
_FULLY_SHARDS = frozenset({Framework.FSDP, Framework.TORCHTITAN, Framework.COMPOSER, Framework.NEMO_AUTOMODEL, Framework.MAXTEXT})
_LARGEST_MICRO_BATCH = 8
_MICRO_BATCHES_FOR_EACH_STAGE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The settled layout, what was assumed for it in words, and how many of the choices that matter were not declared."""

    layout: Layout
    assumptions: tuple[str, ...]
    open_choices: int


def settle(job: Training, profile: Profile, precisions: Precisions, fabric: Fabric) -> Recipe:
    """Fill in what `job` leaves open. Deterministic; never raises."""
    said: list[str] = []
    choices = 0
    degrees = job.parallelism
    sharding = job.sharding
    if sharding is None:
        sharding = _usual_sharding(job, degrees.data * degrees.context)
        said.append(f"sharding not declared: {sharding} as {job.framework} usually runs")
    interleave = degrees.interleave
    if interleave is None:
        interleave = _usual_interleave(job.framework, profile.layers, degrees.pipeline)
        if interleave > 1:
            said.append(f"interleave not declared: {interleave} virtual stages a rank")
    sequence_parallel = job.sequence_parallel
    if sequence_parallel is None:
        sequence_parallel = degrees.tensor > 1 and not _predates_sequence_parallelism(job)
    layout = Layout(
        sequence_length=job.sequence_length,
        micro_batch=job.micro_batch or 1,
        micro_batches=1,
        tensor=degrees.tensor,
        pipeline=degrees.pipeline,
        interleave=interleave,
        data=degrees.data,
        context=degrees.context,
        expert=degrees.expert,
        expert_tensor=degrees.expert_tensor or _usual_expert_tensor(degrees.tensor, degrees.expert),
        sequence_parallel=sequence_parallel,
        sharding=sharding,
        sharding_group=min(job.sharding_group or degrees.data * degrees.context, degrees.data * degrees.context),
        recompute=job.recompute or Recompute.NONE,
        kernel=job.attention_kernel,
    )
    if job.recompute is None:
        layout = _least_recompute(layout, profile, precisions, fabric, job)
        said.append(f"activation recomputation not declared: {layout.recompute}")
        choices += 1
    if job.micro_batch is None:
        layout = _largest_micro_batch(layout, profile, precisions, fabric, job)
        said.append(f"micro-batch not declared: {layout.micro_batch}")
        choices += 1
    if job.global_batch is None:
        rounds = _MICRO_BATCHES_FOR_EACH_STAGE * degrees.pipeline if degrees.pipeline > 1 else 1
        said.append(f"global batch not declared: {rounds} micro-batches a step")
        choices += 1
    else:
        rounds = max(1, ceil(job.global_batch / (degrees.data * layout.micro_batch)))
    if job.framework is Framework.OTHER:
        choices += 1
    return Recipe(layout=replace(layout, micro_batches=rounds), assumptions=tuple(said), open_choices=choices)


def interleaves(framework: Framework) -> bool:
    """Whether the framework has interleaved pipeline schedules that its recipes use."""
    return framework in _INTERLEAVES or framework is Framework.TORCHTITAN or framework is Framework.PRIMUS


def _predates_sequence_parallelism(job: Training) -> bool:
    """Megatron-DeepSpeed never took it over, and Megatron got it together with kernels that need no unfused attention
    (arXiv:2205.05198)."""
    return job.framework is Framework.MEGATRON_DEEPSPEED or job.attention_kernel is AttentionKernel.UNFUSED


def _usual_sharding(job: Training, ranks: int) -> Sharding:
    if job.framework in _FULLY_SHARDS or (
        job.framework is Framework.OTHER and job.parallelism.pipeline == 1 and job.parallelism.tensor == 1
    ):
        return Sharding.ZERO3
    return Sharding.ZERO1 if ranks > 1 else Sharding.NONE


def _usual_interleave(framework: Framework, layers: int, pipeline: int) -> int:
    """Megatron's recipes interleave: the largest divisor of a stage's layers up to four."""
    if pipeline <= 1 or framework not in _INTERLEAVES:
        return 1
    stage = layers // pipeline
    return max((part for part in range(1, 5) if stage and stage % part == 0), default=1)


def _usual_expert_tensor(tensor: int, expert: int) -> int:
    """Recipes with expert parallelism keep every expert whole; without it experts are divided like everything else."""
    return 1 if expert > 1 else tensor


def _fits(layout: Layout, profile: Profile, precisions: Precisions, fabric: Fabric, job: Training) -> bool:
    return training_memory(layout, profile, precisions, fabric.accelerator, job.framework, job.optimizer).fits


def _least_recompute(layout: Layout, profile: Profile, precisions: Precisions, fabric: Fabric, job: Training) -> Layout:
    for policy in (Recompute.NONE, Recompute.SELECTIVE, Recompute.FULL):
        candidate = replace(layout, recompute=policy, micro_batches=_rounds(job, layout))
        if _fits(candidate, profile, precisions, fabric, job):
            return candidate
    return replace(layout, recompute=Recompute.NONE)


def _largest_micro_batch(layout: Layout, profile: Profile, precisions: Precisions, fabric: Fabric, job: Training) -> Layout:
    best = replace(layout, micro_batch=1)
    each_rank = None if job.global_batch is None else job.global_batch / layout.data
    size = 2
    while size <= _LARGEST_MICRO_BATCH and (each_rank is None or each_rank / size >= layout.pipeline):
        candidate = replace(layout, micro_batch=size, micro_batches=max(layout.pipeline, 1))
        if not _fits(candidate, profile, precisions, fabric, job):
            break
        best = candidate
        size *= 2
    return best


def _rounds(job: Training, layout: Layout) -> int:
    if job.global_batch is None:
        return layout.pipeline
    return max(1, ceil(job.global_batch / (layout.data * layout.micro_batch)))
