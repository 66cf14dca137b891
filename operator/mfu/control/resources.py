"""The kinds of Kubernetes objects that the operator reads or writes, and where the API serves them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["GROUP", "VERSION", "WORKLOAD_LABEL", "JsonObject", "Key", "Kind", "Resource", "key_of", "resource_of"]

GROUP = "mfu.dev"
VERSION = "v1alpha1"
WORKLOAD_LABEL = "mfu.dev/workload"

JsonObject = dict[str, Any]
"""A Kubernetes object as the API sends it."""


class Kind(StrEnum):
    WORKLOAD = "ModelWorkload"
    POLICY = "MFUPolicy"
    CLASS = "AcceleratorClass"
    FLEET = "FleetReport"
    POD = "Pod"
    NODE = "Node"
    NAMESPACE = "Namespace"
    JOB = "Job"
    CONFIG_MAP = "ConfigMap"
    EVENT = "Event"
    LEASE = "Lease"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """`selector`: the label selector under which the operator lists and watches this kind; empty: everything."""

    kind: Kind
    group: str
    version: str
    plural: str
    namespaced: bool
    selector: str = ""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of one object, or of the collection when `name` is empty (of all namespaces when `namespace` is empty)."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/" + "/".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Key:
    """Names one object; the namespace of a cluster-scoped one is empty."""

    kind: Kind
    namespace: str = ""
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


_RESOURCES = {
    resource.kind: resource
    for resource in (
        Resource(kind=Kind.WORKLOAD, group=GROUP, version=VERSION, plural="modelworkloads", namespaced=True),
        Resource(kind=Kind.POLICY, group=GROUP, version=VERSION, plural="mfupolicies", namespaced=False),
        Resource(kind=Kind.CLASS, group=GROUP, version=VERSION, plural="acceleratorclasses", namespaced=False),
        Resource(kind=Kind.FLEET, group=GROUP, version=VERSION, plural="fleetreports", namespaced=False),
        Resource(kind=Kind.POD, group="", version="v1", plural="pods", namespaced=True, selector=WORKLOAD_LABEL),
        Resource(kind=Kind.NODE, group="", version="v1", plural="nodes", namespaced=False),
        Resource(kind=Kind.NAMESPACE, group="", version="v1", plural="namespaces", namespaced=False),
        Resource(kind=Kind.JOB, group="batch", version="v1", plural="jobs", namespaced=True, selector=WORKLOAD_LABEL),
        Resource(kind=Kind.CONFIG_MAP, group="", version="v1", plural="configmaps", namespaced=True),
        Resource(kind=Kind.EVENT, group="", version="v1", plural="events", namespaced=True),
        Resource(kind=Kind.LEASE, group="coordination.k8s.io", version="v1", plural="leases", namespaced=True),
    )
}


def resource_of(kind: Kind) -> Resource:
    return _RESOURCES[kind]


def key_of(kind: Kind, body: JsonObject) -> Key:
    metadata = body["metadata"]
    return Key(kind=kind, namespace=metadata.get("namespace") or "", name=metadata["name"])
