"""One optimizer step of a training job: stage time, pipeline bubble, exposed communication, host, optimizer, framework.

step = (micro-batches + (pipeline − 1)/interleave) × (stage + head share + transfer) + exposed data-parallel traffic + optimizer,
over the framework's factor, times the loss to stragglers (1F1B and interleaving: arXiv:2104.04473, section 2.2).
"""

from dataclasses import dataclass
from math import ceil, hypot, log2, sqrt

from mfu.estimate.breakdown import Part
from mfu.estimate.coefficients import TrainingCoefficients, keyed
from mfu.estimate.collectives import Group, Links, all_gather_seconds, all_reduce_seconds, all_to_all_seconds, transfer_seconds
from mfu.estimate.kernels import KernelSeconds, Shard, layer_kernels
from mfu.estimate.layout import Layout
from mfu.estimate.machine import Machine
from mfu.estimate.profile import Profile
from mfu.estimate.release import captures_expert_layers
from mfu.estimate.result import Bound
from mfu.estimate.workload import AttentionKernel, Fabric, Framework, MoeKernel, Recompute, Sharding, Training
from mfu.hardware.precision import Precision

__all__ = ["Step", "training_step"]

_EAGER = frozenset(
    {Framework.FSDP, Framework.TORCHTITAN, Framework.COMPOSER, Framework.NEMO_AUTOMODEL, Framework.DEEPSPEED, Framework.MEGATRON_DEEPSPEED}
)
_GATHERS_ONCE = frozenset(
    {Framework.TORCHTITAN, Framework.NEMO, Framework.NEMO_AUTOMODEL, Framework.MEGATRON_BRIDGE}
)  # full sharding under pipelines
_FUSED_KERNELS = 45  # launches of a layer and micro-batch, forward and backward
_EAGER_KERNELS = 75
_SHARDED_LAUNCH_FACTOR = 1.3  # gathers and their bookkeeping
_MOST_LAUNCHED_EXPERTS = 16  # beyond, grouped kernels take all in one launch; no measurement holds more
_LOOP_SECONDS_FOR_EACH_EXPERT = 0.0105  # a Python loop over all experts of a layer, forward and backward
_SIXTEEN_BIT_HOST_RATIO = 0.6  # no quantisation launches
_HEAD_IMBALANCE = 0.25  # share of the head that the last stage's fewer layers do not make up for
_EAGER_SELECTIVE_MATMUL = 0.25
_EAGER_SELECTIVE_ELEMENTWISE = 0.5
_OVERLAP_SMOOTHING = 0.15
_OPTIMIZER_BANDWIDTH_RATIO = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The terms of a step.

    `recomputed_ratio`: arithmetic repeated for recomputation, over one forward. `traffic_seconds`: memory traffic of element-wise work
    and the optimizer at the data-sheet bandwidth.
    """

    parts: tuple[Part, ...]
    recomputed_ratio: float
    traffic_seconds: float

    @property
    def seconds(self) -> float:
        return sum(part.seconds for part in self.parts)


def training_step(
    job: Training, layout: Layout, profile: Profile, fabric: Fabric, machine: Machine, precision: Precision, known: TrainingCoefficients
) -> Step:
    """All terms of one optimizer step; they add up to its duration."""
    links = Links(
        link_bytes_per_second=fabric.accelerator.link_bytes_per_second * known.link_ratio,
        network_bytes_per_second=fabric.network_bytes_per_second * known.network_ratio,
        domain=max(1, fabric.link_domain),
        latency_seconds=known.link_latency_seconds,
    )
    shard = Shard(
        sequences=layout.micro_batch,
        sequence_length=layout.sequence_length,
        tensor=layout.tensor,
        context=layout.context,
        expert=layout.expert,
        expert_tensor=layout.expert_tensor,
        sequence_parallel=layout.sequence_parallel,
        kernel=layout.kernel,
        balanced=job.balanced_routing,
        block_scaled=precision in (Precision.MXFP8, Precision.NVFP4, Precision.MXFP4),
    )
    kernels = layer_kernels(profile, shard, machine, known)
    share = layout.stage_share(profile.layers)
    full = layout.recompute is Recompute.FULL
    tensor = _tensor_seconds(job, layout, profile, links, known) * share * (1.5 if full else 1.0)
    expert = _expert_seconds(job, layout, profile, links, known) * share * (1.5 if full else 1.0)
    context = _context_seconds(layout, profile, links, known) * share
    again, again_ratio = _recomputed(job.framework, layout, kernels)

    matmul = share * (kernels.matmul_forward + kernels.matmul_backward)
    experts = share * (kernels.experts_forward + kernels.experts_backward)
    attention = share * (kernels.attention_forward + kernels.attention_backward)
    elementwise = share * (kernels.elementwise_forward + kernels.elementwise_backward)
    recompute = share * again
    head = kernels.head / layout.pipeline + _HEAD_IMBALANCE * (kernels.head - kernels.head / layout.pipeline)
    device = matmul + experts + attention + elementwise + recompute + tensor + expert + context
    host = _host_seconds(job, layout, profile, precision, known) * share
    waiting = hypot(device, host) - device
    transfer = _pipeline_transfer(layout, profile, links) * known.transfer_exposed_ratio
    micro = device + waiting + head + transfer
    rounds = layout.micro_batches
    bubble = (layout.pipeline - 1) / layout.interleave * micro
    window = micro - tensor - expert - context - transfer  # links are idle while kernels run or are launched
    data = _data_seconds(job, layout, profile, links, known, precision, window)
    optimizer = _optimizer_seconds(layout, profile, machine, known) + kernels.cast_weights * share
    slowdown = 1.0 / keyed(known.framework_ratio, job.framework.value)
    nodes = max(1.0, layout.ranks / max(1, fabric.per_node))
    straggling = known.straggler_per_doubling * log2(nodes)
    base = rounds * micro + bubble + data + optimizer
    parts = (
        Part(name="matmul", seconds=rounds * matmul, bound=Bound.COMPUTE, ideal_seconds=rounds * share * kernels.matmul_ideal),
        Part(name="experts", seconds=rounds * experts, bound=Bound.COMPUTE, ideal_seconds=rounds * share * kernels.experts_ideal),
        Part(name="attention", seconds=rounds * attention, bound=Bound.COMPUTE, ideal_seconds=rounds * share * kernels.attention_ideal),
        Part(name="elementwise", seconds=rounds * elementwise, bound=Bound.MEMORY),
        Part(name="head", seconds=rounds * head, bound=Bound.COMPUTE, ideal_seconds=rounds * kernels.head_ideal / layout.pipeline),
        Part(name="recompute", seconds=rounds * recompute, bound=Bound.COMPUTE),
        Part(name="tensorParallel", seconds=rounds * tensor, bound=Bound.COMMUNICATION),
        Part(name="expertParallel", seconds=rounds * expert, bound=Bound.COMMUNICATION),
        Part(name="contextParallel", seconds=rounds * context, bound=Bound.COMMUNICATION),
        Part(name="pipelineTransfer", seconds=rounds * transfer, bound=Bound.COMMUNICATION),
        Part(name="pipelineBubble", seconds=bubble, bound=Bound.PIPELINE),
        Part(name="dataParallel", seconds=data, bound=Bound.COMMUNICATION),
        Part(name="optimizer", seconds=optimizer, bound=Bound.MEMORY),
        Part(name="hostLaunch", seconds=rounds * waiting, bound=Bound.HOST),
        Part(name="frameworkOverhead", seconds=base * (slowdown - 1.0), bound=Bound.HOST),
        Part(name="stragglers", seconds=base * slowdown * straggling, bound=Bound.COMMUNICATION),
    )
    return Step(
        parts=tuple(part for part in parts if part.seconds != 0.0),
        recomputed_ratio=again_ratio,
        traffic_seconds=rounds * elementwise * known.memory_bandwidth_ratio / known.elementwise_factor
        + (optimizer - known.optimizer_fixed_seconds) * _OPTIMIZER_BANDWIDTH_RATIO,
    )


def _recomputed(framework: Framework, layout: Layout, kernels: KernelSeconds) -> tuple[float, float]:
    """Seconds of repeated forward work in all layers, and its share of one forward's arithmetic."""
    match layout.recompute:
        case Recompute.FULL:
            return kernels.forward, 1.0
        case Recompute.SELECTIVE if layout.kernel is AttentionKernel.UNFUSED:
            return kernels.unfused_attention_forward, 0.0
        case Recompute.SELECTIVE if framework in _EAGER:
            seconds = _EAGER_SELECTIVE_MATMUL * kernels.matmul_forward + _EAGER_SELECTIVE_ELEMENTWISE * kernels.elementwise_forward
            return seconds, _EAGER_SELECTIVE_MATMUL
        case _:
            return 0.0, 0.0


def _tensor_seconds(job: Training, layout: Layout, profile: Profile, links: Links, known: TrainingCoefficients) -> float:
    """Exposed reductions of all layers, forward and backward (arXiv:1909.08053; with sequence parallelism the same volume,
    arXiv:2205.05198)."""
    if layout.tensor <= 1:
        return 0.0
    reductions = profile.reductions + (profile.expert_reductions if layout.expert_tensor > 1 else 0)
    each = all_reduce_seconds(layout.tokens * profile.hidden * 2.0, Group(size=layout.tensor), links)
    return 2 * reductions * each * keyed(known.tensor_exposed_ratio, job.framework.value)


def _expert_seconds(job: Training, layout: Layout, profile: Profile, links: Links, known: TrainingCoefficients) -> float:
    """Exposed dispatch and combine of all expert layers, forward and backward."""
    if layout.expert <= 1:
        return 0.0
    held = layout.tokens / layout.tensor if layout.sequence_parallel else layout.tokens
    sent = held * profile.active_experts * profile.hidden * 2.0
    group = Group(size=layout.expert, stride=layout.expert_tensor)
    exposed = keyed(known.expert_exposed_ratio, _era(job))
    return 4 * profile.expert_layers * all_to_all_seconds(sent, group, links, profile.active_experts) * exposed


def _context_seconds(layout: Layout, profile: Profile, links: Links, known: TrainingCoefficients) -> float:
    """Exposed ring exchange of keys and values: once forward, twice backward (ring attention, arXiv:2310.01889)."""
    if layout.context <= 1:
        return 0.0
    width = sum(op.cache_width * op.count / min(layout.tensor, op.cache_heads) for op in profile.attentions)
    payload = layout.tokens * layout.context * width * 2.0
    return 3 * all_gather_seconds(payload, Group(size=layout.context, stride=layout.tensor), links) * known.context_exposed_ratio


def _pipeline_transfer(layout: Layout, profile: Profile, links: Links) -> float:
    if layout.pipeline <= 1:
        return 0.0
    payload = layout.tokens * profile.hidden * 2.0 / (layout.tensor if layout.sequence_parallel else 1)
    crosses = layout.ranks > links.domain
    return 2 * layout.interleave * transfer_seconds(payload, crosses, links)


def _data_seconds(
    job: Training,
    layout: Layout,
    profile: Profile,
    links: Links,
    known: TrainingCoefficients,
    precision: Precision,
    micro_window: float,
) -> float:
    """Gradient reduction and parameter gathering that the step waits for."""
    if layout.replicas <= 1:
        return 0.0
    gather = 1.0 if precision.is_narrow and layout.pipeline * layout.tensor > 0 else 2.0
    dense = (
        profile.tensor_parameters / layout.tensor + profile.replicated_parameters + profile.vocabulary_parameters / layout.tensor
    ) / layout.pipeline
    experts = profile.expert_parameters / (layout.pipeline * layout.expert * layout.expert_tensor)
    groups = (
        (dense, Group(size=layout.replicas, stride=layout.tensor)),
        (experts, Group(size=layout.expert_replicas, stride=layout.expert * layout.expert_tensor)),
    )
    trained = 1.0 if not profile.adapter_parameters else profile.adapter_parameters / profile.parameters
    total = 0.0
    for parameters, group in groups:
        if layout.sharding is Sharding.ZERO3:
            inner = Group(size=min(group.size, layout.sharding_group), stride=group.stride)
            rounds = 1 if layout.pipeline > 1 and job.framework in _GATHERS_ONCE else layout.micro_batches
            total += rounds * (
                2 * all_gather_seconds(gather * parameters, inner, links) + all_gather_seconds(2.0 * parameters * trained, inner, links)
            )
            outer = group.size // inner.size
            if outer > 1:
                total += all_reduce_seconds(2.0 * parameters * trained / inner.size, Group(size=outer, stride=links.domain), links)
        else:
            total += all_gather_seconds(2.0 * parameters * trained, group, links) + all_gather_seconds(
                gather * parameters * trained, group, links
            )
    if layout.kernel is AttentionKernel.UNFUSED and layout.sharding is not Sharding.ZERO3:
        window = 0.0  # stacks of that time did not overlap
    else:
        window = micro_window * (layout.micro_batches if layout.sharding is Sharding.ZERO3 else 1)
    return _exposed(total, window, known.hidden_cost_ratio)


def _exposed(communication: float, window: float, hidden_cost: float) -> float:
    """What is left of `communication` beside `window` seconds of compute, with a smooth corner, plus the price of the hidden part."""
    over = communication - window
    exposed = 0.5 * (over + sqrt(over * over + (_OVERLAP_SMOOTHING * communication) ** 2))
    exposed = min(communication, exposed)
    return exposed + hidden_cost * (communication - exposed)


def _optimizer_seconds(layout: Layout, profile: Profile, machine: Machine, known: TrainingCoefficients) -> float:
    dense = (
        profile.tensor_parameters / layout.tensor + profile.replicated_parameters + profile.vocabulary_parameters / layout.tensor
    ) / layout.pipeline
    experts = profile.expert_parameters / (layout.pipeline * layout.expert * layout.expert_tensor)
    if profile.adapter_parameters:
        dense, experts = profile.adapter_parameters / (layout.tensor * layout.pipeline), 0.0
    if layout.sharding is not Sharding.NONE:
        dense /= max(1, min(layout.sharding_group, layout.replicas))
        experts /= layout.expert_replicas
    moved = (dense + experts) * known.optimizer_bytes_per_parameter
    return known.optimizer_fixed_seconds + moved / (_OPTIMIZER_BANDWIDTH_RATIO * machine.memory_bytes_per_second)


def _host_seconds(job: Training, layout: Layout, profile: Profile, precision: Precision, known: TrainingCoefficients) -> float:
    """Host time to launch the kernels of all layers for one micro-batch; the device waits where it is the longer."""
    kernels = _EAGER_KERNELS if job.framework in _EAGER else _FUSED_KERNELS
    launches = kernels * (_SHARDED_LAUNCH_FACTOR if layout.sharding is Sharding.ZERO3 else 1.0)
    if layout.recompute is Recompute.FULL:
        launches *= 4 / 3
    seconds = profile.layers * launches * known.kernel_launch_seconds
    if profile.expert_layers:
        local = min(_MOST_LAUNCHED_EXPERTS, ceil(profile.experts / layout.expert))
        if job.moe_kernel is MoeKernel.LOOP:
            return seconds + profile.expert_layers * profile.experts * _LOOP_SECONDS_FOR_EACH_EXPERT
        each = known.expert_layer_host_seconds + known.expert_host_seconds * local
        each *= 1.0 if precision.is_narrow else _SIXTEEN_BIT_HOST_RATIO
        seconds += profile.expert_layers * each * keyed(known.host_release_ratio, _era(job))
    return seconds


def _era(job: Training) -> str:
    return "graphs" if captures_expert_layers(job.framework, job.framework_version) else "eager"
