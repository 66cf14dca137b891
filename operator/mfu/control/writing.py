"""Writes a status only when it differs from the stored one."""

from collections.abc import Mapping
from typing import Any

from mfu.control.cluster import Cluster
from mfu.control.exporter import ControllerMetrics
from mfu.control.resources import JsonObject, Key, resource_of
from mfu.control.store import Store
from mfu.errors import ClusterError

__all__ = ["StatusWriter", "replacement"]


def replacement(previous: Mapping[str, Any], wanted: Mapping[str, Any]) -> JsonObject:
    """The merge patch that turns `previous` into `wanted`: nested objects are compared, lists replaced, vanished fields set to null."""
    patch: JsonObject = {name: None for name in previous if name not in wanted}
    for name, value in wanted.items():
        before = previous.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner = replacement(before, value)
            if inner:
                patch[name] = inner
        elif value != before:
            patch[name] = value
    return patch


class StatusWriter:
    def __init__(self, cluster: Cluster, store: Store, metrics: ControllerMetrics) -> None:
        self._cluster = cluster
        self._store = store
        self._metrics = metrics

    async def write(self, key: Key, body: JsonObject, status: Mapping[str, Any]) -> bool:
        """True when something was written. ClusterError as the API server gave it; an object that is gone needs no status."""
        patch = replacement(body.get("status") or {}, status)
        if not patch:
            return False
        try:
            answer = await self._cluster.patch(
                key.kind,
                key.namespace,
                key.name,
                {"apiVersion": resource_of(key.kind).api_version, "kind": key.kind.value, "status": patch},
                subresource="status",
            )
        except ClusterError as error:
            self._metrics.patches.labels(key.kind.value, "gone" if error.status == 404 else "failed").inc()
            if error.status == 404:
                return False
            raise
        self._metrics.patches.labels(key.kind.value, "written").inc()
        # The next look compares with what is stored now, not with what the watch tells later.
        self._store.apply(key.kind, answer)
        return True
