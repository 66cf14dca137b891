"""Kubernetes Events: one object for each subject and reason, counted up and re-dated when it happens again.

Posted on transitions only. A lost Event is no reason to fail anything: errors are logged and forgotten.
"""

import datetime
import hashlib
import logging
from dataclasses import dataclass

from mfu.control.cluster import Cluster
from mfu.control.resources import JsonObject, Key, Kind, resource_of
from mfu.errors import ClusterError

__all__ = ["Happening", "Recorder"]

_log = logging.getLogger(__name__)

LONGEST_MESSAGE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """`warning`: type Warning instead of Normal; `reason`: a stable token; `message`: one line for a person."""

    reason: str
    message: str
    warning: bool = False


class Recorder:
    """`identity`: the process that reports, shown by `kubectl describe` as the source's host."""

    def __init__(self, cluster: Cluster, identity: str) -> None:
        self._cluster = cluster
        self._identity = identity

    async def record(self, key: Key, subject: JsonObject, happening: Happening) -> None:
        """Events of cluster-scoped objects live in namespace `default`, as everywhere in Kubernetes."""
        namespace = key.namespace or "default"
        name = _name(key, subject, happening)
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        message = " ".join(happening.message.split())[:LONGEST_MESSAGE]
        try:
            await self._cluster.create(Kind.EVENT, namespace, self._event(key, subject, happening, name, message, now))
        except ClusterError as error:
            if error.status == 409:
                await self._count_up(key, happening, namespace, name, {"lastTimestamp": now, "message": message})
            else:
                _log.warning("event %s of %s was not recorded: %s", happening.reason, key, error)

    async def _count_up(self, key: Key, happening: Happening, namespace: str, name: str, again: JsonObject) -> None:
        try:
            known = await self._cluster.patch(Kind.EVENT, namespace, name, again)
            await self._cluster.patch(Kind.EVENT, namespace, name, {"count": int(known.get("count") or 1) + 1})
        except ClusterError as error:
            _log.warning("event %s of %s was not counted: %s", happening.reason, key, error)

    def _event(self, key: Key, subject: JsonObject, happening: Happening, name: str, message: str, now: str) -> JsonObject:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": key.namespace or "default"},
            "involvedObject": {
                "apiVersion": resource_of(key.kind).api_version,
                "kind": key.kind.value,
                "namespace": key.namespace,
                "name": key.name,
                "uid": subject["metadata"].get("uid", ""),
            },
            "type": "Warning" if happening.warning else "Normal",
            "reason": happening.reason,
            "message": message,
            "source": {"component": "mfu-operator", "host": self._identity},
            "reportingComponent": "mfu.dev/operator",
            "reportingInstance": self._identity,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }


def _name(key: Key, subject: JsonObject, happening: Happening) -> str:
    """Stable for a subject and a reason, so that a second leader finds what the first one posted."""
    parts = (key.kind.value, subject["metadata"].get("uid", ""), happening.reason)
    digest = hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]
    return f"{key.name[:200]}.{digest}"
