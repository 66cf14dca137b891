"""One accelerator data file → accelerators. Every number must name its source; a wrong file is a DataError with the file and the key.

Data files use the units of data sheets (TFLOP/s, GB/s, MiB, MHz, Gbit/s); they become SI here.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from mfu.errors import DataError
from mfu.hardware.accelerator import Accelerator, Basis, Partition, Vendor
from mfu.hardware.precision import Precision

__all__ = ["IDENTIFIER_KINDS", "read_accelerators"]

IDENTIFIER_KINDS = ("product", "device_id", "gke", "karpenter", "coreweave", "instance_type")

_MIB = float(2**20)
_SCALARS = {
    # key in the file: field of Accelerator, factor to SI
    "memory_mib": ("memory_bytes", _MIB),
    "memory_gb_per_second": ("memory_bytes_per_second", 1e9),
    "l2_mib": ("l2_bytes", _MIB),
    "multiprocessors": ("multiprocessors", 1),
    "max_clock_mhz": ("max_clock_hertz", 1e6),
    "peak_clock_mhz": ("peak_clock_hertz", 1e6),
    "power_watts": ("power_watts", 1.0),
    "network_gbit_per_second": ("network_bytes_per_second", 1e9 / 8),
    "price_dollars_per_hour": ("price_per_hour", 1.0),
}
_GROUPS = {"peak_tflops": "peak_flops_per_second", "link": "link_bytes_per_second", "partitions": "partitions"}
_CLASS_KEYS = {*_SCALARS, *_GROUPS, "architecture", "identifiers", "memory_slices", "sources"}
_LINK_KINDS = {"nvlink": True, "xgmi": True, "ici": True, "ethernet": True, "pcie": False}
_PEAK_KEYS = {precision.peak_key for precision in Precision}
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


def read_accelerators(text: str, file: str) -> dict[str, Accelerator]:
    """All classes of one data file by name; `file` is its name for messages. Raises DataError."""
    try:
        document = yaml.load(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise DataError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    where = _Where(file, "")
    document = where.mapping(document)
    vendor_name = where.get(document, "vendor")
    try:
        vendor = Vendor(vendor_name)
    except ValueError as error:
        raise where.at("vendor").wrong(f"{vendor_name!r} is not one of {', '.join(Vendor)}") from error
    sources = {str(key): _source(where.at("sources").at(key), value) for key, value in where.mapping(document.get("sources")).items()}
    defaults = where.at("default_sources").mapping(document.get("default_sources") or {})
    classes = where.at("classes").mapping(where.get(document, "classes"))
    return {str(name): _accelerator(where.at(name), str(name), vendor, body, sources, defaults) for name, body in classes.items()}


class _Where:
    """A place in a file, for messages."""

    __slots__ = ("file", "path")

    def __init__(self, file: str, path: str) -> None:
        self.file = file
        self.path = path

    def at(self, key: object) -> "_Where":
        return _Where(self.file, f"{self.path}.{key}" if self.path else str(key))

    def wrong(self, message: str) -> DataError:
        return DataError(f"{self.file}: {self.path or 'document'}: {message}")

    def mapping(self, value: object) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise self.wrong(f"expected a mapping, found {type(value).__name__}")
        return value

    def get(self, mapping: Mapping[Any, Any], key: str) -> Any:
        if key not in mapping:
            raise self.at(key).wrong("is missing")
        return mapping[key]

    def number(self, value: object, *, positive: bool = True) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not (value > 0 or (value == 0 and not positive)):
            raise self.wrong(f"expected a positive number, found {value!r}")
        return float(value)

    def count(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.wrong(f"expected a count, found {value!r}")
        return value


def _source(where: _Where, value: object) -> str:
    body = where.mapping(value)
    basis, text = where.get(body, "basis"), where.get(body, "text")
    if basis not in set(Basis):
        raise where.at("basis").wrong(f"{basis!r} is not one of {', '.join(Basis)}")
    if not isinstance(text, str) or not text.strip():
        raise where.at("text").wrong("must say where the number comes from")
    return f"{basis}: {text}"


def _accelerator(
    where: _Where, name: str, vendor: Vendor, value: object, sources: Mapping[str, str], defaults: Mapping[Any, Any]
) -> Accelerator:
    body = where.mapping(value)
    if unknown := sorted(str(key) for key in body if key not in _CLASS_KEYS):
        raise where.at(unknown[0]).wrong(f"is not a known key; known: {', '.join(sorted(_CLASS_KEYS))}")
    architecture = where.get(body, "architecture")
    if not isinstance(architecture, str):
        raise where.at("architecture").wrong("must be a name")
    scalars: dict[str, Any] = {}
    for key, (field, factor) in _SCALARS.items():
        number = where.at(key).number(where.get(body, key))
        scalars[field] = round(number) if field == "multiprocessors" else number * factor
    link_where = where.at("link")
    link = link_where.mapping(where.get(body, "link"))
    kind = link_where.get(link, "kind")
    if kind not in _LINK_KINDS:
        raise link_where.at("kind").wrong(f"{kind!r} is not one of {', '.join(_LINK_KINDS)}")
    return Accelerator(
        name=name,
        vendor=vendor,
        architecture=architecture,
        peak_flops_per_second=_peaks(where.at("peak_tflops"), where.get(body, "peak_tflops")),
        link_bytes_per_second=link_where.at("gb_per_second").number(link_where.get(link, "gb_per_second")) * 1e9,
        link_is_switched=_LINK_KINDS[kind],
        domain_size=link_where.at("domain_size").count(link_where.get(link, "domain_size")),
        domain_spans_nodes=bool(link.get("spans_nodes", False)),
        partitions=_partitions(where.at("partitions"), body, scalars),
        provenance=_provenance(where.at("sources"), body, sources, defaults),
        identifiers=_identifiers(where.at("identifiers"), body.get("identifiers") or {}),
        **scalars,
    )


def _peaks(where: _Where, value: object) -> dict[str, float]:
    peaks: dict[str, float] = {}
    for key, number in where.mapping(value).items():
        if key not in _PEAK_KEYS:
            raise where.at(key).wrong(f"is not a precision; known: {', '.join(sorted(_PEAK_KEYS))}")
        peaks[key] = where.at(key).number(number) * 1e12
    if not peaks:
        raise where.wrong("needs at least one precision")
    return peaks


def _partitions(where: _Where, body: Mapping[Any, Any], scalars: Mapping[str, Any]) -> tuple[Partition, ...]:
    total_slices = where.at("memory_slices").count(body.get("memory_slices", 8))
    parts = []
    for name, value in where.mapping(body.get("partitions") or {}).items():
        here = where.at(name)
        part = here.mapping(value)
        multiprocessors, slices, count = (here.at(key).count(here.get(part, key)) for key in ("multiprocessors", "slices", "count"))
        if multiprocessors * count > scalars["multiprocessors"] or slices * count > total_slices:
            raise here.wrong(f"{count} instances take more than the device has")
        parts.append(
            Partition(
                name=str(name),
                compute_ratio=multiprocessors / scalars["multiprocessors"],
                memory_bytes=scalars["memory_bytes"] * slices / total_slices,
                bandwidth_ratio=slices / total_slices,
                count_per_device=count,
            )
        )
    return tuple(parts)


def _provenance(where: _Where, body: Mapping[Any, Any], sources: Mapping[str, str], defaults: Mapping[Any, Any]) -> dict[str, str]:
    named = {**defaults, **where.mapping(body.get("sources") or {})}
    provenance: dict[str, str] = {}
    for key, field in [*((key, field) for key, (field, _) in _SCALARS.items()), *_GROUPS.items()]:
        if key == "partitions" and not body.get("partitions"):
            continue
        source = named.get(key)
        if source is None:
            raise where.at(key).wrong("every number needs a source")
        if source not in sources:
            raise where.at(key).wrong(f"{source!r} is not among the sources of this file")
        provenance[field] = sources[source]
    return provenance


def _identifiers(where: _Where, value: object) -> dict[str, tuple[str, ...]]:
    identifiers: dict[str, tuple[str, ...]] = {}
    for kind, values in where.mapping(value).items():
        if kind not in IDENTIFIER_KINDS:
            raise where.at(kind).wrong(f"is not one of {', '.join(IDENTIFIER_KINDS)}")
        if not isinstance(values, list) or not all(isinstance(item, str) and item for item in values):
            raise where.at(kind).wrong("must be a list of label values (quote numbers)")
        identifiers[kind] = tuple(values)
    return identifiers
