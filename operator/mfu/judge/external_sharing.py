"""Which inference replicas could share one accelerator, and what each would lose. Advice only: nobody is moved.

The model is a bound, not a promise: two replicas side by side (MPS or time-slicing) stretch each other by what they together ask of the
scarcest of compute and memory bandwidth, if that is more than there is; interference in caches and launch queues comes on top.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from mfu.estimate.result import Bound, Estimate
from mfu.estimate.workload import Inference, Workload
from mfu.judge.wording import percent

__all__ = ["Candidate", "Pairing", "oversubscription"]

_IDLE_COMPUTE = 0.5  # at least one of a pair leaves half of the compute idle
_MOST_LOSS = 0.2
_MEMORY_RATIO = 0.95  # two engines have two runtimes
_MOST_CANDIDATES = 150  # of one class; pairs grow with the square


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A serving workload on one accelerator a replica. `load_ratio`: how much of its expected rate is asked of it (1: all)."""

    namespace: str
    name: str
    workload: Workload
    estimate: Estimate
    load_ratio: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Two replicas on one accelerator: what they ask of it together, and the share of its speed that each loses."""

    first: str  # namespace/name
    second: str
    accelerator_class: str
    memory_ratio: float
    bandwidth_ratio: float
    compute_ratio: float
    loss_ratio: float  # both are stretched alike
    frees_accelerators: int
    reason: str


def oversubscription(candidates: Sequence[Candidate], limit: int = 10) -> tuple[Pairing, ...]:
    """Pairs that fit by memory and lose at most a fifth, least loss first; a workload is in one pair at most, so that they add up.

    Of more than 150 candidates a class, those that need least memory are looked at.
    """
    by_class: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        fabric = candidate.workload.fabric
        if isinstance(candidate.workload.job, Inference) and fabric.count == 1 and candidate.estimate.memory.fits:
            by_class.setdefault(fabric.accelerator.name, []).append(candidate)
    found: list[Pairing] = []
    for name, of_class in sorted(by_class.items()):
        of_class.sort(key=lambda each: (each.estimate.memory.required_bytes, _label(each)))
        found.extend(_pairs(name, of_class[:_MOST_CANDIDATES]))
    found.sort(key=lambda pair: (pair.loss_ratio, pair.memory_ratio, pair.first, pair.second))
    return tuple(_disjoint(found))[:limit]


def _pairs(accelerator_class: str, candidates: Sequence[Candidate]) -> Iterable[Pairing]:
    asked = [(candidate, _compute(candidate), _bandwidth(candidate)) for candidate in candidates]
    for (first, first_compute, first_bandwidth), (second, second_compute, second_bandwidth) in combinations(asked, 2):
        capacity = min(first.estimate.memory.capacity_bytes, second.estimate.memory.capacity_bytes)
        memory = (first.estimate.memory.required_bytes + second.estimate.memory.required_bytes) / capacity
        if memory > _MEMORY_RATIO or min(first_compute, second_compute) > _IDLE_COMPUTE:
            continue
        compute, bandwidth = first_compute + second_compute, first_bandwidth + second_bandwidth
        loss = 1.0 - 1.0 / max(1.0, compute, bandwidth)
        if loss > _MOST_LOSS:
            continue
        yield Pairing(
            first=_label(first),
            second=_label(second),
            accelerator_class=accelerator_class,
            memory_ratio=memory,
            bandwidth_ratio=bandwidth,
            compute_ratio=compute,
            loss_ratio=loss,
            frees_accelerators=1,
            reason=f"together {percent(memory)} of memory, {percent(bandwidth)} of bandwidth and {percent(compute)} of compute; "
            f"each loses at least {percent(loss)}",
        )


def _disjoint(pairs: Iterable[Pairing]) -> Iterable[Pairing]:
    taken: set[str] = set()
    for pair in pairs:
        if pair.first not in taken and pair.second not in taken:
            taken.update((pair.first, pair.second))
            yield pair


def _compute(candidate: Candidate) -> float:
    return candidate.load_ratio * _time_share(candidate.estimate, Bound.COMPUTE)


def _bandwidth(candidate: Candidate) -> float:
    return candidate.load_ratio * _time_share(candidate.estimate, Bound.MEMORY)


def _time_share(estimate: Estimate, bound: Bound) -> float:
    step = estimate.step_seconds
    return sum(term.seconds for term in estimate.terms if term.bound is bound) / step if step > 0.0 else 0.0


def _label(candidate: Candidate) -> str:
    return f"{candidate.namespace}/{candidate.name}"
