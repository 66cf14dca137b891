"""The same intent elsewhere: what the same model at the same work reaches on other accelerators, or on more or fewer of them."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from mfu.estimate.workload import Inference, Training, Workload

__all__ = ["Peer", "Placed", "peers", "work_of"]

_SHOWN = 4

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Others on `count` accelerators of one class; `observed_ratio`: the median of their best stable levels as MFUs."""

    accelerator: str
    count: int
    observed_ratio: float
    workloads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A workload that has a stable level. `work`: see `work_of`; `tenant`: its namespace, whose objects alone are compared."""

    tenant: str
    work: Hashable
    accelerator: str
    count: int
    observed_ratio: float


def work_of(workload: Workload) -> Hashable:
    """What is computed, whatever on and however laid out: equal for two workloads that can be compared."""
    job: Hashable
    match workload.job:
        case Training(sequence_length=length):
            job = ("training", length)
        case Inference(phase=phase, input_tokens=given, output_tokens=made):
            job = (str(phase), given, made)
    return workload.architecture, workload.precisions.compute, job


def peers(placed: Mapping[Name, Placed]) -> Mapping[Name, tuple[Peer, ...]]:
    """For each workload by its name or key: up to four groups of others, the best first. Nobody sees another tenant's figures."""
    groups: dict[Hashable, dict[tuple[str, int], list[float]]] = defaultdict(lambda: defaultdict(list))
    for each in placed.values():
        groups[each.tenant, each.work][each.accelerator, each.count].append(each.observed_ratio)
    summed = {alike: _summed(elsewhere) for alike, elsewhere in groups.items()}
    return {
        name: tuple(peer for peer in summed[each.tenant, each.work] if (peer.accelerator, peer.count) != (each.accelerator, each.count))[
            :_SHOWN
        ]
        for name, each in placed.items()
    }


def _summed(elsewhere: Mapping[tuple[str, int], Sequence[float]]) -> list[Peer]:
    found = [
        Peer(accelerator=accelerator, count=count, observed_ratio=median(ratios), workloads=len(ratios))
        for (accelerator, count), ratios in elsewhere.items()
    ]
    return sorted(found, key=lambda peer: (-peer.observed_ratio, peer.accelerator, peer.count))
