"""Held objects that lost the label which ties them to their workload: the watch, which selects by the label, tells of them as deleted."""

from mfu.control.gates import Held, held
from mfu.control.resources import JsonObject, Key, Kind
from mfu.control.store import Store, workload_of

__all__ = ["Strays"]


class Strays:
    """Keeps what vanished from the store while it was held, until it is dealt with; most of it was really deleted."""

    def __init__(self, store: Store) -> None:
        self._left: dict[Key, list[Held]] = {}
        store.subscribe(self._changed)

    def of(self, workload: Key) -> tuple[Held, ...]:
        """What vanished from this workload and was not dealt with yet."""
        return tuple(self._left.get(workload, ()))

    def dealt_with(self, workload: Key, member: Held) -> None:
        left = self._left[workload]
        left.remove(member)
        if not left:
            del self._left[workload]

    def _changed(self, key: Key, before: JsonObject | None, after: JsonObject | None) -> None:
        if key.kind not in (Kind.JOB, Kind.POD) or before is None or after is not None:
            return
        waiting, workload = held(key.kind, before), workload_of(key, before)
        if waiting is not None and workload is not None:
            self._left.setdefault(workload, []).append(waiting)
