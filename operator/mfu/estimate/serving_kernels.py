"""Seconds of one forward step of a serving replica on one rank of one pipeline stage.

A step carries `decoding` sequences of `context` cached tokens, one new token each (more under speculation), and a prefill chunk.
Arithmetic and memory traffic of a kernel overlap almost fully: their times combine as the cube root of the sum of cubes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import log2, sqrt

from mfu.estimate.coefficients import InferenceCoefficients, keyed
from mfu.estimate.engine import Behaviour
from mfu.estimate.memory import visible_tokens
from mfu.estimate.profile import Profile
from mfu.estimate.result import Bound
from mfu.model.operations import AttentionCore, Linear, Module, Pass, Split

__all__ = ["Batch", "Rank", "StepSeconds", "step_seconds"]

_TILE = 128
_GROUP_ROWS = 16  # rows of an expert are padded to this
_LATENT_COMPUTE_RATIO = 0.6  # absorbed latent attention: sustained share of the 16-bit peak
_WIDE_CACHE_SPEEDUP = 1.4  # 8-bit cache and 8-bit attention kernels of TensorRT-LLM
_DISPATCH_BYTES = 1.5  # between 8-bit dispatch and 16-bit combine


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """One rank: rates in FLOP/s and bytes/s, its share of the model, and where its time constants come from."""

    peak_flops_per_second: float
    matmul_flops_per_second: float
    plain_flops_per_second: float  # 16 bits: head, and attention projections that stay in 16 bits
    expert_flops_per_second: float
    attention_peak_flops_per_second: float
    memory_bytes_per_second: float
    multiprocessors: int
    tensor: int
    pipeline: int
    data: int
    expert: int
    link_bytes_per_second: float
    dispatch_bytes_per_second: float
    link_latency_seconds: float
    weight_bytes: float
    expert_weight_bytes: float
    attention_weight_bytes: float
    attention_is_plain: bool
    cache_bytes: float
    fast_prefill: bool
    behaviour: Behaviour


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Work of one step on one attention rank. `chunk` prefill tokens belong to sequences of `prompt` tokens."""

    decoding: float
    context: float
    tokens_each: float = 1.0
    chunk: float = 0.0
    prompt: float = 0.0
    cached_prompt: float = 0.0


@dataclass(slots=True, kw_only=True)
class StepSeconds:
    """Seconds by kind; `ideal_*` are arithmetic and traffic at data-sheet rates, kernel by kind the larger of the two."""

    matmul: float = 0.0
    weight_streaming: float = 0.0
    experts: float = 0.0
    expert_streaming: float = 0.0
    attention: float = 0.0
    cache_reading: float = 0.0
    elementwise: float = 0.0
    tensor_parallel: float = 0.0
    expert_parallel: float = 0.0
    imbalance: float = 0.0
    layer_latency: float = 0.0
    host: float = 0.0
    ideal: float = 0.0

    def parts(self) -> Iterator[tuple[str, float, Bound]]:
        """Every kind with its seconds and what limits it."""
        for field in fields(self):
            if field.name in _BOUNDS:
                name, bound = _BOUNDS[field.name]
                yield name, getattr(self, field.name), bound

    @property
    def total(self) -> float:
        return sum(seconds for _, seconds, _ in self.parts())


_BOUNDS = {
    "matmul": ("matmul", Bound.COMPUTE),
    "weight_streaming": ("weightStreaming", Bound.MEMORY),
    "experts": ("experts", Bound.COMPUTE),
    "expert_streaming": ("expertStreaming", Bound.MEMORY),
    "attention": ("attention", Bound.COMPUTE),
    "cache_reading": ("cacheReading", Bound.MEMORY),
    "elementwise": ("elementwise", Bound.MEMORY),
    "tensor_parallel": ("tensorParallel", Bound.COMMUNICATION),
    "expert_parallel": ("expertParallel", Bound.COMMUNICATION),
    "imbalance": ("rankImbalance", Bound.COMMUNICATION),
    "layer_latency": ("kernelLatency", Bound.HOST),
    "host": ("hostScheduling", Bound.HOST),
}


def step_seconds(profile: Profile, rank: Rank, batch: Batch, known: InferenceCoefficients) -> StepSeconds:
    """One pipeline stage of one step: layers are divided by the number of stages."""
    out = StepSeconds()
    tokens = batch.decoding * batch.tokens_each + batch.chunk
    if tokens <= 0:
        return out
    stage = 1.0 / rank.pipeline
    bandwidth = rank.memory_bytes_per_second * known.memory_bandwidth_ratio
    prompts = batch.chunk / batch.prompt if batch.prompt else 0.0
    for op in profile.linears:
        _linear(out, op, prompts * op.encoder_tokens if op.runs_on_encoder else tokens, rank, bandwidth, known, stage)
    _experts(out, profile, tokens, rank, bandwidth, known, stage)
    _attention(out, profile, rank, batch, known, stage)
    _scans(out, profile, rank, tokens, bandwidth, batch, stage)
    _elementwise(out, profile, rank, tokens, known, stage)
    sampled = batch.decoding * batch.tokens_each + prompts
    for op in profile.heads:
        _gemm(
            out,
            sampled,
            op.outputs / rank.tensor,
            op.inputs,
            2.0,
            rank.plain_flops_per_second,
            rank,
            bandwidth,
            known,
            op.count / rank.pipeline,
        )
    _communication(out, profile, rank, tokens, known, stage)
    _host(out, profile, rank, batch, known, stage)
    if rank.data > 1:
        out.imbalance = (known.attention_data_factor - 1.0) * out.total
    return out


def _linear(out: StepSeconds, op: Linear, tokens: float, rank: Rank, bandwidth: float, known: InferenceCoefficients, stage: float) -> None:
    n, k = float(op.outputs), float(op.inputs)
    match op.split:
        case Split.COLUMN:
            n /= rank.tensor
        case Split.ROW:
            k /= rank.tensor
        case _:
            pass
    plain = op.module in (Module.ROUTER, Module.ADAPTER) or (op.module is Module.ATTENTION and rank.attention_is_plain)
    rate = rank.plain_flops_per_second if plain else rank.matmul_flops_per_second
    weight = (
        2.0
        if op.module in (Module.ROUTER, Module.ADAPTER)
        else rank.attention_weight_bytes
        if op.module is Module.ATTENTION
        else rank.weight_bytes
    )
    _gemm(out, tokens, n, k, weight, rate, rank, bandwidth, known, op.count * stage)


def _gemm(
    out: StepSeconds,
    m: float,
    n: float,
    k: float,
    weight_bytes: float,
    rate: float,
    rank: Rank,
    bandwidth: float,
    known: InferenceCoefficients,
    count: float,
) -> None:
    if m <= 0:
        return
    waves = max(1.0, m / _TILE) * n / _TILE / rank.multiprocessors
    flops = 2.0 * m * n * k
    moved = n * k * weight_bytes + m * (n + k) * 2.0
    compute = flops / (rate * waves / (waves + known.saturation))
    memory = moved / bandwidth
    seconds = float((compute**3 + memory**3) ** (1 / 3)) * count
    if compute > memory:
        out.matmul += seconds
    else:
        out.weight_streaming += seconds
    out.ideal += count * max(flops / rank.peak_flops_per_second, moved / rank.memory_bytes_per_second)


def _experts(
    out: StepSeconds, profile: Profile, tokens: float, rank: Rank, bandwidth: float, known: InferenceCoefficients, stage: float
) -> None:
    """Grouped GEMMs of the experts that the tokens of all attention ranks reach."""
    every = tokens * rank.data
    shards = rank.tensor * rank.data
    for op in profile.expert_linears:
        touched = op.touched(every) / rank.expert
        rows = every * op.active / rank.expert
        slices = shards / rank.expert
        n, k = (op.outputs / slices, float(op.inputs)) if op.split is Split.COLUMN else (float(op.outputs), op.inputs / slices)
        padded = rows + touched * _GROUP_ROWS / 2
        flops = 2.0 * padded * n * k
        moved = touched * n * k * rank.expert_weight_bytes
        compute = flops / (rank.expert_flops_per_second * known.grouped_gemm_ratio)
        memory = moved / bandwidth
        count = op.count * stage
        seconds = float((compute**3 + memory**3) ** (1 / 3)) * count
        permute = rows * (op.outputs + op.inputs) * 2.0 * known.permute_factor / bandwidth * count / slices
        if compute > memory:
            out.experts += seconds
        else:
            out.expert_streaming += seconds
        out.elementwise += permute
        out.ideal += count * max(2.0 * rows * n * k / rank.peak_flops_per_second, moved / rank.memory_bytes_per_second)


def _attention(out: StepSeconds, profile: Profile, rank: Rank, batch: Batch, known: InferenceCoefficients, stage: float) -> None:
    cache_rate = rank.memory_bytes_per_second * keyed(known.cache_bandwidth_ratio, "latent" if profile.latent else "grouped")
    for op in profile.attentions:
        count = op.count * stage
        if batch.decoding and not op.runs_on_encoder:
            _decode_attention(out, op, rank, batch, cache_rate, count, latent=profile.latent)
        if batch.chunk:
            work = Pass(batch=1, new_tokens=max(1, int(batch.prompt - batch.cached_prompt)), past_tokens=int(batch.cached_prompt))
            pairs = op.visible_pairs(work) * batch.chunk / work.new_tokens
            flops = 2.0 * op.heads * (op.score_dim + op.value_dim) * pairs / rank.tensor
            speed = _WIDE_CACHE_SPEEDUP if rank.fast_prefill else 1.0
            out.attention += count * flops / (rank.attention_peak_flops_per_second * known.prefill_attention_ratio * speed)
            out.ideal += count * flops / rank.attention_peak_flops_per_second


def _decode_attention(
    out: StepSeconds, op: AttentionCore, rank: Rank, batch: Batch, cache_rate: float, count: float, *, latent: bool
) -> None:
    """Reading the cache once for every sequence; latent attention shares it between all heads and can be bound by arithmetic instead."""
    visible = visible_tokens(op, batch.context)
    read = batch.decoding * visible * op.cache_width * rank.cache_bytes / min(rank.tensor, max(1, op.cache_heads))
    memory = read / cache_rate
    flops = 2.0 * batch.decoding * batch.tokens_each * visible * op.heads / rank.tensor * (op.decode_score_dim + op.decode_value_dim)
    compute = flops / (rank.attention_peak_flops_per_second * (_LATENT_COMPUTE_RATIO if latent else 0.5))
    if compute > memory:
        out.attention += count * compute
    else:
        out.cache_reading += count * memory
    out.ideal += count * max(read / rank.memory_bytes_per_second, flops / rank.attention_peak_flops_per_second)


def _scans(out: StepSeconds, profile: Profile, rank: Rank, tokens: float, bandwidth: float, batch: Batch, stage: float) -> None:
    for scan in profile.scans:
        state = 2.0 * 2.0 * batch.decoding * scan.state_elements
        seconds = (2.0 * tokens * scan.io_elements_per_token + state) / rank.tensor / bandwidth
        seconds += scan.flops_per_token * batch.chunk / rank.tensor / (0.25 * rank.attention_peak_flops_per_second)
        out.cache_reading += seconds * scan.count * stage
        out.ideal += state / rank.tensor / rank.memory_bytes_per_second * scan.count * stage


def _elementwise(out: StepSeconds, profile: Profile, rank: Rank, tokens: float, known: InferenceCoefficients, stage: float) -> None:
    total = 0.0
    for op in profile.elementwise:
        if op.runs_on_encoder or (op.module is Module.EXPERTS and op.split is not Split.COLUMN):
            continue  # the permutation is priced with the experts, an encoder's share is small
        total += op.elements_per_token * op.count / (rank.tensor if op.split is Split.COLUMN else 1)
    out.elementwise += 2.0 * total * tokens * known.elementwise_factor * stage / (0.85 * rank.memory_bytes_per_second)


def _communication(out: StepSeconds, profile: Profile, rank: Rank, tokens: float, known: InferenceCoefficients, stage: float) -> None:
    payload = tokens * profile.hidden * 2.0
    if rank.tensor > 1:
        ring = 2.0 * (rank.tensor - 1) / rank.tensor * payload / rank.link_bytes_per_second
        each = rank.link_latency_seconds * sqrt(log2(rank.tensor)) + ring
        reductions = profile.reductions + (profile.expert_reductions if not _shared_reduction(profile) else 0)
        out.tensor_parallel = reductions * stage * each
    if rank.data > 1 and profile.expert_layers:
        peers = min(rank.data - 1, profile.active_experts)
        each = rank.link_latency_seconds + peers * tokens * profile.hidden * _DISPATCH_BYTES / rank.dispatch_bytes_per_second
        out.expert_parallel = 2 * profile.expert_layers * stage * each


def _shared_reduction(profile: Profile) -> bool:
    """Routed and shared experts are summed before one reduction."""
    return any(op.module is Module.SHARED_EXPERTS for op in profile.linears)


def _host(out: StepSeconds, profile: Profile, rank: Rank, batch: Batch, known: InferenceCoefficients, stage: float) -> None:
    layer = known.layer_seconds
    latency = (
        profile.layers * layer["layer"]
        + profile.expert_layers * layer["experts"]
        + (profile.layers * layer["latent"] if profile.latent else 0.0)
    )
    out.layer_latency = latency * stage
    flavour, engine = rank.behaviour.flavour, rank.behaviour.engine
    out.host = keyed(known.host_step_seconds, flavour, engine)
    out.host += batch.decoding * rank.data * keyed(known.host_sequence_seconds, flavour, engine)
    if batch.chunk:
        device = out.total - out.host
        eager = (profile.layers + profile.expert_layers) * stage * keyed(known.eager_layer_seconds, flavour, engine)
        out.host += known.prefill_step_seconds + max(0.0, eager - device)
