"""What the scenarios are made of: workloads that are declared, figures that exporters then show, and the world's noise."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tools.diagnosis_story import CHIPS, MODELS, Chip, Counters, ServingStep, Steps, serving_step, training_step

__all__ = [
    "EXPERTS",
    "JOBS",
    "NARROW",
    "POWER_BRAKE",
    "POWER_CAP",
    "SERVED",
    "THERMAL",
    "Device",
    "Job",
    "Scenario",
    "Served",
    "World",
    "serving_scenario",
    "step_of",
    "steps_of",
    "training_scenario",
]

THERMAL, POWER_BRAKE, POWER_CAP = 0x40, 0x80, 0x04  # NVML's reasons for low clocks


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
class Job:
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
class Served:
    model: str
    chip: str
    gpus: int
    running: int
    prompt: int
    generated: int


JOBS = (
    Job(model="8b", chip="h100", gpus=32, sequence=4096, batch=512, tensor=2),
    Job(model="8b", chip="h200", gpus=32, sequence=8192, batch=256),
    Job(model="8b", chip="b200", gpus=32, sequence=8192, batch=256),
    Job(model="7b", chip="a100", gpus=32, sequence=4096, batch=512),
    Job(model="13b", chip="a100", gpus=64, sequence=4096, batch=512, tensor=4),
    Job(model="14b", chip="h100", gpus=64, sequence=4096, batch=1024, tensor=2),
    Job(model="70b", chip="h100", gpus=128, sequence=4096, batch=1024, tensor=8, pipeline=4),
    Job(model="70b", chip="h200", gpus=128, sequence=4096, batch=1024, tensor=8, pipeline=2),
    Job(model="70b", chip="b200", gpus=64, sequence=4096, batch=512, tensor=4, pipeline=2),
)
NARROW = (
    Job(model="8b", chip="h100", gpus=32, sequence=4096, batch=512, tensor=2, fp8=True),
    Job(model="8b", chip="h200", gpus=32, sequence=4096, batch=512, fp8=True),
    Job(model="70b", chip="h100", gpus=128, sequence=4096, batch=1024, tensor=8, pipeline=4, fp8=True),
    Job(model="70b", chip="b200", gpus=64, sequence=4096, batch=512, tensor=4, pipeline=2, fp8=True),
)
EXPERTS = (
    Job(model="8x7b", chip="h100", gpus=64, sequence=4096, batch=1024, expert=8, tensor=1, pipeline=2),
    Job(model="8x7b", chip="h200", gpus=64, sequence=4096, batch=1024, expert=8),
)
SERVED = (
    Served(model="8b", chip="h100", gpus=1, running=128, prompt=1024, generated=256),
    Served(model="8b", chip="h200", gpus=1, running=192, prompt=1024, generated=512),
    Served(model="14b", chip="h100", gpus=1, running=96, prompt=1024, generated=256),
    Served(model="7b", chip="a100", gpus=1, running=48, prompt=512, generated=256),
    Served(model="70b", chip="h100", gpus=4, running=96, prompt=1024, generated=256),
    Served(model="70b", chip="h200", gpus=4, running=128, prompt=2048, generated=512),
    Served(model="70b", chip="b200", gpus=2, running=128, prompt=1024, generated=512),
)


class World:
    """Noise and luck. With roughness, parts differ from the story, and exporters from each other."""

    def __init__(self, seed: int, *, roughness: float) -> None:
        self.random = random.Random(seed)
        self.roughness = roughness
        self.noise = 0.02 * (1.0 + roughness)

    def near(self, value: float, spread: float | None = None) -> float:
        return value * self.random.lognormvariate(0.0, self.noise if spread is None else spread)

    def severity(self) -> float:
        return self.random.uniform(0.10, 0.55)

    def chip(self, name: str) -> Chip:
        known = CHIPS[name]
        return replace(
            known,
            gemm=min(0.9, self.near(known.gemm, 0.07 * self.roughness)),
            attention=self.near(known.attention, 0.10 * self.roughness),
            bandwidth=self.near(known.bandwidth, 0.03 * self.roughness),
            network=self.near(known.network, 0.10 * self.roughness),
        )

    def loaded_clock(self) -> float:
        return self.random.uniform(0.86, 0.98)

    def has(self, probability: float) -> bool:
        return self.random.random() < probability


def steps_of(world: World, job: Job, **other: Any) -> Steps:
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


def training_scenario(
    world: World,
    job: Job,
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
    if world.has(min(0.5, 0.3 * world.roughness)):
        del rates["steps"]
    nodes = tuple(
        (f"node-{node:03d}", {"topology.kubernetes.io/zone": "z", "network.topology.nvidia.com/leaf": f"leaf-{node // 8}"}, per_node)
        for node in range(count)
    )
    return Scenario(
        name="", causes=causes, severity=severity, document=_job_document(job), devices=tuple(devices), rates=rates, nodes=nodes
    )


def _job_document(job: Job) -> dict[str, Any]:
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


def step_of(world: World, served: Served, **other: Any) -> ServingStep:
    asked: dict[str, Any] = {
        "gpus": served.gpus,
        "running": float(served.running),
        "prompt": served.prompt,
        "generated": served.generated,
        "clock": world.random.uniform(0.9, 1.0),
    } | other
    return serving_step(MODELS[served.model], world.chip(served.chip), **asked)


def serving_scenario(
    world: World,
    served: Served,
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


def _device(
    world: World,
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
