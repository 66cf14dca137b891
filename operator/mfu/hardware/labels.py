"""Which accelerators a node has, from its labels and allocatable resources. Unknown is unknown: no label value is ever guessed at.

Label keys and their writers: NVIDIA's GPU Feature Discovery and device plugin, AMD's node labeller, GKE, Karpenter, CoreWeave, Akash;
the machine type is the last resort. The first source that says anything decides; a value it gives that no class claims is "unknown".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mfu.hardware.accelerator import Accelerator, Vendor
from mfu.hardware.catalog import load_catalog
from mfu.hardware.partition import partition_name
from mfu.hardware.product import candidates, identify_product, is_virtual, nearest_products, split_product
from mfu.missing import Missing, Reason

__all__ = ["NodeDevices", "Slice", "identify"]

_NONE: Mapping[str, Accelerator] = MappingProxyType({})
_WHOLE_RESOURCES = {
    Vendor.NVIDIA: ("nvidia.com/gpu", "nvidia.com/gpu.shared"),
    Vendor.AMD: ("amd.com/gpu",),
    Vendor.INTEL: ("habana.ai/gaudi",),
    Vendor.GOOGLE: ("google.com/tpu",),
}
_ALL_WHOLE = frozenset(name for names in _WHOLE_RESOURCES.values() for name in names)
_MIG_RESOURCE = re.compile(r"^nvidia\.com/mig-(?P<profile>\d+g\.\d+gb.*?)(?:\.shared)?$")
_AMD_RESOURCE = re.compile(r"^amd\.com/(?P<profile>[sdqc]px_nps\d)$")
_AMD_COUNTER = re.compile(r"^(?:beta\.)?amd\.com/gpu\.(?P<key>device-id|product-name)\.(?P<value>.+)$")
_AKASH = re.compile(r"^akash\.network/capabilities\.gpu\.vendor\.(?P<vendor>\w+)\.model\.(?P<rest>.+)$")
# A label's memory that is this far from the class's says that the name and the device do not belong together.
_MEMORY_TOLERANCE_RATIO = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One kind of partition that a node offers beside or instead of whole devices."""

    profile: str
    resource: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDevices:
    """What a node offers. `count` devices (instances, where `partition` is set) can be requested as `resource`.

    `replicas` > 1: each device is offered that many times (time-slicing, MPS); `count` is already divided by it.
    `slices`: partitions with resource names of their own (MIG strategy "mixed"). `evidence` is the label that decided.
    """

    accelerator: str
    resource: str
    count: int
    evidence: str
    partition: str | None = None
    replicas: int = 1
    slices: tuple[Slice, ...] = ()

    @property
    def unit(self) -> str:
        """Name of what one unit of `resource` is, for `mfu.hardware.catalog.accelerator`."""
        return f"{self.accelerator}/{self.partition}" if self.partition else self.accelerator


def identify(labels: Mapping[str, str], allocatable: Mapping[str, str], extra: Mapping[str, Accelerator] = _NONE) -> NodeDevices | Missing:
    """The accelerators of a node. `extra` are a provider's classes; they go before the catalogue.

    Missing(NOT_APPLICABLE): neither labels nor resources speak of accelerators. Missing(UNKNOWN_ACCELERATOR): they do, but no class fits;
    the message has the value seen and the nearest known names.
    """
    counts = {resource: _count(value) for resource, value in allocatable.items() if _is_accelerator(resource)}
    if bad := [resource for resource, count in counts.items() if count is None]:
        return _unknown(f"allocatable {bad[0]}={allocatable[bad[0]]!r} is not a count")
    found = _class_of(labels, extra)
    if found is None:
        if any(counts.values()):
            offered = ", ".join(resource for resource, count in counts.items() if count)
            return _unknown(f"the node offers {offered} but no label says which model; label it or declare spec.accelerators.class")
        return Missing(reason=Reason.NOT_APPLICABLE, message="the node has no accelerator labels and offers no accelerator resource")
    if isinstance(found, Missing):
        return found
    name, evidence, profile = found
    device = extra.get(name) or load_catalog()[name]
    return _devices(device, evidence, profile, labels, {key: count or 0 for key, count in counts.items()})


def _unknown(message: str) -> Missing:
    return Missing(reason=Reason.UNKNOWN_ACCELERATOR, message=" ".join(message.split()))


def _is_accelerator(resource: str) -> bool:
    return resource in _ALL_WHOLE or _MIG_RESOURCE.match(resource) is not None or _AMD_RESOURCE.match(resource) is not None


def _count(value: str) -> int | None:
    return int(value) if re.fullmatch(r"\d{1,6}", value.strip()) else None


_Found = tuple[str, str, str | None]  # class, evidence, partition profile as labelled


def _class_of(labels: Mapping[str, str], extra: Mapping[str, Accelerator]) -> _Found | Missing | None:
    for source in (_nvidia, _amd, _cloud, _akash):
        found = source(labels, extra)
        if found is not None:
            return found
    return None


def _nvidia(labels: Mapping[str, str], extra: Mapping[str, Accelerator]) -> _Found | Missing | None:
    product = labels.get("nvidia.com/gpu.product")
    if not product:
        return None
    evidence = f"nvidia.com/gpu.product={product}"
    if labels.get("nvidia.com/vgpu.present") == "true" and not is_virtual(product):
        return _unknown(f"{evidence} is a virtual GPU (nvidia.com/vgpu.present=true): the share of the device behind it is unknown")
    profile = split_product(product)[1]
    if profile == "invalid":
        return _unknown(f"{evidence}: the node's MIG configuration is inconsistent; repair it (nvidia.com/mig.config)")
    name = identify_product(product, extra)
    if isinstance(name, Missing):
        return name
    memory_mib = labels.get("nvidia.com/gpu.memory", "")
    if profile is None and memory_mib.isdigit() and int(memory_mib) > 0:
        device = extra.get(name) or load_catalog()[name]
        seen = int(memory_mib) * 2**20
        if abs(seen - device.memory_bytes) > _MEMORY_TOLERANCE_RATIO * device.memory_bytes:
            return _unknown(
                f"{evidence} would be {name}, but nvidia.com/gpu.memory={memory_mib} MiB is not its {device.memory_bytes / 2**20:.0f} MiB;"
                " add an AcceleratorClass for it or declare spec.accelerators.class"
            )
    return name, evidence, profile


def _amd(labels: Mapping[str, str], extra: Mapping[str, Accelerator]) -> _Found | Missing | None:
    mode = labels.get("amd.com/gpu.compute-memory-partition")
    profile = mode if mode and not mode.startswith("spx") else None
    unknown: Missing | None = None
    # The device id is the same whatever names the device; product names differ by where the labeller read them.
    for key, kind in (("device-id", "device_id"), ("product-name", "product")):
        values = _amd_values(labels, key)
        if len(values) > 1:
            return _unknown(f"the node has several kinds of AMD devices ({key} {', '.join(values)}); declare spec.accelerators.class")
        if values:
            found = candidates(kind, values[0], extra)
            if len(found) == 1:
                return found[0], f"amd.com/gpu.{key}={values[0]}", profile
            unknown = unknown or _unknown(f"amd.com/gpu.{key}={values[0]} is in no accelerator class{nearest_products(values[0], extra)}")
    return unknown


def _amd_values(labels: Mapping[str, str], key: str) -> tuple[str, ...]:
    for prefix in ("amd.com/gpu", "beta.amd.com/gpu"):
        if plain := labels.get(f"{prefix}.{key}"):
            return (plain,)
    counters = (_AMD_COUNTER.match(label) for label in labels)
    return tuple(sorted({found["value"] for found in counters if found and found["key"] == key}))


_CLOUD = (
    # label key, identifier kind
    ("gpu.nvidia.com/model", "coreweave"),
    ("gpu.nvidia.com/class", "coreweave"),
    ("cloud.google.com/gke-accelerator", "gke"),
    ("cloud.google.com/gke-tpu-accelerator", "gke"),
    ("karpenter.k8s.aws/instance-gpu-name", "karpenter"),
    ("node.kubernetes.io/instance-type", "instance_type"),
    ("beta.kubernetes.io/instance-type", "instance_type"),
)


def _cloud(labels: Mapping[str, str], extra: Mapping[str, Accelerator]) -> _Found | Missing | None:
    for key, kind in _CLOUD:
        value = labels.get(key)
        if not value:
            continue
        found = candidates(kind, value, extra) or (candidates("product", value, extra) if kind == "coreweave" else ())
        if len(found) > 1:
            found = _by_memory(found, labels, extra) or found
        if len(found) == 1:
            profile = labels.get("cloud.google.com/gke-gpu-partition-size") if kind == "gke" else None
            return found[0], f"{key}={value}", profile
        if found:
            return _unknown(f"{key}={value} may be any of {', '.join(found)}; declare spec.accelerators.class")
        # A machine type without accelerators is not a reason to call the node unknown.
        if kind != "instance_type":
            return _unknown(f"{key}={value} is in no accelerator class{nearest_products(value, extra)}")
    return None


def _by_memory(found: tuple[str, ...], labels: Mapping[str, str], extra: Mapping[str, Accelerator]) -> tuple[str, ...]:
    mebibytes = labels.get("karpenter.k8s.aws/instance-gpu-memory", "")
    gigabytes = labels.get("gpu.nvidia.com/vram", "")
    if mebibytes.isdigit():
        seen = int(mebibytes) * 2.0**20
    elif gigabytes.isdigit():
        seen = int(gigabytes) * 1e9
    else:
        return ()
    sizes = {name: (extra.get(name) or load_catalog()[name]).memory_bytes for name in found}
    return tuple(name for name, size in sizes.items() if abs(seen - size) <= _MEMORY_TOLERANCE_RATIO * size)


def _akash(labels: Mapping[str, str], _extra: Mapping[str, Accelerator]) -> _Found | Missing | None:
    models = sorted({found["rest"] for found in map(_AKASH.match, labels) if found})
    if not models:
        return None
    shown = max(models, key=len)
    return _unknown(f"akash.network label names the model only as {shown!r}{nearest_products(shown.split('.')[0])}; declare the class")


def _devices(
    device: Accelerator, evidence: str, labelled_profile: str | None, labels: Mapping[str, str], counts: Mapping[str, int]
) -> NodeDevices | Missing:
    slices: list[Slice] = []
    for resource, count in counts.items():
        found = _MIG_RESOURCE.match(resource) or _AMD_RESOURCE.match(resource)
        if found and count and not found["profile"].startswith("spx"):
            profile = partition_name(device, found["profile"])
            if isinstance(profile, Missing):
                return profile
            slices.append(Slice(profile=profile, resource=resource, count=count))
    partition = None if labelled_profile is None else partition_name(device, labelled_profile)
    if isinstance(partition, Missing):
        return partition
    resource = max(_WHOLE_RESOURCES[device.vendor], key=lambda name: counts.get(name, 0))
    if not counts.get(resource) and len(slices) == 1:
        only = slices[0]
        return NodeDevices(accelerator=device.name, resource=only.resource, count=only.count, evidence=evidence, partition=only.profile)
    offered = counts.get(resource, 0)
    replicas = _replicas(labels, offered, sliced=partition is not None)
    return NodeDevices(
        accelerator=device.name,
        resource=resource,
        count=offered // replicas,
        evidence=evidence,
        partition=partition,
        replicas=replicas,
        slices=tuple(sorted(slices, key=lambda item: item.profile)),
    )


def _replicas(labels: Mapping[str, str], offered: int, *, sliced: bool) -> int:
    """How often each device is offered. The label may say 1 while the device plugin offers more: then the devices' own count tells."""
    declared = labels.get("nvidia.com/gpu.replicas", "")
    replicas = int(declared) if declared.isdigit() and int(declared) > 1 else 1
    physical = labels.get("nvidia.com/gpu.count", "")
    if replicas == 1 and not sliced and physical.isdigit() and 0 < int(physical) < offered and offered % int(physical) == 0:
        return offered // int(physical)
    return replicas
