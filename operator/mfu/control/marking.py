"""Which objects have to be looked at again when one object changes."""

from collections.abc import Callable, Iterable

from mfu.control.allocation import Allocation
from mfu.control.resources import JsonObject, Key, Kind
from mfu.control.store import Store, workload_of

__all__ = ["Marking"]

# The pods of a gang come one after the other, and are placed together.
GANG_SECONDS = 0.3

Add = Callable[[Key, float], None]


class Marking:
    """Listens to the store, keeps the allocation true, and adds keys to the queue."""

    def __init__(self, store: Store, allocation: Allocation, add: Add) -> None:
        self._store = store
        self._allocation = allocation
        self._add = add
        store.subscribe(self._changed)

    def _changed(self, key: Key, before: JsonObject | None, after: JsonObject | None) -> None:
        match key.kind:
            case Kind.WORKLOAD:
                self._add(key, 0.0)
            case Kind.POLICY | Kind.CLASS:
                self._add(key, 0.0)
                if _declared(before) != _declared(after):
                    self._mark(self._store.all(Kind.WORKLOAD))
            case Kind.NAMESPACE:
                if _labels(before) != _labels(after):
                    self._mark(workload for workload in self._store.all(Kind.WORKLOAD) if workload.namespace == key.name)
            case Kind.NODE:
                if _lasting(before) != _lasting(after):
                    self._mark({held.workload for held in self._allocation.holdings() if held.node == key.name and held.workload})
                    self._mark(workload for workload, body in self._store.all(Kind.WORKLOAD).items() if not _declares_class(body))
            case Kind.POD | Kind.JOB:
                if key.kind is Kind.POD:
                    self._allocation.apply(key, after)
                self._mark({owner for body in (before, after) if (owner := workload_of(key, body))}, GANG_SECONDS)
            case _:
                return

    def _mark(self, workloads: Iterable[Key], delay_seconds: float = 0.0) -> None:
        for workload in workloads:
            self._add(workload, delay_seconds)


def _declared(body: JsonObject | None) -> object:
    """What a person wrote: not the status, which we write ourselves."""
    return None if body is None else (body["metadata"].get("uid"), body.get("spec"))


def _labels(body: JsonObject | None) -> object:
    return None if body is None else body["metadata"].get("labels")


def _lasting(body: JsonObject | None) -> object:
    """A node without its heartbeat."""
    return None if body is None else (body["metadata"].get("labels"), body["spec"], body["status"])


def _declares_class(workload: JsonObject) -> bool:
    return bool(((workload.get("spec") or {}).get("accelerators") or {}).get("class"))
