"""`mfu run release-holds`: opens every gate of ours, so that an uninstalled operator leaves nothing held."""

import logging

from mfu.control.cluster import Cluster
from mfu.control.connection import Connection
from mfu.control.gates import ReleaseReason, held
from mfu.control.resources import Key, Kind, key_of
from mfu.errors import ClusterError

__all__ = ["release_holds"]

_log = logging.getLogger(__name__)

TRIES = 3


async def release_holds(connection: Connection) -> tuple[list[Key], list[Key]]:
    """One pass over all Jobs and pending pods: what was released, and what could not be. ClusterError when they cannot be listed.

    Also over those that lost the label while they were held and nobody looked: afterwards nobody will.
    """
    released: list[Key] = []
    failed: list[Key] = []
    async with Cluster(connection) as cluster:
        for kind in (Kind.JOB, Kind.POD):
            async for body in cluster.objects(kind, selector="", fields="status.phase=Pending" if kind is Kind.POD else ""):
                if held(kind, body) is not None:
                    key = key_of(kind, body)
                    (released if await _release(cluster, key) else failed).append(key)
    return released, failed


async def _release(cluster: Cluster, key: Key) -> bool:
    for _ in range(TRIES):
        try:
            body = await cluster.get(key.kind, key.namespace, key.name)
            waiting = held(key.kind, body) if body is not None else None
            if waiting is None:
                return True
            await cluster.patch(key.kind, key.namespace, key.name, waiting.patch(ReleaseReason.UNINSTALLED))
            return True
        except ClusterError as error:
            if error.status == 404:
                return True
            _log.warning("%s is still held: %s", key, error)
    return False
