"""Training jobs with one thing wrong: each function draws a job, lets it happen, and says what it was."""

from __future__ import annotations

from dataclasses import replace

from tools.diagnosis_story import MODELS, Model, training_step
from tools.diagnosis_world import EXPERTS, JOBS, NARROW, POWER_BRAKE, POWER_CAP, THERMAL, Job, Scenario, World, steps_of, training_scenario

__all__ = [
    "few_micro_batches",
    "hot_experts",
    "late_host",
    "other_chip",
    "padded",
    "recomputing",
    "scattered",
    "sliced",
    "slow_links",
    "starving",
    "straggling",
    "throttled",
    "unaligned",
    "unfused",
    "unfused_elementwise",
    "wide",
    "wide_tensor_groups",
]


def starving(world: World, severity: float) -> Scenario:
    job = world.random.choice(JOBS)
    steps = steps_of(world, job)
    steps = replace(steps, data=steps.data + steps.seconds * severity / (1.0 - severity))
    return training_scenario(world, job, steps, ("DataStarvation",), severity)


def late_host(world: World, severity: float) -> Scenario:
    """Garbage collection, a debug flag, a CPU quota: kernels are launched late."""
    job = world.random.choice(JOBS)
    steps = steps_of(world, job)
    steps = replace(steps, host=steps.host + steps.seconds * severity / (1.0 - severity))
    return training_scenario(world, job, steps, ("HostBound",), severity)


def slow_links(world: World, severity: float) -> Scenario:
    """A cable or a switch that drops packets everywhere: collectives take longer, nothing else changes."""
    job = world.random.choice([each for each in JOBS if each.tensor > 1 or each.gpus > 32])
    steps = steps_of(world, job)
    steps = replace(steps, communication=steps.communication + steps.seconds * severity / (1.0 - severity))
    errors = world.near(300.0, 0.5) if world.has(0.6) else None
    return training_scenario(world, job, steps, ("SlowInterconnect", "Communication"), severity, errors=errors)


def straggling(world: World, severity: float) -> Scenario:
    """One node is hot: its clocks are lower, the others wait in their collectives."""
    job = world.random.choice(JOBS)
    steps = steps_of(world, job)
    slow = 1.0 - severity
    working = steps.gemm + steps.attention
    lost = working * (1.0 / slow - 1.0)
    everybody = replace(steps, communication=steps.communication + lost)
    reasons = THERMAL if world.has(0.5) else None
    severity = lost / everybody.seconds
    return training_scenario(world, job, everybody, ("Straggler",), severity, slow_node=steps.clock * slow, reasons=reasons)


def throttled(world: World, severity: float) -> Scenario:
    """A power cap or a warm room: all clocks are lower."""
    job = world.random.choice(JOBS)
    steps = steps_of(world, job)
    slow = 1.0 - severity
    slower = replace(steps, gemm=steps.gemm / slow, attention=steps.attention / slow, clock=steps.clock * slow)
    reasons = world.random.choice([THERMAL, POWER_BRAKE, POWER_CAP]) if world.has(0.6) else None
    return training_scenario(world, job, slower, ("Throttling",), 1.0 - steps.seconds / slower.seconds, reasons=reasons, everywhere=True)


def scattered(world: World, severity: float) -> Scenario:
    """Pods of four devices each on nodes that hold other jobs: tensor groups reach over the network."""
    job = world.random.choice([each for each in JOBS if each.tensor == 8])
    whole, split = steps_of(world, job), steps_of(world, job, domain=4)
    split = replace(split, clock=whole.clock)
    return training_scenario(world, job, split, ("Topology",), 1.0 - whole.seconds / split.seconds, per_node=4)


def wide(world: World, severity: float) -> Scenario:
    """8 bits are declared, the recipe's flag is missing, and kernels run in 16."""
    job = world.random.choice(NARROW)
    declared, real = steps_of(world, job), steps_of(world, job, fp8=False)
    lost = 1.0 - declared.seconds / real.seconds
    return training_scenario(world, job, real, ("PrecisionMismatch",), lost)


def unfused(world: World, severity: float) -> Scenario:
    """Attention falls back to plain matrix products: the whole square is computed, written and read."""
    job = world.random.choice([each for each in JOBS if each.sequence >= 4096])
    steps = steps_of(world, job)
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
    return training_scenario(world, job, slower, ("KernelMismatch",), 1.0 - steps.seconds / slower.seconds)


def unfused_elementwise(world: World, severity: float) -> Scenario:
    """Norms, activations and residuals run one small kernel after the other, each reading and writing all of it."""
    job = world.random.choice(JOBS)
    steps = steps_of(world, job)
    slower = replace(steps, memory=steps.memory + steps.seconds * severity / (1.0 - severity))
    return training_scenario(world, job, slower, ("MemoryBound",), severity)


def padded(world: World, severity: float) -> Scenario:
    """Sequences are filled up; the loop counts real tokens only."""
    job = world.random.choice(JOBS)
    steps = steps_of(world, job)
    return training_scenario(world, job, replace(steps, tokens=steps.tokens * (1.0 - severity)), ("Padding",), severity)


def recomputing(world: World, severity: float) -> Scenario:
    """Full recomputation runs though none is declared."""
    job = world.random.choice(JOBS)
    declared, real = steps_of(world, job), steps_of(world, job, recompute=True)
    return training_scenario(world, job, real, ("WrongDeclaration",), 1.0 - declared.seconds / real.seconds)


def other_chip(world: World, severity: float) -> Scenario:
    """H100 are declared, the pods got A100."""
    job = world.random.choice([each for each in JOBS if each.chip == "h100"])
    steps = steps_of(world, replace(job, chip="a100"))
    return training_scenario(world, job, steps, ("WrongDeclaration",), 0.5)


def hot_experts(world: World, severity: float) -> Scenario:
    """The router sends more tokens to some experts: their ranks work on while the others wait."""
    job = world.random.choice(EXPERTS)
    steps = steps_of(world, job)
    lost = steps.gemm * severity / (1.0 - severity)
    slower = replace(steps, communication=steps.communication + lost)
    return training_scenario(world, job, slower, ("RoutingImbalance",), lost / slower.seconds, hot=lost / steps.gemm)


def few_micro_batches(world: World, severity: float) -> Scenario:
    """Declared so: a pipeline with hardly more micro-batches than stages."""
    job = world.random.choice(
        [
            Job(model="70b", chip="h100", gpus=128, sequence=4096, batch=world.random.choice((16, 32)), tensor=8, pipeline=4),
            Job(model="70b", chip="h200", gpus=128, sequence=4096, batch=16, tensor=8, pipeline=4),
            Job(model="13b", chip="a100", gpus=64, sequence=4096, batch=world.random.choice((16, 32)), tensor=2, pipeline=8),
        ]
    )
    steps = steps_of(world, job)
    return training_scenario(world, job, steps, ("PipelineBubble",), steps.bubble / steps.seconds)


def wide_tensor_groups(world: World, severity: float) -> Scenario:
    """Declared so: tensor parallelism over two nodes."""
    job = world.random.choice(
        [
            Job(model="70b", chip="h100", gpus=128, sequence=4096, batch=1024, tensor=16, pipeline=2),
            Job(model="8b", chip="h100", gpus=64, sequence=4096, batch=1024, tensor=16),
            Job(model="7b", chip="a100", gpus=64, sequence=4096, batch=512, tensor=16),
        ]
    )
    steps = steps_of(world, job)
    return training_scenario(world, job, steps, ("Communication",), steps.communication / steps.seconds)


def unaligned(world: World, severity: float) -> Scenario:
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
    job = Job(model="7b", chip="a100", gpus=gpus, sequence=sequence, batch=batch)
    made = training_scenario(world, job, slower, ("KernelMismatch",), 1.0 - steps.seconds / slower.seconds)
    spec = dict(made.document["spec"]) | {"model": {"config": config}}
    spec["training"] = dict(spec["training"]) | {"microBatchSize": 32, "framework": {"name": "fsdp"}}
    return replace(made, document=dict(made.document) | {"spec": spec})


def sliced(world: World, severity: float) -> Scenario:
    """Two pods take turns on every device, or the pods hold halves of devices."""
    job = world.random.choice(JOBS)
    steps = steps_of(world, job)
    slower = replace(steps, host=steps.host + steps.seconds)
    return training_scenario(world, job, slower, ("Sharing",), 0.5, sharers=2)
