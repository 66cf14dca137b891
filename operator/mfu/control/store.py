"""What the operator knows of the cluster: the last state of every object, and who has to be looked at again when one of them changes.

Belongs to one event loop. The watch may deliver an object twice, late or, after a reconnection, not at all: applying is idempotent, an
older version never replaces a newer one, and `replace_all` drops what a fresh list no longer holds.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from mfu.control.resources import WORKLOAD_LABEL, JsonObject, Key, Kind, key_of

__all__ = ["Change", "Store", "workload_of"]

Change = Callable[[Key, JsonObject | None, JsonObject | None], None]
"""Called with the key, the state before and the state after (None: there was, or is, none)."""


class Store:
    def __init__(self) -> None:
        self._objects: dict[Kind, dict[Key, JsonObject]] = {kind: {} for kind in Kind}
        self._members: dict[Key, set[Key]] = defaultdict(set)
        self._listeners: list[Change] = []

    def subscribe(self, listener: Change) -> None:
        self._listeners.append(listener)

    def get(self, key: Key) -> JsonObject | None:
        return self._objects[key.kind].get(key)

    def all(self, kind: Kind) -> dict[Key, JsonObject]:
        """Every stored object of a kind; a copy, so that the store may change while it is walked."""
        return dict(self._objects[kind])

    def count(self, kind: Kind) -> int:
        return len(self._objects[kind])

    def members(self, workload: Key) -> tuple[JsonObject, ...]:
        """Pods and Jobs labelled with this workload's name in its namespace, in the order of their names."""
        found = (self.get(key) for key in sorted(self._members.get(workload, ())))
        return tuple(body for body in found if body is not None)

    def member_keys(self, workload: Key) -> tuple[Key, ...]:
        return tuple(sorted(self._members.get(workload, ())))

    def apply(self, kind: Kind, body: JsonObject) -> None:
        """Takes over a newer state of one object and tells the listeners when it differs."""
        key = key_of(kind, body)
        before = self._objects[kind].get(key)
        if before is not None and not _is_newer(before, body):
            return
        after = _trimmed(kind, body)
        self._objects[kind][key] = after
        self._index(key, before, after)
        self._tell(key, before, after)

    def remove(self, key: Key) -> None:
        before = self._objects[key.kind].pop(key, None)
        if before is not None:
            self._index(key, before, None)
            self._tell(key, before, None)

    def take(self, kind: Kind, event: str, body: JsonObject) -> None:
        """Takes over one event of a watch."""
        if event == "DELETED":
            self.remove(key_of(kind, body))
        else:
            self.apply(kind, body)

    def replace_all(self, kind: Kind, bodies: Iterable[JsonObject], known_before: Iterable[Key]) -> None:
        """Takes over a fresh list. Of what is stored only `known_before` (the keys when the list was asked for) can have vanished."""
        listed = set()
        for body in bodies:
            listed.add(key_of(kind, body))
            self.apply(kind, body)
        for key in set(known_before) - listed:
            self.remove(key)

    def _index(self, key: Key, before: JsonObject | None, after: JsonObject | None) -> None:
        old, new = workload_of(key, before), workload_of(key, after)
        if old is not None and old != new:
            self._members[old].discard(key)
            if not self._members[old]:
                del self._members[old]
        if new is not None:
            self._members[new].add(key)

    def _tell(self, key: Key, before: JsonObject | None, after: JsonObject | None) -> None:
        for listener in self._listeners:
            listener(key, before, after)


def workload_of(key: Key, body: JsonObject | None) -> Key | None:
    """The workload that a Pod or Job says it belongs to."""
    if body is None or key.kind not in (Kind.POD, Kind.JOB):
        return None
    name = (body["metadata"].get("labels") or {}).get(WORKLOAD_LABEL)
    return Key(kind=Kind.WORKLOAD, namespace=key.namespace, name=name) if name else None


def _is_newer(before: JsonObject, after: JsonObject) -> bool:
    """Resource versions count upwards on every storage that Kubernetes supports; another uid is another object."""
    old, new = before["metadata"], after["metadata"]
    if old.get("uid") != new.get("uid"):
        return True
    try:
        return int(new.get("resourceVersion") or 0) > int(old.get("resourceVersion") or 0)
    except ValueError:
        return bool(new.get("resourceVersion") != old.get("resourceVersion"))


def _trimmed(kind: Kind, body: JsonObject) -> JsonObject:
    """Only what the operator reads: a fleet has thousands of nodes and pods."""
    metadata = {name: value for name, value in body["metadata"].items() if name not in ("managedFields", "generateName")}
    match kind:
        case Kind.NODE:
            status = body.get("status") or {}
            spec = body.get("spec") or {}
            return {
                "metadata": metadata,
                "spec": {name: spec[name] for name in ("unschedulable", "taints") if name in spec},
                "status": {"allocatable": status.get("allocatable") or {}, "conditions": _ready_only(status.get("conditions") or [])},
            }
        case Kind.POD:
            return {"metadata": metadata, "spec": _pod_spec(body.get("spec") or {}), "status": _pod_status(body.get("status") or {})}
        case Kind.NAMESPACE:
            return {"metadata": metadata}
        case _:
            return {**body, "metadata": metadata}


def _ready_only(conditions: list[JsonObject]) -> list[JsonObject]:
    return [{"type": "Ready", "status": condition.get("status")} for condition in conditions if condition.get("type") == "Ready"]


def _pod_spec(spec: JsonObject) -> JsonObject:
    kept: dict[str, Any] = {name: spec[name] for name in ("nodeName", "schedulingGates", "affinity", "nodeSelector") if name in spec}
    for group in ("containers", "initContainers"):
        kept[group] = [
            {name: container[name] for name in ("name", "image", "resources", "restartPolicy") if name in container}
            for container in spec.get(group) or ()
        ]
    return kept


def _pod_status(status: JsonObject) -> JsonObject:
    conditions = [c for c in status.get("conditions") or () if c.get("type") in ("Ready", "PodScheduled")]
    return {"phase": status.get("phase"), "startTime": status.get("startTime"), "conditions": conditions}
