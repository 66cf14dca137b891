"""The config.json texts that workloads refer to by ConfigMap; read on demand and remembered for a while instead of watched."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from mfu.control.resources import JsonObject, Kind

__all__ = ["ConfigReader", "ConfigTexts", "references"]

REMEMBERED_SECONDS = 60.0
REREAD_SECONDS = 300.0
ABSENT_SECONDS = 5.0


class ConfigReader(Protocol):
    """What is asked of the cluster: one object, or None."""

    async def get(self, kind: Kind, namespace: str, name: str) -> JsonObject | None: ...


class ConfigTexts:
    def __init__(self, cluster: ConfigReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[float, Mapping[str, str]]] = {}

    async def of(self, body: JsonObject) -> Mapping[tuple[str, str, str], str]:
        """Every text that this object refers to and that exists, by namespace, name and key; ClusterError when the API does not answer."""
        namespace = body["metadata"].get("namespace") or "default"
        found = {}
        for name, key in references(body.get("spec")):
            data = await self._data(namespace, name)
            if key in data:
                found[namespace, name, key] = data[key]
        return found

    def reread_seconds(self, body: JsonObject) -> float | None:
        """When an object is worth another look because what it refers to may have changed; None: it refers to nothing."""
        named = [name for name, _ in references(body.get("spec"))]
        if not named:
            return None
        namespace = body["metadata"].get("namespace") or "default"
        return REREAD_SECONDS if all((namespace, name) in self._known for name in named) else ABSENT_SECONDS

    async def _data(self, namespace: str, name: str) -> Mapping[str, str]:
        known = self._known.get((namespace, name))
        if known is not None and self._clock() - known[0] < REMEMBERED_SECONDS:
            return known[1]
        body = await self._cluster.get(Kind.CONFIG_MAP, namespace, name)
        data: Mapping[str, str] = (body or {}).get("data") or {}
        if body is None:
            self._known.pop((namespace, name), None)  # asked again as soon as it may have been made
        else:
            self._known[namespace, name] = (self._clock(), data)
        return data


def references(value: Any) -> Iterator[tuple[str, str]]:
    """The (name, key) of every `configMapRef` inside a spec."""
    if isinstance(value, dict):
        reference = value.get("configMapRef")
        if isinstance(reference, dict) and isinstance(reference.get("name"), str):
            yield reference["name"], str(reference.get("key") or "config.json")
        for name, inner in value.items():
            if name != "config":  # a config.json is data, not ours to interpret
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)
