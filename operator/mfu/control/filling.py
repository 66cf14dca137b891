"""Fills the store from fresh lists."""

import asyncio
import logging
from collections.abc import Iterable

from mfu.control.cluster import Cluster
from mfu.control.resources import Kind, resource_of
from mfu.control.store import Store
from mfu.errors import ClusterError

__all__ = ["fill"]

_log = logging.getLogger(__name__)

RETRY_SECONDS = 3.0


async def fill(cluster: Cluster, store: Store, kinds: Iterable[Kind]) -> None:
    """Lists every kind, in this order; repeats a list that fails until it is answered, and says so."""
    for kind in kinds:
        while True:
            known = tuple(store.all(kind))
            try:
                bodies = [body async for body in cluster.objects(kind)]
            except ClusterError as error:
                _log.warning("%s", _advice(kind, error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            store.replace_all(kind, bodies, known)
            break


def _advice(kind: Kind, error: ClusterError) -> str:
    resource = resource_of(kind)
    match error.status:
        case 404:
            return f"{kind} is not served: install the CustomResourceDefinition {resource.plural}.{resource.group}"
        case 403:
            return f"may not list {resource.plural}: grant it to the operator's ServiceAccount ({error})"
        case _:
            return f"cannot list {resource.plural} yet: {error}"
