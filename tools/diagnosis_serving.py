"""Serving replicas with one thing wrong: each function draws a replica, lets it happen, and says what it was."""

from __future__ import annotations

from dataclasses import replace

from tools.diagnosis_story import MODELS, serving_step
from tools.diagnosis_world import SERVED, Scenario, World, serving_scenario, step_of

__all__ = ["evicting", "late_engine", "lonely", "longer_requests", "partitioned", "quiet", "under_batched", "wide_weights"]


def under_batched(world: World, severity: float) -> Scenario:
    """The engine's limit of sequences is low: requests wait while memory is free."""
    served = world.random.choice(SERVED)
    running = max(2.0, served.running * world.random.uniform(0.08, 0.4))
    waiting = float(world.random.randrange(5, 80))
    return serving_scenario(world, served, step_of(world, served, running=running), ("SmallBatch",), 0.5, waiting=waiting, cache=0.2)


def lonely(world: World, severity: float) -> Scenario:
    """Declared so: hardly any requests in flight, where memory holds many."""
    served = world.random.choice([each for each in SERVED if each.model != "70b" or each.chip == "b200"])
    few = replace(served, running=world.random.choice((1, 2, 4)))
    step = step_of(world, few)
    return serving_scenario(world, few, step, ("SmallBatch", "MemoryBound"), 0.7, cache=0.02)


def evicting(world: World, severity: float) -> Scenario:
    """The KV cache is too small for the requests: some are thrown out and computed again."""
    served = world.random.choice(SERVED)
    step = step_of(world, served, running=served.running * world.random.uniform(0.4, 0.8))
    known, model = world.chip(served.chip), MODELS[served.model]
    again = 2.0 * model.active_parameters * (served.prompt + served.generated / 2.0) / (known.bf16_flops * known.gemm * served.gpus)
    step = replace(step, cache=step.cache + step.seconds * severity / (1.0 - severity))
    waiting = float(world.random.randrange(4, 60))
    return serving_scenario(world, served, step, ("CachePressure",), severity, waiting=waiting, cache=0.98, evicted=severity / again)


def late_engine(world: World, severity: float) -> Scenario:
    """Too few cores for the engine: devices wait between steps."""
    served = world.random.choice(SERVED)
    step = step_of(world, served)
    step = replace(step, host=step.host + step.seconds * severity / (1.0 - severity))
    return serving_scenario(world, served, step, ("HostBound",), severity)


def wide_weights(world: World, severity: float) -> Scenario:
    """8-bit weights are declared, the checkpoint that runs has 16."""
    served = world.random.choice([each for each in SERVED if each.chip != "a100"])
    step = step_of(world, served)
    declared = step_of(world, served, weight_bytes=1.0)
    declared = replace(declared, compute=declared.compute / 2.0, clock=step.clock)
    lost = 1.0 - declared.seconds / step.seconds
    return serving_scenario(world, served, step, ("PrecisionMismatch",), lost, precision="fp8")


def longer_requests(world: World, severity: float) -> Scenario:
    """Answers are much longer than declared: more decoding, on longer contexts, for each prompt."""
    served = world.random.choice(SERVED)
    longer = replace(served, generated=served.generated * world.random.choice((4, 6)))
    step, declared = step_of(world, longer), step_of(world, served)
    # Model FLOP/s of the two, as a share of what the declaration leads to.
    lost = 1.0 - step.flops / step.seconds / (declared.flops / declared.seconds)
    return serving_scenario(world, served, step, ("WrongDeclaration", "MemoryBound"), lost, generated=longer.generated)


def quiet(world: World, severity: float) -> Scenario:
    """Hardly anybody asks."""
    served = world.random.choice(SERVED)
    step = step_of(world, served, running=1.0)
    asleep = world.random.uniform(0.5, 0.9)
    step = replace(step, host=step.host + step.seconds * asleep / (1.0 - asleep))
    return serving_scenario(world, served, replace(step, running=1.0 - asleep, generated=1.0), ("LowDemand",), asleep)


def partitioned(world: World, severity: float) -> Scenario:
    """Whole devices are declared, and the pods hold halves of them."""
    served = world.random.choice([each for each in SERVED if each.chip in ("a100", "h100") and each.model in ("7b", "8b")])
    known = world.chip(served.chip)
    half = replace(known, bf16_flops=known.bf16_flops * 3 / 7, bandwidth=known.bandwidth / 2)
    step = step_of(world, served, running=served.running / 2)
    slow = serving_step(MODELS[served.model], half, gpus=1, running=served.running, prompt=served.prompt, generated=served.generated)
    return serving_scenario(world, served, replace(slow, clock=step.clock), ("Sharing",), 0.5, partition="3g.40gb")
