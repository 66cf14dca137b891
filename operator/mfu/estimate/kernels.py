"""Seconds of the kernels of a training micro-batch on one rank: GEMMs, grouped expert GEMMs, attention, element-wise work, the output head.

Arithmetic and the part of the memory traffic that is not hidden behind it add up, which gives small shapes and fast parts their lower
rate from one coefficient (`gemm_memory_factor`). Times are of all layers of the model; the caller divides by pipeline stages.
"""

from dataclasses import dataclass
from math import ceil

from mfu.estimate.coefficients import TrainingCoefficients, keyed
from mfu.estimate.machine import Machine
from mfu.estimate.profile import Profile
from mfu.estimate.workload import AttentionKernel
from mfu.model.operations import AttentionCore, Elementwise, Linear, Module, Pass, Split

__all__ = ["KernelSeconds", "Shard", "layer_kernels"]

_TILE = 128
_WAVE_TILE = 128 * 256  # outputs that one multiprocessor computes at a time
_HEAD_BYTES_PER_LOGIT = 18.0  # logits, their softmax and gradient, in and out
_FORWARD_SCORE_BYTES = 13.0  # unfused attention: scores, mask, softmax and dropout, for each token, key and head
_BACKWARD_SCORE_BYTES = 18.0
_UNFUSED_GEMM_RATIO = 0.6  # batched score GEMMs have K = head_dim
_ODD_HEAD_FACTOR = 1.8  # a head_dim that is no multiple of 8 leaves the matrix units' fast path
_RAMP_KEYS = 150.0  # keys at which a flash kernel has lost half its rate to start-up
_SHORT_HEAD_EXPONENT = 0.35
_BACKWARD_ATTENTION_FLOPS = 2.5  # five products instead of two (FlashAttention-2, arXiv:2307.08691, section 3.1.2)
_BACKWARD_ELEMENTWISE = 1.7
_FORWARD_CAST_BYTES = 3.5
_BACKWARD_CAST_BYTES = 4.5
_BLOCK_CAST_FACTOR = 1.3
_PERMUTE_BYTES = 12.0
_PERMUTE_BACKWARD = 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """How a micro-batch and the weights are divided: `sequences` of `sequence_length` tokens, of which a rank holds 1/context."""

    sequences: int
    sequence_length: int
    tensor: int
    context: int
    expert: int
    expert_tensor: int
    sequence_parallel: bool
    kernel: AttentionKernel | None
    balanced: bool
    block_scaled: bool

    @property
    def tokens(self) -> float:
        return self.sequences * self.sequence_length / self.context

    def rows(self, op: Linear | Elementwise) -> float:
        """Tokens that `op` runs on: of the sequence, or of its encoder's input."""
        return self.sequences * op.encoder_tokens / self.context if op.runs_on_encoder else self.tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSeconds:
    """Forward and backward seconds of all layers for one micro-batch on one rank, by kind. `*_ideal`: arithmetic at the data-sheet peak."""

    matmul_forward: float
    matmul_backward: float
    matmul_ideal: float
    experts_forward: float
    experts_backward: float
    experts_ideal: float
    attention_forward: float
    attention_backward: float
    attention_ideal: float
    unfused_attention_forward: float
    elementwise_forward: float
    elementwise_backward: float
    head: float
    head_ideal: float
    cast_weights: float  # once a step

    @property
    def forward(self) -> float:
        return self.matmul_forward + self.experts_forward + self.attention_forward + self.elementwise_forward

    @property
    def backward(self) -> float:
        return self.matmul_backward + self.experts_backward + self.attention_backward + self.elementwise_backward


def layer_kernels(profile: Profile, shard: Shard, machine: Machine, known: TrainingCoefficients) -> KernelSeconds:
    """All kernels of one micro-batch, pass by pass."""
    narrow = machine.operand_bytes < 2.0
    cast = known.cast_factor * (_BLOCK_CAST_FACTOR if shard.block_scaled else 1.0) if narrow else 0.0
    memory = machine.memory_bytes_per_second
    achieved_memory = memory * known.memory_bandwidth_ratio

    forward = backward = ideal = traffic = weights = cast_forward = cast_backward = 0.0
    for op in profile.linears:
        n, k = _local(op, shard.tensor)
        tokens = shard.rows(op)
        seconds = 2.0 * tokens * n * k * _padding(tokens, n) / machine.matmul_flops_per_second * op.count
        bytes_moved = _gemm_bytes(tokens, n, k, machine.operand_bytes) * op.count
        passes = 1.0 if op.frozen else 2.0
        wave = known.gemm_saturation * _WAVE_TILE * machine.multiprocessors
        forward += seconds * (1.0 + wave / (tokens * n))
        backward += seconds * (passes + wave / (tokens * k) + (passes - 1.0) * wave / (n * k))
        ideal += (1.0 + passes) * 2.0 * tokens * n * k * op.count / machine.peak_flops_per_second
        traffic += bytes_moved
        weights += n * k * op.count
        cast_forward += tokens * k * op.count
        cast_backward += tokens * n * op.count
    unhidden = known.gemm_memory_factor * traffic / memory
    trained = backward / forward if forward else 2.0
    matmul_forward = forward + unhidden + cast * _FORWARD_CAST_BYTES * cast_forward / achieved_memory
    matmul_backward = backward + trained * unhidden + cast * _BACKWARD_CAST_BYTES * cast_backward / achieved_memory

    experts_forward, experts_backward, experts_ideal, expert_weights = _experts(profile, shard, machine, known, cast)
    attention_forward, attention_backward, attention_ideal, unfused = _attention(profile, shard, machine, known)
    elementwise = _elementwise_bytes(profile, shard) * known.elementwise_factor / achieved_memory
    head, head_ideal = _head(profile, shard, machine, known)
    return KernelSeconds(
        matmul_forward=matmul_forward,
        matmul_backward=matmul_backward,
        matmul_ideal=ideal,
        experts_forward=experts_forward,
        experts_backward=experts_backward,
        experts_ideal=experts_ideal,
        attention_forward=attention_forward,
        attention_backward=attention_backward,
        attention_ideal=attention_ideal,
        unfused_attention_forward=unfused,
        elementwise_forward=elementwise,
        elementwise_backward=_BACKWARD_ELEMENTWISE * elementwise,
        head=head,
        head_ideal=head_ideal,
        cast_weights=cast * 1.5 * (weights + expert_weights) / achieved_memory,
    )


def _local(op: Linear, tensor: int) -> tuple[float, float]:
    """Outputs and inputs of the GEMM that one tensor rank runs."""
    match op.split:
        case Split.COLUMN | Split.VOCABULARY:
            return op.outputs / tensor, float(op.inputs)
        case Split.ROW:
            return float(op.outputs), op.inputs / tensor
        case _:
            return float(op.outputs), float(op.inputs)


def _padding(m: float, n: float) -> float:
    """Share of work that fills the last tiles."""
    if n < _TILE:  # routers and the small factors of adapters run in kernels of their own
        return 1.0
    return ceil(n / _TILE) * _TILE / n * ceil(m / _TILE) * _TILE / m


def _gemm_bytes(m: float, n: float, k: float, operand_bytes: float) -> float:
    return (m * k + n * k) * operand_bytes + m * n * 2.0


def _experts(
    profile: Profile, shard: Shard, machine: Machine, known: TrainingCoefficients, cast: float
) -> tuple[float, float, float, float]:
    """Grouped GEMMs of the experts a rank holds, and moving the tokens to them and back: forward, backward, ideal, local weights."""
    if not profile.expert_linears:
        return 0.0, 0.0, 0.0, 0.0
    imbalance = 1.0 if shard.balanced else known.imbalance_factor
    rate = machine.matmul_flops_per_second * known.grouped_gemm_ratio / imbalance
    memory = machine.memory_bytes_per_second
    achieved_memory = memory * known.memory_bandwidth_ratio
    forward = backward = ideal = weights = 0.0
    for op in profile.expert_linears:
        local = op.experts / shard.expert
        rows = shard.tokens * op.active * shard.expert_tensor / shard.tensor
        n, k = (op.outputs / shard.expert_tensor, op.inputs) if op.split is Split.COLUMN else (op.outputs, op.inputs / shard.expert_tensor)
        per_expert = max(1.0, rows / local)
        padding = 1.0 + _TILE / 2 / per_expert if per_expert > _TILE else max(1.5, _TILE / per_expert)
        seconds = 2.0 * rows * n * k * padding / rate
        bytes_moved = rows * (k * machine.operand_bytes + n * 2.0) + local * n * k * machine.operand_bytes
        passes = 1.0 if op.frozen else 2.0
        each = seconds + known.gemm_memory_factor * bytes_moved / memory
        forward += op.count * (each + cast * _FORWARD_CAST_BYTES * rows * k / achieved_memory)
        backward += op.count * (passes * each + cast * _BACKWARD_CAST_BYTES * rows * n / achieved_memory)
        ideal += op.count * (1.0 + passes) * 2.0 * rows * n * k / machine.peak_flops_per_second
        weights += op.count * local * n * k
    copies = shard.tokens * profile.active_experts / (shard.tensor if shard.sequence_parallel else 1)
    permute = profile.expert_layers * copies * profile.hidden * _PERMUTE_BYTES / achieved_memory
    return forward + permute, backward + _PERMUTE_BACKWARD * permute, ideal, weights


def _attention(profile: Profile, shard: Shard, machine: Machine, known: TrainingCoefficients) -> tuple[float, float, float, float]:
    """Attention cores (forward, backward, ideal) and, for what unfused kernels must recompute, their forward seconds; scans are memory
    bound."""
    forward = backward = ideal = unfused = 0.0
    work = Pass(batch=1, new_tokens=shard.sequence_length)
    base = keyed(known.flash_ratio, machine.architecture)
    name = shard.kernel.value if shard.kernel else "usual"
    kernel = base * keyed(known.flash_kernel_ratio, f"{name}-{machine.architecture}", name)
    peak = machine.attention_peak_flops_per_second
    for op in profile.attentions:
        each = op.flops_per_pair(work)
        pairs = op.visible_pairs(work) * shard.sequences / shard.context / shard.tensor * op.count
        ideal += (1.0 + _BACKWARD_ATTENTION_FLOPS - 0.5) * each * pairs / peak
        if shard.kernel is AttentionKernel.UNFUSED:
            ahead, back = _unfused(op, work, shard, machine, known)
            unfused += ahead
            forward += ahead
            backward += back
            continue
        width = min(op.score_dim, 128) / 128
        visible = op.visible_pairs(work) / work.new_tokens
        rate = peak * kernel * width**_SHORT_HEAD_EXPONENT / (1.0 + _RAMP_KEYS / visible)
        seconds = each * pairs / rate
        forward += seconds
        backward += _BACKWARD_ATTENTION_FLOPS * seconds / known.flash_backward_ratio
    achieved_memory = machine.memory_bytes_per_second * known.memory_bandwidth_ratio
    for scan in profile.scans:
        seconds = 2.0 * scan.io_elements_per_token * shard.tokens * scan.count / shard.tensor / achieved_memory
        seconds += scan.flops_per_token * shard.tokens * scan.count / shard.tensor / (0.25 * peak)
        forward += seconds
        backward += 2.0 * seconds
    return forward, backward, ideal, unfused


def _unfused(op: AttentionCore, work: Pass, shard: Shard, machine: Machine, known: TrainingCoefficients) -> tuple[float, float]:
    """Two batched GEMMs over the full square, and the score matrix through memory several times."""
    square = op.full_pairs(work) * shard.sequences / shard.context / shard.tensor * op.count
    odd = _ODD_HEAD_FACTOR if op.score_dim % 8 else 1.0
    gemm = odd * op.flops_per_pair(work) * square / (_UNFUSED_GEMM_RATIO * machine.head_flops_per_second)
    scores = known.unfused_traffic_factor * square * op.heads / (machine.memory_bytes_per_second * known.memory_bandwidth_ratio)
    return gemm + _FORWARD_SCORE_BYTES * scores, 2.0 * gemm + _BACKWARD_SCORE_BYTES * scores


def _elementwise_bytes(profile: Profile, shard: Shard) -> float:
    """16-bit traffic of one forward, all layers; what tensor parallelism replicates is divided only under sequence parallelism."""
    replicated = shard.tensor if shard.sequence_parallel else 1
    total = 0.0
    for op in profile.elementwise:
        divided = op.split is Split.COLUMN
        if divided or op.module is not Module.EXPERTS:  # the permutation of tokens is priced with the experts
            total += shard.rows(op) * op.elements_per_token * op.count / (shard.tensor if divided else replicated)
    return 2.0 * total


def _head(profile: Profile, shard: Shard, machine: Machine, known: TrainingCoefficients) -> tuple[float, float]:
    """Logits, loss and both gradients, in 16 bits."""
    seconds = ideal = 0.0
    for op in profile.heads:
        n = op.outputs / shard.tensor
        passes = 2.0 if op.frozen else 3.0
        gemm = 2.0 * shard.tokens * n * op.inputs / machine.head_flops_per_second
        gemm += known.gemm_memory_factor * _gemm_bytes(shard.tokens, n, op.inputs, 2.0) / machine.memory_bytes_per_second
        logits = _HEAD_BYTES_PER_LOGIT * shard.tokens * n / (machine.memory_bytes_per_second * known.memory_bandwidth_ratio)
        seconds += op.count * (passes * gemm + logits)
        ideal += op.count * passes * 2.0 * shard.tokens * n * op.inputs / machine.peak_flops_per_second
    return seconds, ideal
