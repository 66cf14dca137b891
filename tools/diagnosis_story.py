"""How a training step and a serving step pass physically, and what device counters show meanwhile.

A story of its own: it knows nothing of the operator's estimator or rules. Facts: data-sheet peaks, bandwidths and clocks; shares of
them that real jobs sustain (MosaicML, Kempner, torchtitan and vLLM measurements, rounded); NVML and DCGM's definitions of the counters.
Times are seconds of one device for one step, rates are bytes or FLOP a second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log2

__all__ = ["CHIPS", "MODELS", "Chip", "Counters", "Model", "ServingStep", "Steps", "serving_step", "training_step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    name: str
    product: str
    bf16_flops: float
    fp8_flops: float | None
    bandwidth: float
    memory: float
    link: float  # one way
    network: float
    max_clock: float
    stated_clock: float
    gemm: float  # share of the 16-bit peak that large products sustain
    attention: float  # the same of fused attention
    power: float


CHIPS = {
    "a100": Chip(
        name="a100-sxm-80gb", product="NVIDIA A100-SXM4-80GB", bf16_flops=312e12, fp8_flops=None, bandwidth=2.04e12, memory=80e9,
        link=300e9, network=25e9, max_clock=1410e6, stated_clock=1410e6, gemm=0.80, attention=0.60, power=400.0,
    ),
    "h100": Chip(
        name="h100-sxm-80gb", product="NVIDIA H100 80GB HBM3", bf16_flops=989e12, fp8_flops=1979e12, bandwidth=3.35e12, memory=80e9,
        link=450e9, network=50e9, max_clock=1980e6, stated_clock=1830e6, gemm=0.70, attention=0.38, power=700.0,
    ),
    "h200": Chip(
        name="h200-sxm-141gb", product="NVIDIA H200", bf16_flops=989e12, fp8_flops=1979e12, bandwidth=4.8e12, memory=141e9,
        link=450e9, network=50e9, max_clock=1980e6, stated_clock=1830e6, gemm=0.71, attention=0.38, power=700.0,
    ),
    "b200": Chip(
        name="b200-sxm-180gb", product="NVIDIA B200", bf16_flops=2250e12, fp8_flops=4500e12, bandwidth=7.7e12, memory=180e9,
        link=900e9, network=50e9, max_clock=1965e6, stated_clock=1856e6, gemm=0.60, attention=0.45, power=1000.0,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    catalog: str
    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    experts: int = 0
    active: int = 0
    tied: bool = False

    @property
    def attention_parameters(self) -> float:
        return self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)

    @property
    def block_parameters(self) -> float:
        """Of one layer that a token passes through."""
        return self.attention_parameters + 3 * self.hidden * self.ffn * max(1, self.active)

    @property
    def parameters(self) -> float:
        each = self.attention_parameters + 3 * self.hidden * self.ffn * max(1, self.experts)
        return self.layers * each + (1 if self.tied else 2) * self.vocabulary * self.hidden

    @property
    def active_parameters(self) -> float:
        return self.layers * self.block_parameters + self.vocabulary * self.hidden

    @property
    def cache_bytes(self) -> float:
        """Of one token in 16 bits."""
        return 4.0 * self.layers * self.kv_heads * self.head_dim


def _dense(catalog: str, layers: int, hidden: int, ffn: int, heads: int, kv: int, vocabulary: int, head_dim: int = 128) -> Model:
    return Model(catalog=catalog, layers=layers, hidden=hidden, ffn=ffn, heads=heads, kv_heads=kv, head_dim=head_dim, vocabulary=vocabulary)


MODELS = {
    "8b": _dense("llama-3.1-8b", 32, 4096, 14336, 32, 8, 128256),
    "7b": _dense("llama-2-7b", 32, 4096, 11008, 32, 32, 32000),
    "13b": _dense("llama-2-13b", 40, 5120, 13824, 40, 40, 32000),
    "14b": _dense("qwen2.5-14b", 48, 5120, 13824, 40, 8, 152064),
    "70b": _dense("llama-3.1-70b", 80, 8192, 28672, 64, 8, 128256),
    "8x7b": replace(_dense("mixtral-8x7b", 32, 4096, 14336, 32, 8, 32000), experts=8, active=2),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Means over one device and some time. `clock`: over the maximum."""

    tensor: float
    memory: float
    busy: float
    multiprocessors: float
    clock: float
    link: float  # bytes a second, both ways

    def power(self, chip: Chip) -> float:
        return chip.power * min(1.0, 0.18 + 0.6 * self.tensor * self.clock + 0.25 * self.memory + 0.12 * self.busy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Seconds of one training step on the device that everybody waits for, by what it does; `tokens` of the whole job.

    `flops`: executed by the tensor pipes of one device at `narrow` times the 16-bit rate.
    """

    tokens: float
    gemm: float
    attention: float
    memory: float
    communication: float
    bubble: float
    host: float
    data: float
    flops: float
    rate_over_16_bits: float
    link_bytes: float
    chip: Chip
    clock: float  # over the maximum

    @property
    def seconds(self) -> float:
        return self.gemm + self.attention + self.memory + self.communication + self.bubble + self.host + self.data

    def counters(self) -> Counters:
        whole = self.seconds
        peak = self.chip.bf16_flops * self.rate_over_16_bits * self.clock * self.chip.max_clock / self.chip.stated_clock
        working = self.gemm + self.attention + self.memory
        waiting = self.communication + self.bubble
        return Counters(
            # Pipes are counted active for whole instructions, and tiles are padded: a tenth above the FLOPs that are of use.
            tensor=min(1.0, 1.10 * self.flops / peak / whole),
            memory=min(0.97, (0.28 * self.gemm + 0.15 * self.attention + 0.85 * self.memory + 0.06 * self.communication) / whole),
            busy=(working + waiting) / whole * 0.995,
            multiprocessors=(0.93 * working + 0.14 * waiting) / whole,
            clock=self.clock,
            link=self.link_bytes / whole,
        )


def training_step(
    model: Model,
    chip: Chip,
    *,
    gpus: int,
    sequence: int,
    batch: int,
    tensor: int = 1,
    pipeline: int = 1,
    expert: int = 1,
    fp8: bool = False,
    recompute: bool = False,
    domain: int = 8,
    loaded_clock: float = 0.93,
) -> Steps:
    """One undisturbed step of a competent stack. `domain`: consecutive ranks that really share the fast links."""
    data = gpus // (tensor * pipeline)
    tokens = float(batch * sequence)
    each = tokens / data  # tokens of one data-parallel rank
    local = each / (tensor * pipeline)
    rate = (chip.fp8_flops or chip.bf16_flops) / chip.bf16_flops if fp8 else 1.0
    passes = 4.0 / 3.0 if recompute else 1.0
    linear = 6.0 * (model.layers * model.block_parameters) * local * passes
    head = 6.0 * model.vocabulary * model.hidden * local
    square = 6.0 * model.layers * sequence * model.heads * model.head_dim * local * passes  # causal half of 12 L S h
    # Products on halves of a shape are less efficient, and so are experts.
    shape = 0.97 ** log2(tensor) * (0.82 if model.experts else 1.0)
    gemm = linear / (chip.bf16_flops * rate * chip.gemm * (0.92 if fp8 else 1.0) * shape) + head / (chip.bf16_flops * chip.gemm)
    attention = square / (chip.bf16_flops * chip.attention)
    width = 44.0 * model.hidden / tensor + 10.0 * model.ffn * max(1, model.active) / tensor
    memory = (
        2.2 * passes * model.layers * width * local * tensor / (0.85 * chip.bandwidth) + 24.0 * model.parameters / gpus / chip.bandwidth
    )
    micro = 1 if model.parameters > 5e10 else 2
    rounds = max(1.0, batch / data / micro)
    fast, slow = chip.link * 0.75, chip.network * 0.6 * min(tensor, domain)
    tensor_bytes = 0.0 if tensor == 1 else 8.0 * model.layers / pipeline * each * model.hidden * 2.0 * (tensor - 1) / tensor
    communication = 0.7 * tensor_bytes / (fast if tensor <= domain else min(slow, fast))
    routed = 0.0 if expert == 1 else 4.0 * model.layers / pipeline * each / tensor * max(1, model.active) * model.hidden * 2.0
    communication += 0.6 * routed * (expert - 1) / max(1, expert) / (chip.link * 0.55 if expert * tensor <= domain else chip.network * 0.6)
    gradients = 4.0 * model.parameters / (tensor * pipeline)
    reduced = 0.0 if data == 1 else gradients / (fast if gpus <= 8 else chip.network * 0.55 * max(1, 8 // tensor))
    work = gemm + attention + memory
    communication += max(0.05 * reduced, reduced - 0.8 * work / max(1.0, rounds / 2 if pipeline > 1 else 1.0))
    communication += 0.004 * log2(max(1, gpus // 8)) * work
    interleave = 1
    bubble = (pipeline - 1) / interleave / rounds * (work + communication)
    return Steps(
        tokens=tokens,
        gemm=gemm,
        attention=attention,
        memory=memory,
        communication=communication,
        bubble=bubble,
        host=0.012 * work,
        data=0.008 * work,
        flops=linear + (head + square) * rate,
        rate_over_16_bits=rate,
        link_bytes=2.0 * (tensor_bytes + routed) + 2.0 * gradients,
        chip=chip,
        clock=loaded_clock,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingStep:
    """One mean decode step of a replica with its share of prefill, on one device."""

    weights: float
    cache: float
    compute: float
    communication: float
    host: float
    running: float
    generated: float  # tokens a step
    chip: Chip
    flops: float
    link_bytes: float
    clock: float

    @property
    def seconds(self) -> float:
        # Weights stream while they are multiplied.
        return float((self.weights**3 + self.compute**3) ** (1 / 3)) + self.cache + self.communication + self.host

    def counters(self) -> Counters:
        whole = self.seconds
        peak = self.chip.bf16_flops * self.clock * self.chip.max_clock / self.chip.stated_clock
        idle = min(self.host, 0.9 * whole)
        return Counters(
            tensor=min(1.0, 1.3 * self.flops / peak / whole),
            memory=min(0.95, 0.85 * (self.weights + self.cache) / whole),
            busy=1.0 - idle / whole,
            multiprocessors=min(0.95, 0.9 * (whole - idle - self.communication) / whole + 0.1 * self.communication / whole),
            clock=self.clock,
            link=self.link_bytes / whole,
        )


def serving_step(
    model: Model, chip: Chip, *, gpus: int, running: float, prompt: int, generated: int, weight_bytes: float = 2.0, clock: float = 0.96
) -> ServingStep:
    """A continuous-batching engine with captured graphs; `running` requests of these mean lengths on `gpus` of tensor parallelism."""
    touched = model.experts * (1.0 - (1.0 - model.active / model.experts) ** running) if model.experts else 0.0
    parameters = model.parameters
    if model.experts:
        parameters -= model.layers * 3.0 * model.hidden * model.ffn * (model.experts - touched)
    weights = parameters * weight_bytes / gpus / (0.80 * chip.bandwidth)
    context = prompt + generated / 2.0
    cache = running * context * model.cache_bytes / gpus / (0.85 * chip.bandwidth)
    prefill = running * prompt / generated  # prompt tokens that enter with each step
    flops = 2.0 * model.active_parameters * (running + prefill) / gpus
    flops += 4.0 * model.layers * model.heads * model.head_dim * (running * context + prefill * prompt / 2.0) / gpus
    communication = 0.0
    moved = 2.0 * model.layers * (running + prefill) * model.hidden * 2.0
    if gpus > 1:
        communication = 2.0 * model.layers * 12e-6 * log2(gpus) ** 0.5 + 2.0 * moved * (gpus - 1) / gpus / (0.8 * chip.link)
    return ServingStep(
        weights=weights,
        cache=cache,
        compute=flops / (chip.bf16_flops * chip.gemm),
        communication=communication,
        host=0.0009 + 14e-6 * running + 6e-6 * model.layers,
        running=running,
        generated=running,
        chip=chip,
        flops=flops,
        link_bytes=2.0 * moved if gpus > 1 else 0.0,
        clock=clock,
    )
