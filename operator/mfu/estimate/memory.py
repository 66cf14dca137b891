"""Memory of one accelerator: weights, gradients, optimizer state and activations of a training job; weights and cache of a serving
replica."""

from dataclasses import dataclass

from mfu.estimate.layout import Layout
from mfu.estimate.profile import Profile
from mfu.estimate.result import MemoryFit, MemoryPart
from mfu.estimate.workload import AttentionKernel, Framework, Precisions, Recompute, Sharding
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.precision import Precision
from mfu.model.operations import AttentionCore, Module, Pass, Split

__all__ = ["ServingMemory", "cache_bytes_per_sequence", "serving_memory", "training_memory", "visible_tokens"]

_USABLE_RATIO = 0.96  # the driver, the context and fragmentation keep the rest
_BUFFER_BYTES = 1.5e9  # context, communication buffers, workspaces
_OPTIMIZER_BYTES = {"adam": 12.0, "muon": 8.0, "sgd": 8.0}  # 32-bit master weight and moments, for each parameter
_NARROW_ACTIVATIONS = 0.65  # inputs of GEMMs are kept in 8 bits
_SELECTIVE_ACTIVATIONS = 0.6
_UNFUSED_SCORE_BYTES = 5.0  # scores, softmax and dropout mask, for each query, key and head (arXiv:2205.05198, section 4.1)


def training_memory(
    layout: Layout, profile: Profile, precisions: Precisions, accelerator: Accelerator, framework: Framework, optimizer: str
) -> MemoryFit:
    """What the first pipeline stage holds, which under 1F1B has the most activations."""
    dense, experts = _local_parameters(layout, profile)
    trained = profile.adapter_parameters / (layout.tensor * layout.pipeline) if profile.adapter_parameters else None
    shard = layout.sharding_group
    expert_shard = max(1, min(layout.expert_replicas, layout.sharding_group * layout.tensor // (layout.expert * layout.expert_tensor)))
    sharding = layout.sharding

    weight = max(2.0, precisions.weights.bytes_per_element if precisions.weights is Precision.FP32 else 2.0)
    gradient = 4.0 if framework in (Framework.MEGATRON_CORE, Framework.MEGATRON_BRIDGE, Framework.NEMO, Framework.PRIMUS) else 2.0
    state = _OPTIMIZER_BYTES.get(optimizer, 12.0)

    def divided(by_weights: bool) -> float:
        return dense / (shard if by_weights else 1) + experts / (expert_shard if by_weights else 1)

    weights = weight * divided(sharding is Sharding.ZERO3)
    if trained is None:
        gradients = gradient * divided(sharding in (Sharding.ZERO2, Sharding.ZERO3))
        optimizer_state = state * divided(sharding is not Sharding.NONE)
    else:
        gradients = gradient * trained
        optimizer_state = state * trained / (1 if sharding is Sharding.NONE else shard)
    gathered = 2 * weight * (dense + experts) * layout.pipeline / profile.layers if sharding is Sharding.ZERO3 else 0.0
    return MemoryFit(
        parts=(
            MemoryPart(name="weights", required_bytes=weights),
            MemoryPart(name="gradients", required_bytes=gradients),
            MemoryPart(name="optimizer", required_bytes=optimizer_state),
            MemoryPart(name="activations", required_bytes=_activation_bytes(layout, profile, precisions)),
            MemoryPart(name="buffers", required_bytes=_BUFFER_BYTES + gathered),
        ),
        capacity_bytes=accelerator.memory_bytes * _USABLE_RATIO,
    )


def _local_parameters(layout: Layout, profile: Profile) -> tuple[float, float]:
    """Dense and expert parameters of one rank before any sharding over data-parallel ranks."""
    dense = (profile.tensor_parameters / layout.tensor + profile.replicated_parameters) / layout.pipeline
    dense += profile.vocabulary_parameters / layout.tensor / min(layout.pipeline, 2)
    return dense, profile.expert_parameters / (layout.pipeline * layout.expert * layout.expert_tensor)


def _activation_bytes(layout: Layout, profile: Profile, precisions: Precisions) -> float:
    """Activations kept for the backward of all micro-batches in flight on the first stage (after arXiv:2205.05198, section 4)."""
    tokens = layout.tokens
    replicated = layout.tensor if layout.sequence_parallel else 1
    stage_layers = profile.layers * layout.stage_share(profile.layers)
    kept = 14.0 * profile.hidden / replicated
    widths = 0.0
    for op in profile.linears:
        if op.split is Split.COLUMN:
            widths += 2.0 * op.outputs * op.count / profile.layers / layout.tensor
            if op.module in (Module.MLP, Module.SHARED_EXPERTS):
                widths += op.outputs * op.count / profile.layers / layout.tensor  # the activation's result
    for expert in profile.expert_linears:
        rows = expert.active * expert.count / profile.layers / layout.tensor
        widths += 2.0 * rows * (expert.outputs + (expert.inputs if expert.split is Split.ROW else 0))
    layer = kept + widths
    if precisions.compute.is_narrow:
        layer *= _NARROW_ACTIVATIONS
    if layout.kernel is AttentionKernel.UNFUSED and layout.recompute is not Recompute.SELECTIVE:
        heads = sum(op.heads * op.count for op in profile.attentions) / profile.layers
        layer += _UNFUSED_SCORE_BYTES * heads * layout.sequence_length / layout.tensor
    if layout.pipeline > 1:
        in_flight = layout.pipeline + (layout.pipeline - 1) / layout.interleave if layout.interleave > 1 else float(layout.pipeline)
        in_flight = min(float(layout.micro_batches), in_flight)
    else:
        in_flight = 1.0
    match layout.recompute:
        case Recompute.FULL:
            stage = in_flight * stage_layers * 2.0 * profile.hidden / replicated + layer
        case Recompute.SELECTIVE:
            stage = in_flight * stage_layers * layer * (1.0 if layout.kernel is AttentionKernel.UNFUSED else _SELECTIVE_ACTIVATIONS)
        case Recompute.NONE:
            stage = in_flight * stage_layers * layer
    logits = 6.0 * sum(op.outputs for op in profile.heads[:1]) / layout.tensor if layout.pipeline == 1 else 0.0
    return tokens * (stage + logits)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingMemory:
    """Memory of one rank of a serving replica. `cache_budget_bytes`: what is left for the cache; may be negative."""

    weight_bytes: float
    buffer_bytes: float
    capacity_bytes: float
    cache_budget_bytes: float


def serving_memory(
    profile: Profile,
    accelerator: Accelerator,
    *,
    tensor: int,
    pipeline: int,
    shards: int,
    dense_bytes: float,
    attention_bytes: float,
    expert_bytes: float,
    cache_ratio: float,
    of_free_memory: bool,
    reserve_bytes: float,
) -> ServingMemory:
    """Weights of one rank and the budget they leave for the cache.

    `*_bytes`: stored size of a weight element by kind. `shards`: ranks that share the experts. `cache_ratio`: share of the device's
    memory that the engine takes for all, or (`of_free_memory`) of what the weights leave that it takes for the cache.
    """
    dense = sum(
        op.parameters
        * op.count
        * (attention_bytes if op.module is Module.ATTENTION else dense_bytes)
        / (1 if op.split is Split.REPLICATED else tensor)
        for op in profile.linears
    )
    weights = (dense + profile.expert_parameters / shards * expert_bytes) / pipeline
    weights += profile.vocabulary_parameters * 2.0 / tensor / min(pipeline, 2)
    taken = weights + reserve_bytes
    return ServingMemory(
        weight_bytes=weights,
        buffer_bytes=reserve_bytes,
        capacity_bytes=accelerator.memory_bytes,
        cache_budget_bytes=cache_ratio * (accelerator.memory_bytes - taken)
        if of_free_memory
        else cache_ratio * accelerator.memory_bytes - taken,
    )


def cache_bytes_per_sequence(
    profile: Profile, context: float, cache_element_bytes: float, *, tensor: int, pipeline: int, whole_context: bool
) -> float:
    """Cache of one sequence of `context` tokens on one rank. `whole_context`: the engine keeps tokens that have left a window."""
    total = 0.0
    for op in profile.attentions:
        if op.runs_on_encoder:
            continue
        kept = context if whole_context else visible_tokens(op, context)
        total += op.count * kept * op.cache_width / min(tensor, op.cache_heads) * cache_element_bytes
    for scan in profile.scans:
        total += scan.count * scan.state_elements * 2.0 / tensor
    return total / pipeline


def visible_tokens(op: AttentionCore, context: float) -> float:
    """Cached tokens of a sequence of `context` tokens that a new one can see."""
    return float(op.visible_context(Pass(batch=1, new_tokens=1, past_tokens=max(0, int(context) - 1))))
