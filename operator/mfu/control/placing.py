"""Chooses where a held gang goes just before its gate opens, and remembers what it chose."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mfu.control.allocation import Allocation
from mfu.control.gates import Held
from mfu.control.resources import Key, Kind
from mfu.control.view import View
from mfu.estimate.workload import Training, Workload
from mfu.missing import Missing
from mfu.place.affinity import affinity
from mfu.place.hint import Hint, hint
from mfu.place.topology import LevelKeys, Node

__all__ = ["Placing", "Release"]

_log = logging.getLogger(__name__)

# Each takes a walk over all nodes; a thousand replicas at once must not keep the event loop from renewing the lease.
MOST_GANGS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One held object with where it should go; `affinity` is the whole value to set, None: leave it as it is."""

    held: Held
    hint: Hint | Missing | None
    affinity: Mapping[str, Any] | None


class Placing:
    def __init__(self, view: View, allocation: Allocation, levels: LevelKeys) -> None:
        self._view = view
        self._allocation = allocation
        self._levels = levels
        self._chosen: dict[Key, Hint | Missing] = {}

    def chosen(self, workload: Key) -> Hint | Missing | None:
        """The last hint that this process gave the workload's pods, or why it gave none; None: it let none of them through."""
        return self._chosen.get(workload)

    def forget(self, workload: Key) -> None:
        self._chosen.pop(workload, None)

    def choose(self, key: Key, workload: Workload, held: Sequence[Held], now: float) -> tuple[Release, ...]:
        """A hint for each gang among the held objects, a few of them at a time. The devices are counted as taken from now on."""
        releases: list[Release] = []
        for gang in _gangs(workload, held)[:MOST_GANGS]:
            found = self._hint(key, workload, gang, now)
            for member in gang:
                tightened = affinity(found, member.affinity) if isinstance(found, Hint) else None
                releases.append(Release(held=member, hint=found, affinity=tightened))
        return tuple(releases)

    def _hint(self, key: Key, workload: Workload, gang: Sequence[Held], now: float) -> Hint | Missing | None:
        devices = max(member.pod_devices for member in gang)
        pods = sum(member.pods for member in gang)
        if devices == 0:
            return None
        known = self._chosen.get(key)
        bound = self._allocation.bound_devices(key)
        if isinstance(known, Hint) and isinstance(workload.job, Training) and 0 < bound <= workload.fabric.count - pods * devices:
            return known  # a late pod of a gang goes where the others are
        nodes = self._view.nodes(self._allocation, now)
        found = hint(workload, nodes, devices, pods, self._levels)
        self._chosen[key] = found
        if isinstance(found, Hint):
            self._allocation.reserve(key, _taken(found, nodes, workload, devices, pods), now)
        else:
            _log.info("%s gets no placement hint: %s", key, found.message)
        return found


def _gangs(workload: Workload, held: Sequence[Held]) -> list[list[Held]]:
    """A Job is a gang of its own, unless several make up one training job (a JobSet's do).

    Single pods are taken together as many at a time as the parallelism spans.
    """
    jobs = [member for member in held if member.key.kind is Kind.JOB]
    pods = sorted((member for member in held if member.key.kind is Kind.POD), key=lambda member: member.key)
    devices = max((member.pod_devices for member in pods), default=0)
    size = max(1, workload.fabric.count // devices) if devices else max(1, len(pods))
    together = isinstance(workload.job, Training) and sum(job.pods * job.pod_devices for job in jobs) <= workload.fabric.count
    gangs = [jobs] if jobs and together else [[job] for job in jobs]
    return gangs + [pods[start : start + size] for start in range(0, len(pods), size)]


def _taken(found: Hint, nodes: Sequence[Node], workload: Workload, devices: int, pods: int) -> dict[str, int]:
    """Where the scheduler will most likely put the pods: as many to a node as fit, within the hinted domain."""
    taken: dict[str, int] = {}
    left = pods
    for node in nodes:
        inside = all(node.labels.get(requirement.key) in requirement.values for requirement in found.requirements)
        if left == 0 or not inside or not node.schedulable or node.accelerator != workload.fabric.accelerator.name:
            continue
        fitting = min(left, node.free // devices)
        if fitting > 0:
            taken[node.name] = fitting * devices
            left -= fitting
    return taken
