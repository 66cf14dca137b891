"""AcceleratorClass, wire → domain: a provider's figures over those of the class it extends."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from mfu.api.acceleratorclass import AcceleratorClassSpec, LabelsSpec, LinkSpec, PeakSpec
from mfu.api.parse import envelope_problems, parse_spec
from mfu.api.problem import raise_first
from mfu.api.quantity import bytes_of, bytes_per_second_of, dollars_of, flops_per_second_of
from mfu.hardware import catalog
from mfu.hardware.accelerator import Accelerator, Basis, Vendor

__all__ = ["accelerator"]

_NO_CLASSES: Mapping[str, Accelerator] = MappingProxyType({})
_PROVIDER = f"{Basis.PROVIDER}: AcceleratorClass object"


def accelerator(body: Mapping[str, object], classes: Mapping[str, Accelerator] = _NO_CLASSES) -> Accelerator:
    """The accelerator that the object `body` states; `classes` are other objects that it may extend, beside the built-in ones.

    Raises IntentError with the field path, UnknownName where it extends a class that is nowhere.
    """
    raise_first(envelope_problems(body))
    spec = parse_spec(AcceleratorClassSpec, body.get("spec"))
    metadata = body["metadata"]
    assert isinstance(metadata, Mapping)  # envelope_problems
    name = str(metadata["name"])
    base = _blank(spec) if spec.extends is None else _base(spec.extends, name, classes)
    stated = _stated(spec, base)
    if spec.labels is None and spec.extends != name:
        stated["identifiers"] = {}  # two classes must not claim the same nodes
    # A price or a link of another size leaves the silicon, and so the slices of it, what they are.
    silicon = {"peak_flops_per_second", "memory_bytes", "multiprocessors"} & stated.keys()
    return replace(
        base,
        name=name,
        **stated,
        partitions=() if silicon else base.partitions,
        provenance={**base.provenance, **dict.fromkeys(stated, _PROVIDER)},
    )


def _base(extends: str, name: str, classes: Mapping[str, Accelerator]) -> Accelerator:
    others = {key: value for key, value in classes.items() if key != name}
    return catalog.accelerator(extends, others, "spec.extends")


def _blank(spec: AcceleratorClassSpec) -> Accelerator:
    """A class without a base: what is not stated is what a PCIe card without an interconnect has."""
    return Accelerator(
        name="",
        vendor=spec.vendor or Vendor.NVIDIA,
        architecture=spec.architecture or "",
        peak_flops_per_second={},
        memory_bytes=0.0,
        memory_bytes_per_second=0.0,
        l2_bytes=50.0 * 2**20,
        multiprocessors=100,
        max_clock_hertz=1.7e9,
        power_watts=400.0,
        link_bytes_per_second=22e9,
        link_is_switched=False,
        domain_size=1,
        network_bytes_per_second=12.5e9,
        provenance=dict.fromkeys(
            (
                "l2_bytes",
                "multiprocessors",
                "max_clock_hertz",
                "power_watts",
                "link_bytes_per_second",
                "network_bytes_per_second",
            ),
            f"{Basis.ASSUMED}: not stated in the AcceleratorClass object",
        ),
    )


def _stated(spec: AcceleratorClassSpec, base: Accelerator) -> dict[str, Any]:
    """What the object states, as fields of Accelerator."""
    link = spec.link or LinkSpec()
    fields: dict[str, Any] = {
        "vendor": spec.vendor,
        "architecture": spec.architecture,
        "peak_flops_per_second": _peaks(spec.peak, base),
        "memory_bytes": None if spec.memory is None else bytes_of(spec.memory, "spec.memory"),
        "memory_bytes_per_second": _bandwidth(spec.memory_bandwidth, "spec.memoryBandwidth"),
        "l2_bytes": None if spec.l2 is None else bytes_of(spec.l2, "spec.l2"),
        "multiprocessors": spec.multiprocessors,
        "max_clock_hertz": None if spec.max_clock_mhz is None else spec.max_clock_mhz * 1e6,
        "power_watts": None if spec.power_watts is None else float(spec.power_watts),
        "link_bytes_per_second": _bandwidth(link.bandwidth, "spec.link.bandwidth"),
        "link_is_switched": link.switched,
        "domain_size": link.domain_size,
        "domain_spans_nodes": link.spans_nodes,
        "network_bytes_per_second": _bandwidth(spec.network, "spec.network"),
        "price_per_hour": None if spec.price_per_hour is None else dollars_of(spec.price_per_hour),
        "identifiers": _identifiers(spec.labels),
    }
    return {field: value for field, value in fields.items() if value is not None}


def _peaks(declared: PeakSpec | None, base: Accelerator) -> dict[str, float] | None:
    if declared is None:
        return None
    stated = {key: flops_per_second_of(text, f"spec.peak.{key}") for key, text in declared if text is not None}
    return {**base.peak_flops_per_second, **stated}


def _identifiers(declared: LabelsSpec | None) -> dict[str, tuple[str, ...]] | None:
    return None if declared is None else {key: tuple(values) for key, values in declared if values is not None}


def _bandwidth(text: str | None, path: str) -> float | None:
    return None if text is None else bytes_per_second_of(text, path)
