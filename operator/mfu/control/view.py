"""The store read as domain values: policies, accelerator classes, and the nodes with what is free on them. Cached until a change."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from mfu.api.accelerator import accelerator
from mfu.api.policy import policy
from mfu.control.allocation import Allocation
from mfu.control.resources import JsonObject, Key, Kind
from mfu.control.store import Store
from mfu.errors import MfuError
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.labels import NodeDevices, identify
from mfu.judge.policy import Policy
from mfu.missing import Missing, Reason
from mfu.place.topology import Node

__all__ = ["View", "labels_of"]

_log = logging.getLogger(__name__)

_NO_NODE = Missing(reason=Reason.UNKNOWN_ACCELERATOR, message="the node is not known (any more)")


class View:
    """One broken object never hides the others: it is left out, and `fault` says why."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._policies: tuple[Policy, ...] | None = None
        self._classes: Mapping[str, Accelerator] | None = None
        self._devices: dict[str, NodeDevices | Missing] = {}
        self._faults: dict[Key, str] = {}
        store.subscribe(self._forget)

    def policies(self) -> tuple[Policy, ...]:
        if self._policies is None:
            found = []
            for key, body in sorted(self._store.all(Kind.POLICY).items()):
                self._faults.pop(key, None)
                try:
                    found.append(policy(body))
                except (MfuError, ValueError) as error:
                    self._blame(key, error)
            self._policies = tuple(found)
        return self._policies

    def classes(self) -> Mapping[str, Accelerator]:
        """The provider's accelerator classes by name; a class may extend another one of them."""
        if self._classes is None:
            known: dict[str, Accelerator] = {}
            waiting = sorted(self._store.all(Kind.CLASS).items())
            while waiting:
                failed: list[tuple[Key, JsonObject]] = []
                for key, body in waiting:
                    self._faults.pop(key, None)
                    try:
                        known[key.name] = accelerator(body, known)
                    except (MfuError, ValueError) as error:
                        self._faults[key] = _line(error)
                        failed.append((key, body))
                if len(failed) == len(waiting):
                    for key, _ in failed:
                        _log.warning("%s is not used: %s", key, self._faults[key])
                    break
                waiting = failed
            self._classes = MappingProxyType(known)
        return self._classes

    def fault(self, key: Key) -> str:
        """Why a policy or class cannot be used, empty when it can."""
        self.policies()
        self.classes()
        return self._faults.get(key, "")

    def namespace_labels(self, namespace: str) -> Mapping[str, str]:
        return labels_of(self._store.get(Key(kind=Kind.NAMESPACE, name=namespace)))

    def devices(self, node: str) -> NodeDevices | Missing:
        """What accelerators a node has."""
        known = self._devices.get(node)
        if known is None:
            body = self._store.get(Key(kind=Kind.NODE, name=node))
            if body is None:
                return _NO_NODE
            try:
                known = identify(labels_of(body), body["status"]["allocatable"], self.classes())
            except (MfuError, ValueError) as error:
                known = Missing(reason=Reason.UNKNOWN_ACCELERATOR, message=f"node {node}: {_line(error)}")
            self._devices[node] = known
        return known

    def unit(self, node: str, resource: str) -> str | None:
        """What one `resource` of a node is: a class, or a partition of one; None where that is not known."""
        devices = self.devices(node)
        offered = [] if isinstance(devices, Missing) else _offered(devices)
        return next((unit for unit, offers, _, _ in offered if offers == resource), None)

    def only_class(self, selectors: Sequence[Mapping[str, str]]) -> str | None:
        """The one class of accelerators that pods with these node selectors can get; None where there are several, or none."""
        classes = set()
        for key, body in self._store.all(Kind.NODE).items():
            labels = labels_of(body)
            devices = self.devices(key.name)
            if isinstance(devices, Missing) or not all(selector.items() <= labels.items() for selector in selectors):
                continue
            classes.add(devices.unit)
        return classes.pop() if len(classes) == 1 else None

    def nodes(self, allocation: Allocation, now: float) -> tuple[Node, ...]:
        """Every node that has accelerators of a known class; once for each kind of partition it offers, and last for its whole devices.

        Devices that are offered several times (time-slicing, MPS) count once: a pod that shares one has no second one beside it.
        """
        return self.nodes_named(sorted(key.name for key in self._store.all(Kind.NODE)), allocation, now)

    def nodes_named(self, names: Iterable[str], allocation: Allocation, now: float) -> tuple[Node, ...]:
        """The same of these nodes only: a fleet has too many to look at all of them for one workload."""
        reserved = allocation.reserved(now)
        found = []
        for name in names:
            body = self._store.get(Key(kind=Kind.NODE, name=name))
            devices = self.devices(name)
            if body is None or isinstance(devices, Missing):
                continue
            for unit, resource, count, replicas in _offered(devices):
                taken = allocation.used(name, resource) + reserved[name]
                found.append(
                    Node(
                        name=name,
                        labels=labels_of(body),
                        accelerator=unit,
                        allocatable=count,
                        free=max(0, (count * replicas - taken) // replicas),
                        schedulable=_is_schedulable(body),
                    )
                )
        return tuple(found)

    def _blame(self, key: Key, error: Exception) -> None:
        self._faults[key] = _line(error)
        _log.warning("%s is not used: %s", key, self._faults[key])

    def _forget(self, key: Key, before: JsonObject | None, after: JsonObject | None) -> None:
        match key.kind:
            case Kind.POLICY:
                self._policies = None
            case Kind.CLASS:
                self._classes = None
                self._devices.clear()
            case Kind.NODE:
                self._devices.pop(key.name, None)
            case _:
                return
        if after is None:
            self._faults.pop(key, None)


def labels_of(body: JsonObject | None) -> Mapping[str, str]:
    return dict((body or {}).get("metadata", {}).get("labels") or {})


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _offered(devices: NodeDevices) -> list[tuple[str, str, int, int]]:
    """What one is, its resource, how many there are, and how often each is offered."""
    parts = [(f"{devices.accelerator}/{part.profile}", part.resource, part.count, 1) for part in devices.slices]
    return [*parts, (devices.unit, devices.resource, devices.count, devices.replicas)]


def _is_schedulable(node: JsonObject) -> bool:
    """Cordoned and not-ready nodes take no pods. Other taints are the scheduler's business: a pod may tolerate them."""
    if node["spec"].get("unschedulable"):
        return False
    return all(condition.get("status") == "True" for condition in node["status"]["conditions"])
