"""Workloads with one thing wrong (or nothing): what is declared, what exporters then show, where the pods are, and the truth.

The figures follow from the story in `diagnosis_story`; nothing here knows the operator's estimator or its rules. `variant` draws other
physics: parts, kernels and links that are better or worse than in the story, other noise, other exporters, so that rules that fit one
set of figures too well are found out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tools.diagnosis_story import CHIPS, MODELS, Chip, Counters, Model, ServingStep, Steps, serving_step, training_step

__all__ = ["HEALTHY", "Device", "Scenario", "scenarios"]

HEALTHY = "Healthy"
_THERMAL, _POWER_BRAKE, _POWER_CAP = 0x40, 0x80, 0x04


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What an exporter shows of one device; None: it does not give that figure."""

    node: str
    pod: str
    product: str
    tensor: float
    memory: float
    busy: float
    clock_hertz: float
    multiprocessors: float | None = None
    link: float | None = None
    power: float | None = None
    reasons: int | None = None
    link_errors: float | None = None
    partition: str = ""
    sharers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`causes`: tokens that are right answers, the best first. `severity`: share of the step's time that the cause takes.

    `rates`: what the application's exporter shows, by name. `nodes`: (name, labels, accelerators used), in rank order.
    """

    name: str
    causes: tuple[str, ...]
    severity: float
    document: Mapping[str, Any]
    devices: tuple[Device, ...]
    rates: Mapping[str, float]
    nodes: tuple[tuple[str, Mapping[str, str], int], ...]

    @property
    def is_training(self) -> bool:
        return "training" in self.document["spec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    model: str
    chip: str
    gpus: int
    sequence: int
    batch: int
    tensor: int = 1
    pipeline: int = 1
    expert: int = 1
    fp8: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    model: str
    chip: str
    gpus: int
    running: int
    prompt: int
    generated: int


_JOBS = (
    _Job(model="8b", chip="h100", gpus=32, sequence=4096, batch=512, tensor=2),
    _Job(model="8b", chip="h200", gpus=32, sequence=8192, batch=256),
    _Job(model="8b", chip="b200", gpus=32, sequence=8192, batch=256),
    _Job(model="7b", chip="a100", gpus=32, sequence=4096, batch=512),
    _Job(model="13b", chip="a100", gpus=64, sequence=4096, batch=512, tensor=4),
    _Job(model="14b", chip="h100", gpus=64, sequence=4096, batch=1024, tensor=2),
    _Job(model="70b", chip="h100", gpus=128, sequence=4096, batch=1024, tensor=8, pipeline=4),
    _Job(model="70b", chip="h200", gpus=128, sequence=4096, batch=1024, tensor=8, pipeline=2),
    _Job(model="70b", chip="b200", gpus=64, sequence=4096, batch=512, tensor=4, pipeline=2),
)
_NARROW = (
    _Job(model="8b", chip="h100", gpus=32, sequence=4096, batch=512, tensor=2, fp8=True),
    _Job(model="8b", chip="h200", gpus=32, sequence=4096, batch=512, fp8=True),
    _Job(model="70b", chip="h100", gpus=128, sequence=4096, batch=1024, tensor=8, pipeline=4, fp8=True),
    _Job(model="70b", chip="b200", gpus=64, sequence=4096, batch=512, tensor=4, pipeline=2, fp8=True),
)
_EXPERTS = (
    _Job(model="8x7b", chip="h100", gpus=64, sequence=4096, batch=1024, expert=8, tensor=1, pipeline=2),
    _Job(model="8x7b", chip="h200", gpus=64, sequence=4096, batch=1024, expert=8),
)
_SERVED = (
    _Served(model="8b", chip="h100", gpus=1, running=128, prompt=1024, generated=256),
    _Served(model="8b", chip="h200", gpus=1, running=192, prompt=1024, generated=512),
    _Served(model="14b", chip="h100", gpus=1, running=96, prompt=1024, generated=256),
    _Served(model="7b", chip="a100", gpus=1, running=48, prompt=512, generated=256),
    _Served(model="70b", chip="h100", gpus=4, running=96, prompt=1024, generated=256),
    _Served(model="70b", chip="h200", gpus=4, running=128, prompt=2048, generated=512),
    _Served(model="70b", chip="b200", gpus=2, running=128, prompt=1024, generated=512),
)


class _World:
    """Noise and luck. In the variant, parts differ from the data sheet, and exporters from each other."""

    def __init__(self, seed: int, *, variant: bool) -> None:
        self.random = random.Random(seed)
        self.variant = variant
        self.noise = 0.04 if variant else 0.02

    def near(self, value: float, spread: float | None = None) -> float:
        return value * self.random.lognormvariate(0.0, self.noise if spread is None else spread)

    def severity(self) -> float:
        return self.random.uniform(0.10, 0.55)

    def chip(self, name: str) -> Chip:
        known = CHIPS[name]
        if not self.variant:
            return known
        return replace(
            known,
            gemm=min(0.9, self.near(known.gemm, 0.07)),
            attention=self.near(known.attention, 0.10),
            bandwidth=self.near(known.bandwidth, 0.03),
            network=self.near(known.network, 0.10),
        )

    def loaded_clock(self) -> float:
        return self.random.uniform(0.86, 0.98)

    def has(self, probability: float) -> bool:
        return self.random.random() < probability


def scenarios(seed: int, *, count: int = 480, variant: bool = False) -> Iterator[Scenario]:
    """`count` scenarios; a quarter of them healthy, the others spread over all causes."""
    world = _World(seed, variant=variant)
    kinds = tuple(_BROKEN)
    for number in range(count):
        kind = HEALTHY if number % 4 == 0 else kinds[(number - number // 4 - 1) % len(kinds)]
        made = _healthy(world) if kind == HEALTHY else _BROKEN[kind](world, world.severity())
        yield replace(made, name=f"{number:04d}-{kind}")


def _healthy(world: _World) -> Scenario:
    if world.has(0.4):
        served = world.random.choice(_SERVED)
        return _serving(world, served, _step_of(world, served), ())
    job = world.random.choice(_JOBS + _NARROW + _EXPERTS)
    return _training(world, job, _steps(world, job), ())


# ---- training ----


def _steps(world: _World, job: _Job, **other: Any) -> Steps:
    chip = world.chip(job.chip)
    asked: dict[str, Any] = {
        "gpus": job.gpus,
        "sequence": job.sequence,
        "batch": job.batch,
        "tensor": job.tensor,
        "pipeline": job.pipeline,
        "expert": job.expert,
        "fp8": job.fp8,
        "loaded_clock": world.loaded_clock(),
    } | other
    return training_step(MODELS[job.model], chip, **asked)


def _starving(world: _World, severity: float) -> Scenario:
    job = world.random.choice(_JOBS)
    steps = _steps(world, job)
    steps = replace(steps, data=steps.data + steps.seconds * severity / (1.0 - severity))
    return _training(world, job, steps, ("DataStarvation",), severity)


def _late_host(world: _World, severity: float) -> Scenario:
    """Garbage collection, a debug flag, a CPU quota: kernels are launched late."""
    job = world.random.choice(_JOBS)
    steps = _steps(world, job)
    steps = replace(steps, host=steps.host + steps.seconds * severity / (1.0 - severity))
    return _training(world, job, steps, ("HostBound",), severity)


def _slow_links(world: _World, severity: float) -> Scenario:
    """A cable or a switch that drops packets everywhere: collectives take longer, nothing else changes."""
    job = world.random.choice([each for each in _JOBS if each.tensor > 1 or each.gpus > 32])
    steps = _steps(world, job)
    steps = replace(steps, communication=steps.communication + steps.seconds * severity / (1.0 - severity))
    errors = world.near(300.0, 0.5) if world.has(0.6) else None
    return _training(world, job, steps, ("SlowInterconnect", "Communication"), severity, errors=errors)


def _straggling(world: _World, severity: float) -> Scenario:
    """One node is hot: its clocks are lower, the others wait in their collectives."""
    job = world.random.choice(_JOBS)
    steps = _steps(world, job)
    slow = 1.0 - severity
    working = steps.gemm + steps.attention
    lost = working * (1.0 / slow - 1.0)
    everybody = replace(steps, communication=steps.communication + lost)
    reasons = _THERMAL if world.has(0.5) else None
    severity = lost / everybody.seconds
    return _training(world, job, everybody, ("Straggler",), severity, slow_node=steps.clock * slow, reasons=reasons)


def _throttled(world: _World, severity: float) -> Scenario:
    """A power cap or a warm room: all clocks are lower."""
    job = world.random.choice(_JOBS)
    steps = _steps(world, job)
    slow = 1.0 - severity
    slower = replace(steps, gemm=steps.gemm / slow, attention=steps.attention / slow, clock=steps.clock * slow)
    reasons = world.random.choice([_THERMAL, _POWER_BRAKE, _POWER_CAP]) if world.has(0.6) else None
    return _training(world, job, slower, ("Throttling",), 1.0 - steps.seconds / slower.seconds, reasons=reasons, everywhere=True)


def _scattered(world: _World, severity: float) -> Scenario:
    """Pods of four devices each on nodes that hold other jobs: tensor groups reach over the network."""
    job = world.random.choice([each for each in _JOBS if each.tensor == 8])
    whole, split = _steps(world, job), _steps(world, job, domain=4)
    split = replace(split, clock=whole.clock)
    return _training(world, job, split, ("Topology",), 1.0 - whole.seconds / split.seconds, per_node=4)


def _wide(world: _World, severity: float) -> Scenario:
    """8 bits are declared, the recipe's flag is missing, and kernels run in 16."""
    job = world.random.choice(_NARROW)
    declared, real = _steps(world, job), _steps(world, job, fp8=False)
    lost = 1.0 - declared.seconds / real.seconds
    return _training(world, job, real, ("PrecisionMismatch",), lost)


def _unfused(world: _World, severity: float) -> Scenario:
    """Attention falls back to plain matrix products: the whole square is computed, written and read."""
    job = world.random.choice([each for each in _JOBS if each.sequence >= 4096])
    steps = _steps(world, job)
    model, chip = MODELS[job.model], world.chip(job.chip)
    rows = job.batch * job.sequence / (job.gpus // (job.tensor * job.pipeline)) / (job.tensor * job.pipeline)
    moved = 30.0 * rows * job.sequence * model.heads * model.layers
    square = 12.0 * model.layers * job.sequence * model.heads * model.head_dim * rows
    slower = replace(
        steps,
        attention=square / (0.55 * chip.bf16_flops),
        memory=steps.memory + moved / (0.85 * chip.bandwidth),
        flops=steps.flops + square / 2.0,
    )
    return _training(world, job, slower, ("KernelMismatch",), 1.0 - steps.seconds / slower.seconds)


def _unfused_elementwise(world: _World, severity: float) -> Scenario:
    """Norms, activations and residuals run one small kernel after the other, each reading and writing all of it."""
    job = world.random.choice(_JOBS)
    steps = _steps(world, job)
    slower = replace(steps, memory=steps.memory + steps.seconds * severity / (1.0 - severity))
    return _training(world, job, slower, ("MemoryBound",), severity)


def _padded(world: _World, severity: float) -> Scenario:
    """Sequences are filled up; the loop counts real tokens only."""
    job = world.random.choice(_JOBS)
    steps = _steps(world, job)
    return _training(world, job, replace(steps, tokens=steps.tokens * (1.0 - severity)), ("Padding",), severity)


def _recomputing(world: _World, severity: float) -> Scenario:
    """Full recomputation runs though none is declared."""
    job = world.random.choice(_JOBS)
    declared, real = _steps(world, job), _steps(world, job, recompute=True)
    return _training(world, job, real, ("WrongDeclaration",), 1.0 - declared.seconds / real.seconds)


def _other_chip(world: _World, severity: float) -> Scenario:
    """H100 are declared, the pods got A100."""
    job = world.random.choice([each for each in _JOBS if each.chip == "h100"])
    steps = _steps(world, replace(job, chip="a100"))
    return _training(world, job, steps, ("WrongDeclaration",), 0.5)


def _hot_experts(world: _World, severity: float) -> Scenario:
    """The router sends more tokens to some experts: their ranks work on while the others wait."""
    job = world.random.choice(_EXPERTS)
    steps = _steps(world, job)
    lost = steps.gemm * severity / (1.0 - severity)
    slower = replace(steps, communication=steps.communication + lost)
    return _training(world, job, slower, ("RoutingImbalance",), lost / slower.seconds, hot=lost / steps.gemm)


def _few_micro_batches(world: _World, severity: float) -> Scenario:
    """Declared so: a pipeline with hardly more micro-batches than stages."""
    job = world.random.choice(
        [
            _Job(model="70b", chip="h100", gpus=128, sequence=4096, batch=world.random.choice((16, 32)), tensor=8, pipeline=4),
            _Job(model="70b", chip="h200", gpus=128, sequence=4096, batch=16, tensor=8, pipeline=4),
            _Job(model="13b", chip="a100", gpus=64, sequence=4096, batch=world.random.choice((16, 32)), tensor=2, pipeline=8),
        ]
    )
    steps = _steps(world, job)
    return _training(world, job, steps, ("PipelineBubble",), steps.bubble / steps.seconds)


def _wide_tensor_groups(world: _World, severity: float) -> Scenario:
    """Declared so: tensor parallelism over two nodes."""
    job = world.random.choice(
        [
            _Job(model="70b", chip="h100", gpus=128, sequence=4096, batch=1024, tensor=16, pipeline=2),
            _Job(model="8b", chip="h100", gpus=64, sequence=4096, batch=1024, tensor=16),
            _Job(model="7b", chip="a100", gpus=64, sequence=4096, batch=512, tensor=16),
        ]
    )
    steps = _steps(world, job)
    return _training(world, job, steps, ("Communication",), steps.communication / steps.seconds)


def _partitioned(world: _World, severity: float) -> Scenario:
    """Whole devices are declared, and the pods hold halves of them."""
    served = world.random.choice([each for each in _SERVED if each.chip in ("a100", "h100") and each.model in ("7b", "8b")])
    known = world.chip(served.chip)
    half = replace(known, bf16_flops=known.bf16_flops * 3 / 7, bandwidth=known.bandwidth / 2)
    step = _step_of(world, served, running=served.running / 2)
    slow = serving_step(MODELS[served.model], half, gpus=1, running=served.running, prompt=served.prompt, generated=served.generated)
    return _serving(world, served, replace(slow, clock=step.clock), ("Sharing",), 0.5, partition="3g.40gb")


def _unaligned(world: _World, severity: float) -> Scenario:
    """A small model whose vocabulary matrix units cannot tile: its head takes a slow path."""
    tiny = {"124m": (12, 768, 12), "355m": (24, 1024, 16)}
    layers, hidden, heads = tiny[world.random.choice(tuple(tiny))]
    gpus, sequence, batch = 8, 1024, 512
    model = Model(
        catalog="", layers=layers, hidden=hidden, ffn=hidden * 8 // 3, heads=heads, kv_heads=heads, head_dim=64, vocabulary=50257, tied=True
    )
    steps = training_step(model, world.chip("a100"), gpus=gpus, sequence=sequence, batch=batch, loaded_clock=world.loaded_clock())
    head = 6.0 * model.vocabulary * hidden * batch * sequence / gpus / (steps.chip.bf16_flops * steps.chip.gemm)
    slower = replace(steps, gemm=steps.gemm + 1.8 * head)
    config = {
        "model_type": "gpt2",
        "n_layer": layers,
        "n_embd": hidden,
        "n_head": heads,
        "n_positions": sequence,
        "vocab_size": model.vocabulary,
    }
    job = _Job(model="7b", chip="a100", gpus=gpus, sequence=sequence, batch=batch)
    made = _training(world, job, slower, ("KernelMismatch",), 1.0 - steps.seconds / slower.seconds)
    spec = dict(made.document["spec"]) | {"model": {"config": config}}
    spec["training"] = dict(spec["training"]) | {"microBatchSize": 32, "framework": {"name": "fsdp"}}
    return replace(made, document=dict(made.document) | {"spec": spec})


def _sliced(world: _World, severity: float) -> Scenario:
    """Two pods take turns on every device, or the pods hold halves of devices."""
    job = world.random.choice(_JOBS)
    steps = _steps(world, job)
    slower = replace(steps, host=steps.host + steps.seconds)
    return _training(world, job, slower, ("Sharing",), 0.5, sharers=2)


def _training(
    world: _World,
    job: _Job,
    steps: Steps,
    causes: tuple[str, ...],
    severity: float = 0.0,
    *,
    slow_node: float | None = None,
    reasons: int | None = None,
    everywhere: bool = False,
    errors: float | None = None,
    per_node: int = 8,
    hot: float = 0.0,
    sharers: int = 1,
) -> Scenario:
    shown, speed = steps.counters(), world.near(1.0 / steps.seconds)
    tells_more = world.has(0.5)
    count = job.gpus // per_node
    slow_at = world.random.randrange(count)
    devices = []
    for index in range(job.gpus):
        node = index // per_node
        each = shown
        if slow_node is not None and node == slow_at:
            # The same work in the same time at a lower clock.
            each = replace(shown, clock=slow_node, tensor=min(1.0, shown.tensor * shown.clock / slow_node))
        if hot:
            share = 1.0 + hot if index % job.expert == 0 else 1.0 - hot / max(1, job.expert - 1)
            each = replace(shown, tensor=min(1.0, shown.tensor * share))
        mask = reasons if everywhere or (slow_node is not None and node == slow_at) else None
        devices.append(
            _device(world, f"node-{node:03d}", f"pod-{node:03d}", each, steps.chip, tells_more, mask=mask, errors=errors, sharers=sharers)
        )
    tokens = steps.tokens * speed
    rates = {"tokens": tokens, "steps": speed, "dataWait": min(1.0, world.near(steps.data / steps.seconds))}
    if world.variant and world.has(0.3):
        del rates["steps"]
    nodes = tuple(
        (f"node-{node:03d}", {"topology.kubernetes.io/zone": "z", "network.topology.nvidia.com/leaf": f"leaf-{node // 8}"}, per_node)
        for node in range(count)
    )
    return Scenario(
        name="", causes=causes, severity=severity, document=_job_document(job), devices=tuple(devices), rates=rates, nodes=nodes
    )


def _job_document(job: _Job) -> dict[str, Any]:
    degrees = {"tensor": job.tensor, "pipeline": job.pipeline, "data": job.gpus // (job.tensor * job.pipeline), "expert": job.expert}
    if job.pipeline > 1:
        degrees["interleave"] = 1
    return _document(
        job.model,
        job.chip,
        job.gpus,
        {
            "training": {
                "sequenceLength": job.sequence,
                "globalBatchSize": job.batch,
                "microBatchSize": 1 if job.model == "70b" else 2,
                "parallelism": degrees,
                "sequenceParallel": job.tensor > 1,
                "sharding": "zero1",
                "activationRecompute": "none",
                "attentionKernel": "flash2",
                "framework": {"name": "megatron-core", "version": "0.12"},
            }
        },
        "fp8" if job.fp8 else "bf16",
    )


# ---- serving ----


def _step_of(world: _World, served: _Served, **other: Any) -> ServingStep:
    asked: dict[str, Any] = {
        "gpus": served.gpus,
        "running": float(served.running),
        "prompt": served.prompt,
        "generated": served.generated,
        "clock": world.random.uniform(0.9, 1.0),
    } | other
    return serving_step(MODELS[served.model], world.chip(served.chip), **asked)


def _under_batched(world: _World, severity: float) -> Scenario:
    """The engine's limit of sequences is low: requests wait while memory is free."""
    served = world.random.choice(_SERVED)
    running = max(2.0, served.running * world.random.uniform(0.08, 0.4))
    waiting = float(world.random.randrange(5, 80))
    return _serving(world, served, _step_of(world, served, running=running), ("SmallBatch",), 0.5, waiting=waiting, cache=0.2)


def _lonely(world: _World, severity: float) -> Scenario:
    """Declared so: hardly any requests in flight, where memory holds many."""
    served = world.random.choice([each for each in _SERVED if each.model != "70b" or each.chip == "b200"])
    few = replace(served, running=world.random.choice((1, 2, 4)))
    step = _step_of(world, few)
    return _serving(world, few, step, ("SmallBatch", "MemoryBound"), 0.7, cache=0.02)


def _evicting(world: _World, severity: float) -> Scenario:
    """The KV cache is too small for the requests: some are thrown out and computed again."""
    served = world.random.choice(_SERVED)
    step = _step_of(world, served, running=served.running * world.random.uniform(0.4, 0.8))
    known, model = world.chip(served.chip), MODELS[served.model]
    again = 2.0 * model.active_parameters * (served.prompt + served.generated / 2.0) / (known.bf16_flops * known.gemm * served.gpus)
    step = replace(step, cache=step.cache + step.seconds * severity / (1.0 - severity))
    waiting = float(world.random.randrange(4, 60))
    return _serving(world, served, step, ("CachePressure",), severity, waiting=waiting, cache=0.98, evicted=severity / again)


def _late_engine(world: _World, severity: float) -> Scenario:
    """Too few cores for the engine: devices wait between steps."""
    served = world.random.choice(_SERVED)
    step = _step_of(world, served)
    step = replace(step, host=step.host + step.seconds * severity / (1.0 - severity))
    return _serving(world, served, step, ("HostBound",), severity)


def _wide_weights(world: _World, severity: float) -> Scenario:
    """8-bit weights are declared, the checkpoint that runs has 16."""
    served = world.random.choice([each for each in _SERVED if each.chip != "a100"])
    step = _step_of(world, served)
    declared = _step_of(world, served, weight_bytes=1.0)
    declared = replace(declared, compute=declared.compute / 2.0, clock=step.clock)
    lost = 1.0 - declared.seconds / step.seconds
    return _serving(world, served, step, ("PrecisionMismatch",), lost, precision="fp8")


def _longer_requests(world: _World, severity: float) -> Scenario:
    """Answers are much longer than declared: more decoding, on longer contexts, for each prompt."""
    served = world.random.choice(_SERVED)
    longer = replace(served, generated=served.generated * world.random.choice((4, 6)))
    step, declared = _step_of(world, longer), _step_of(world, served)
    # Model FLOP/s of the two, as a share of what the declaration leads to.
    lost = 1.0 - step.flops / step.seconds / (declared.flops / declared.seconds)
    return _serving(world, served, step, ("WrongDeclaration", "MemoryBound"), lost, generated=longer.generated)


def _quiet(world: _World, severity: float) -> Scenario:
    """Hardly anybody asks."""
    served = world.random.choice(_SERVED)
    step = _step_of(world, served, running=1.0)
    asleep = world.random.uniform(0.5, 0.9)
    step = replace(step, host=step.host + step.seconds * asleep / (1.0 - asleep))
    return _serving(world, served, replace(step, running=1.0 - asleep, generated=1.0), ("LowDemand",), asleep)


def _serving(
    world: _World,
    served: _Served,
    step: ServingStep,
    causes: tuple[str, ...],
    severity: float = 0.0,
    *,
    waiting: float = 0.0,
    cache: float = 0.6,
    evicted: float = 0.0,
    precision: str = "bf16",
    generated: int | None = None,
    partition: str = "",
) -> Scenario:
    answer = float(generated or served.generated)
    tokens = step.generated / step.seconds
    requests = tokens / answer
    shown = step.counters()
    tells_more = world.has(0.5)
    devices = tuple(
        replace(_device(world, "node-000", "pod-000", shown, step.chip, tells_more), partition=partition) for _ in range(served.gpus)
    )
    rates = {
        "generation": world.near(tokens, 0.01),
        "prompt": world.near(requests * served.prompt, 0.01),
        "requests": requests,
        "meanPrompt": world.near(float(served.prompt), 0.03),
        "meanGeneration": world.near(answer, 0.03),
        "running": world.near(step.running, 0.05),
        "waiting": waiting,
        "cacheUsage": cache,
        "preemptions": evicted,
    }
    document = _document(
        served.model,
        served.chip,
        served.gpus,
        {
            "inference": {
                "engine": {"name": "vllm", "version": "0.11"},
                "inputTokens": served.prompt,
                "outputTokens": served.generated,
                "concurrency": served.running,
                "parallelism": {"tensor": served.gpus},
            }
        },
        precision,
    )
    return Scenario(
        name="",
        causes=causes,
        severity=severity,
        document=document,
        devices=devices,
        rates=rates,
        nodes=(("node-000", {"topology.kubernetes.io/zone": "z"}, served.gpus),),
    )


# ---- both ----


def _device(
    world: _World,
    node: str,
    pod: str,
    shown: Counters,
    chip: Chip,
    tells_more: bool,
    *,
    mask: int | None = None,
    errors: float | None = None,
    sharers: int = 1,
) -> Device:
    return Device(
        node=node,
        pod=pod,
        product=chip.product,
        tensor=min(1.0, world.near(shown.tensor, 0.015)),
        memory=min(1.0, world.near(shown.memory)),
        busy=min(1.0, world.near(shown.busy, 0.01)),
        clock_hertz=world.near(shown.clock * chip.max_clock, 0.008),
        multiprocessors=min(1.0, world.near(shown.multiprocessors)) if tells_more else None,
        link=world.near(shown.link) if tells_more else None,
        power=shown.power(chip),
        reasons=mask,
        link_errors=errors,
        sharers=sharers,
    )


def _document(model: str, chip: str, gpus: int, mode: dict[str, Any], precision: str) -> dict[str, Any]:
    known = CHIPS[chip]
    return {
        "apiVersion": "mfu.dev/v1alpha1",
        "kind": "ModelWorkload",
        "metadata": {"name": "job", "namespace": "team"},
        "spec": {
            "model": {"catalog": MODELS[model].catalog},
            "precision": {"compute": precision},
            "accelerators": {"class": known.name, "count": gpus, "perNode": min(8, gpus), "networkGbps": round(known.network * 8e-9)},
            **mode,
        },
    }


_BROKEN: dict[str, Callable[[_World, float], Scenario]] = {
    "data-starvation": _starving,
    "late-host": _late_host,
    "slow-links": _slow_links,
    "straggler": _straggling,
    "throttled": _throttled,
    "scattered": _scattered,
    "wide-kernels": _wide,
    "unfused-attention": _unfused,
    "unfused-elementwise": _unfused_elementwise,
    "padding": _padded,
    "recomputation": _recomputing,
    "other-chip": _other_chip,
    "hot-experts": _hot_experts,
    "few-micro-batches": _few_micro_batches,
    "wide-tensor-groups": _wide_tensor_groups,
    "time-sliced": _sliced,
    "mig-slices": _partitioned,
    "unaligned-vocabulary": _unaligned,
    "declared-few-requests": _lonely,
    "under-batched": _under_batched,
    "evicting": _evicting,
    "late-engine": _late_engine,
    "wide-weights": _wide_weights,
    "longer-requests": _longer_requests,
    "quiet": _quiet,
}
