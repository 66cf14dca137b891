"""Workloads with one thing wrong (or nothing): what is declared, what exporters then show, where the pods are, and the truth.

The figures follow from the story in `diagnosis_story`; nothing here knows the operator's estimator or its rules. `roughness` draws other
physics: parts, kernels and links that are better or worse than in the story, more noise, exporters that leave figures out, so that rules
that fit one set of figures too well are found out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tools import diagnosis_serving as serving
from tools import diagnosis_training as training
from tools.diagnosis_world import EXPERTS, JOBS, NARROW, SERVED, Scenario, World, serving_scenario, step_of, steps_of, training_scenario

__all__ = ["HEALTHY", "Scenario", "scenarios"]

HEALTHY = "Healthy"


def scenarios(seed: int, *, count: int = 480, roughness: float = 0.0) -> Iterator[Scenario]:
    """`count` scenarios; a quarter of them healthy, the others spread over all causes."""
    world = World(seed, roughness=roughness)
    kinds = tuple(_BROKEN)
    for number in range(count):
        kind = HEALTHY if number % 4 == 0 else kinds[(number - number // 4 - 1) % len(kinds)]
        made = _healthy(world) if kind == HEALTHY else _BROKEN[kind](world, world.severity())
        yield replace(made, name=f"{number:04d}-{kind}")


def _healthy(world: World) -> Scenario:
    if world.has(0.4):
        served = world.random.choice(SERVED)
        return serving_scenario(world, served, step_of(world, served), ())
    job = world.random.choice(JOBS + NARROW + EXPERTS)
    return training_scenario(world, job, steps_of(world, job), ())


_BROKEN: dict[str, Callable[[World, float], Scenario]] = {
    "data-starvation": training.starving,
    "late-host": training.late_host,
    "slow-links": training.slow_links,
    "straggler": training.straggling,
    "throttled": training.throttled,
    "scattered": training.scattered,
    "wide-kernels": training.wide,
    "unfused-attention": training.unfused,
    "unfused-elementwise": training.unfused_elementwise,
    "padding": training.padded,
    "recomputation": training.recomputing,
    "other-chip": training.other_chip,
    "hot-experts": training.hot_experts,
    "few-micro-batches": training.few_micro_batches,
    "wide-tensor-groups": training.wide_tensor_groups,
    "time-sliced": training.sliced,
    "mig-slices": serving.partitioned,
    "unaligned-vocabulary": training.unaligned,
    "declared-few-requests": serving.lonely,
    "under-batched": serving.under_batched,
    "evicting": serving.evicting,
    "late-engine": serving.late_engine,
    "wide-weights": serving.wide_weights,
    "longer-requests": serving.longer_requests,
    "quiet": serving.quiet,
}
