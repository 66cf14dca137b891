"""Ordering: in a ladder one thing varies and everything else of the workload stays; does the predicted order match the measured one?"""

import math
import statistics
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from mfu.estimate.workload import Inference, Precisions, Training, Workload
from tools.measurements import Measurement, inputs

__all__ = ["Ladder", "kendall", "ladders"]

_NOISE = math.log(1.01)  # measured rates nearer than this are a tie: repeated runs differ by as much
_FEWEST_STEPS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Steps are (measured, predicted) rates, one for each distinct workload. `tau` is Kendall's: 1 where the order is right throughout."""

    knob: str
    source: str
    model: str
    accelerator: str
    steps: tuple[tuple[float, float], ...]
    tau: float


def ladders(measured: Sequence[Measurement], predicted: Sequence[float]) -> list[Ladder]:
    """Every ladder of three or more distinct workloads; those whose measured rates are all alike have no order and are left out."""
    found = []
    for knob in ("layout", "micro-batch", "recomputation", "precision", "sequence", "accelerators", "concurrency", "lengths", "tensor"):
        groups: dict[Hashable, dict[Hashable, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
        heads: dict[Hashable, Measurement] = {}
        values: dict[Hashable, set[Hashable]] = defaultdict(set)
        for each, rate in zip(measured, predicted, strict=True):
            fixed = _without(each.workload, knob)
            if fixed is not None:
                key: Hashable = (each.source, each.model, inputs(fixed))
                heads.setdefault(key, each)
                values[key].add(_value(each.workload, knob))
                groups[key][inputs(each.workload)].append((each.rate, rate))
        for key, steps in groups.items():
            if len(steps) < _FEWEST_STEPS or len(values[key]) < _FEWEST_STEPS:
                continue
            merged = tuple((statistics.median(rate for rate, _ in rows), rows[0][1]) for rows in steps.values())
            tau = kendall(merged)
            if tau is not None:
                head = heads[key]
                found.append(Ladder(knob=knob, source=head.source, model=head.model, accelerator=head.accelerator, steps=merged, tau=tau))
    return found


def kendall(steps: Sequence[tuple[float, float]]) -> float | None:
    """Pairs in the right order minus pairs in the wrong one, over all pairs whose measured rates differ; None where none do.

    A predicted tie counts as half right.
    """
    score = pairs = 0
    for (first, guess), (second, other) in combinations(steps, 2):
        if abs(math.log(first / second)) < _NOISE:
            continue
        pairs += 1
        product = (first - second) * (guess - other)
        score += (product > 0) - (product < 0)
    return score / pairs if pairs else None


def _value(workload: Workload, knob: str) -> Hashable:
    """What the ladder climbs; other fields may move along."""
    job = workload.job
    match knob, job:
        case "sequence", Training():
            return job.sequence_length
        case "micro-batch", Training():
            return job.micro_batch
        case _:
            return inputs(workload)


def _without(workload: Workload, knob: str) -> Workload | None:
    """`workload` with everything that `knob` moves set to nothing; None where it has no such knob."""
    match workload.job:
        case Training() as job:
            return _training_without(workload, job, knob)
        case Inference() as job:
            return _inference_without(workload, job, knob)


def _training_without(plain: Workload, job: Training, knob: str) -> Workload | None:
    degrees = job.parallelism
    fabric = plain.fabric
    match knob:
        case "layout":
            changed = replace(
                job,
                parallelism=replace(degrees, tensor=1, pipeline=1, interleave=None, data=1, expert=1, expert_tensor=None, context=1),
                sharding=None,
                sharding_group=None,
                sequence_parallel=None,
            )
        case "micro-batch":
            changed = replace(job, micro_batch=None, global_batch=None)
        case "recomputation":
            changed = replace(job, recompute=None)
        case "precision":
            same: Precisions = replace(plain.precisions, compute=plain.precisions.attention, weights=plain.precisions.attention)
            return replace(plain, precisions=same)
        case "sequence":
            changed = replace(job, sequence_length=1, micro_batch=None, global_batch=None)
        case "accelerators":
            changed = replace(job, parallelism=replace(degrees, data=1), global_batch=None, sharding_group=None)
            return replace(plain, job=changed, fabric=replace(fabric, count=1, link_domain=1, per_node=1))
        case _:
            return None
    return replace(plain, job=changed)


def _inference_without(plain: Workload, job: Inference, knob: str) -> Workload | None:
    match knob:
        case "concurrency" if job.concurrency is not None:
            return replace(plain, job=replace(job, concurrency=1))
        case "lengths":
            return replace(plain, job=replace(job, input_tokens=1, output_tokens=1))
        case "tensor":
            fabric = replace(plain.fabric, count=1, link_domain=1, per_node=1)
            return replace(plain, job=replace(job, parallelism=replace(job.parallelism, tensor=1, expert=1)), fabric=fabric)
        case _:
            return None
