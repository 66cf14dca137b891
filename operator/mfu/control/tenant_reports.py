"""Each tenant's own report: a ConfigMap in its namespace, with what the FleetReport says of that namespace alone.

A FleetReport is cluster-scoped and speaks of everybody, so a tenant's role does not reach it. Whoever may read ConfigMaps of a namespace
reads its report; no role names a tenant, and the operator needs no right to hand out rights.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mfu.api.settle import settled
from mfu.control.cluster import Cluster
from mfu.control.fleet_status import fleet_figures
from mfu.control.judging import Judged
from mfu.control.resources import JsonObject, Key, Kind
from mfu.errors import ClusterError
from mfu.judge.fleet import Fleet

__all__ = ["NAME", "TenantReports"]

_log = logging.getLogger(__name__)

NAME = "mfu-report"
FILE = "report.json"
MARK = {"app.kubernetes.io/managed-by": "mfu-operator"}
# A report that somebody deleted or changed is noticed when it is next written, or after this many ticks.
LOOK_AGAIN_TICKS = 20


class TenantReports:
    """Remembers what is stored, so that a round in which nothing changed asks the API server nothing."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stored: dict[str, dict[str, Any]] = {}
        self._ticks = 0

    async def write(self, fleets: Mapping[str, Fleet], judged: Mapping[Key, Judged], now: datetime) -> None:
        """`fleets`: the roll-up of each namespace that holds accelerators. One that holds none any more gets a last, empty report.

        A namespace that refuses (it is being deleted, a quota is full) does not stop the others.
        """
        self._ticks += 1
        if self._ticks % LOOK_AGAIN_TICKS == 0:
            self._stored.clear()
        for namespace in sorted({*fleets, *self._stored}):
            fleet = fleets.get(namespace)
            wanted = fleet_figures(fleet, judged, now) if fleet is not None else {"summary": "no accelerators are held"}
            try:
                await self._write(namespace, wanted)
            except ClusterError as error:
                _log.warning("the report of namespace %s was not written: %s", namespace, error)

    async def _write(self, namespace: str, wanted: Mapping[str, Any]) -> None:
        stored = self._stored.get(namespace)
        if stored is None:
            body = await self._cluster.get(Kind.CONFIG_MAP, namespace, NAME)
            if body is None:
                await self._cluster.create(Kind.CONFIG_MAP, namespace, _config_map(namespace, wanted))
                self._stored[namespace] = dict(wanted)
                return
            stored = self._stored[namespace] = _content(body)
        if {**settled(wanted, stored), "at": ""} == {**stored, "at": ""}:
            return
        self._stored.pop(namespace)  # until the write is known to have happened
        await self._cluster.patch(Kind.CONFIG_MAP, namespace, NAME, {"data": _data(wanted)})
        self._stored[namespace] = dict(wanted)


def _data(wanted: Mapping[str, Any]) -> dict[str, str]:
    return {FILE: json.dumps(wanted, ensure_ascii=False, indent=1), "summary": str(wanted.get("summary") or "")}


def _config_map(namespace: str, wanted: Mapping[str, Any]) -> JsonObject:
    metadata = {"name": NAME, "namespace": namespace, "labels": MARK}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": _data(wanted)}


def _content(body: JsonObject) -> dict[str, Any]:
    try:
        content = json.loads((body.get("data") or {}).get(FILE) or "{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
