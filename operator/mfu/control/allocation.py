"""Which pods hold which accelerators, and what is still free on each node.

Labelled pods are followed by the watch, all others by a list once a tick. A gang that was just released is counted as if it already sat on
the nodes it was sent to, until its pods are bound: else two gangs released together would be sent to the same place.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mfu.control.resources import JsonObject, Key, Kind, key_of
from mfu.control.store import workload_of

__all__ = ["Allocation", "Holding", "requested_devices"]

FINISHED = ("Succeeded", "Failed")
# As the device plugins name their resources; a pod that asks for none of them holds no accelerator.
_PREFIXES = ("nvidia.com/gpu", "nvidia.com/mig-", "amd.com/", "habana.ai/", "google.com/tpu", "aws.amazon.com/neuron", "gpu.intel.com/")
RESERVED_SECONDS = 120.0


def requested_devices(pod_spec: JsonObject) -> dict[str, int]:
    """Accelerators that a pod with this spec asks for, by resource name: the sum of its containers, or the largest init container."""
    total: Counter[str] = Counter()
    for container in pod_spec.get("containers") or ():
        total.update(_devices(container))
    for container in pod_spec.get("initContainers") or ():
        for resource, count in _devices(container).items():
            if container.get("restartPolicy") == "Always":
                total[resource] += count  # a sidecar
            else:
                total[resource] = max(total[resource], count)
    return {resource: count for resource, count in total.items() if count > 0}


def _devices(container: JsonObject) -> dict[str, int]:
    resources = container.get("resources") or {}
    asked = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    return {name: int(value) for name, value in asked.items() if name.startswith(_PREFIXES) and str(value).isdecimal()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A bound pod that holds accelerators. `workload`: what its label says."""

    node: str
    namespace: str
    devices: Mapping[str, int]
    workload: Key | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reservation:
    devices_by_node: Mapping[str, int]
    already_bound: int
    until_seconds: float
    count: int = field(default=0)


class Allocation:
    def __init__(self) -> None:
        self._holdings: dict[Key, Holding] = {}
        self._used: Counter[tuple[str, str]] = Counter()
        self._reservations: dict[Key, list[_Reservation]] = {}

    def holdings(self) -> tuple[Holding, ...]:
        return tuple(self._holdings.values())

    def by_pod(self) -> dict[Key, Holding]:
        """Every pod that holds accelerators."""
        return dict(self._holdings)

    def apply(self, key: Key, pod: JsonObject | None) -> None:
        """Takes over a pod's state; None, finished and unbound pods hold nothing."""
        self._put(key, None if pod is None else _holding(key, pod))

    def replace_all(self, pods: Iterable[JsonObject]) -> None:
        """Takes over a fresh list of every bound pod of the cluster."""
        fresh = {key: held for pod in pods if (held := _holding(key := key_of(Kind.POD, pod), pod)) is not None}
        for key in set(self._holdings) - set(fresh):
            self._put(key, None)
        for key, held in fresh.items():
            self._put(key, held)

    def used(self, node: str, resource: str) -> int:
        return self._used[node, resource]

    def bound_devices(self, workload: Key) -> int:
        return sum(sum(held.devices.values()) for held in self._holdings.values() if held.workload == workload)

    def reserve(self, workload: Key, devices_by_node: Mapping[str, int], now: float) -> None:
        """Counts these devices as taken until that many more of the workload's are bound, or two minutes have passed."""
        reservations = self._reservations.setdefault(workload, [])
        waiting = sum(reservation.count for reservation in reservations)
        reservations.append(
            _Reservation(
                devices_by_node=dict(devices_by_node),
                already_bound=self.bound_devices(workload) + waiting,
                until_seconds=now + RESERVED_SECONDS,
                count=sum(devices_by_node.values()),
            )
        )

    def reserved(self, now: float) -> Counter[str]:
        """Devices by node that released gangs are about to take."""
        taken: Counter[str] = Counter()
        for workload, reservations in list(self._reservations.items()):
            bound = self.bound_devices(workload)
            kept = [r for r in reservations if r.until_seconds > now and bound < r.already_bound + r.count]
            if not kept:
                del self._reservations[workload]
                continue
            self._reservations[workload] = kept
            for reservation in kept:
                taken.update(reservation.devices_by_node)
        return taken

    def _put(self, key: Key, held: Holding | None) -> None:
        before = self._holdings.pop(key, None)
        if before is not None:
            self._used.subtract({(before.node, resource): count for resource, count in before.devices.items()})
        if held is not None:
            self._holdings[key] = held
            self._used.update({(held.node, resource): count for resource, count in held.devices.items()})


def _holding(key: Key, pod: JsonObject) -> Holding | None:
    spec = pod.get("spec") or {}
    node = spec.get("nodeName")
    if not node or (pod.get("status") or {}).get("phase") in FINISHED:
        return None
    devices = requested_devices(spec)
    if not devices:
        return None
    return Holding(node=node, namespace=key.namespace, devices=devices, workload=workload_of(key, pod))
