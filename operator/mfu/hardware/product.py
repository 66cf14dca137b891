"""Names that drivers, labellers and clouds give to an accelerator → its class. A name is matched whole or not at all: never a guess."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType

from mfu.hardware.accelerator import Accelerator
from mfu.hardware.catalog import load_catalog, nearest_names
from mfu.missing import Missing, Reason

__all__ = ["candidates", "identify_product", "is_virtual", "nearest_products", "split_product"]

_NONE: Mapping[str, Accelerator] = MappingProxyType({})
_SEPARATORS = re.compile(r"[\s_\-]+")
_VENDOR_PREFIX = re.compile(r"^(?:(?:nvidia|amd)-)+")
_SHARED = re.compile(r"-shared$")
_MIG = re.compile(r"-mig-(?P<profile>invalid|\d+[cg]\..+|\d+g\.\d+gb.*)$")
# "GRID A100-40C", "NVIDIA H100-1-10C", "A10-24Q": a virtual GPU's profile ends in its frame buffer and a series letter.
_VIRTUAL = re.compile(r"(?:^grid-)|(?:-\d+[cqab]$)|(?:^vgpu)")


def split_product(name: str) -> tuple[str, str | None]:
    """(normalised name, MIG profile) of a name in any spelling: case, spaces or dashes, vendor prefix, -SHARED and -MIG suffixes."""
    plain = _SHARED.sub("", _SEPARATORS.sub("-", name.strip().casefold()))
    plain = _VENDOR_PREFIX.sub("", plain)
    found = _MIG.search(plain)
    return (plain[: found.start()], found["profile"]) if found else (plain, None)


def is_virtual(name: str) -> bool:
    """Whether the name is that of a virtual GPU: it does not say which share of the device it owns."""
    return _VIRTUAL.search(split_product(name)[0]) is not None


def identify_product(name: str, extra: Mapping[str, Accelerator] = _NONE) -> str | Missing:
    """Class of a product name as nvmlDeviceGetName, GPU Feature Discovery, dcgm-exporter, DRA or AMD's labeller write it.

    A `-MIG-<profile>` suffix is dropped (`split_product` gives it). Missing(UNKNOWN_ACCELERATOR) names what was seen and the nearest
    known classes.
    """
    plain, _ = split_product(name)
    if is_virtual(name):
        return Missing(
            reason=Reason.UNKNOWN_ACCELERATOR,
            message=f"{name!r} is a virtual GPU: the share of the device behind it is unknown; declare spec.accelerators.class",
        )
    found = candidates("product", plain, extra)
    if len(found) == 1:
        return found[0]
    if found:
        return Missing(
            reason=Reason.UNKNOWN_ACCELERATOR,
            message=f"product {name!r} may be any of {', '.join(found)}; declare spec.accelerators.class",
        )
    hint = nearest_products(plain, extra)
    return Missing(
        reason=Reason.UNKNOWN_ACCELERATOR,
        message=f"product {name!r} is in no accelerator class{hint}; add an AcceleratorClass for it or declare spec.accelerators.class",
    )


def candidates(kind: str, value: str, extra: Mapping[str, Accelerator] = _NONE) -> tuple[str, ...]:
    """Classes whose identifiers of `kind` name `value`. A provider's classes hide catalogued ones that claim the same value."""
    own = _find(_index_of(extra.values()), kind, value) if extra else ()
    return own or tuple(name for name in _find(_catalog_index(), kind, value) if name not in extra)


def nearest_products(value: str, extra: Mapping[str, Accelerator] = _NONE) -> str:
    """Text for a message: "; the nearest known are A, B", or nothing."""
    near = nearest_names(value, [*load_catalog(), *extra])
    return f"; the nearest known are {', '.join(near)}" if near else ""


_Index = Mapping[tuple[str, str], tuple[str, ...]]


@cache
def _catalog_index() -> _Index:
    return _index_of(load_catalog().values())


def _index_of(classes: Iterable[Accelerator]) -> _Index:
    index: dict[tuple[str, str], tuple[str, ...]] = {}
    for known in classes:
        for kind, values in known.identifiers.items():
            for value in values:
                key = (kind, _plain(kind, value))
                index[key] = tuple(dict.fromkeys((*index.get(key, ()), known.name)))
    return index


def _find(index: _Index, kind: str, value: str) -> tuple[str, ...]:
    plain = _plain(kind, value)
    found = index.get((kind, plain))
    if found is not None or kind != "instance_type":
        return found or ()
    # Families of machine types are listed as a prefix: "g5.*".
    prefixes = [known for known in index if known[0] == kind and known[1].endswith("*") and plain.startswith(known[1][:-1])]
    return index[max(prefixes, key=lambda known: len(known[1]))] if prefixes else ()


def _plain(kind: str, value: str) -> str:
    return value.strip().casefold() if kind in ("instance_type", "device_id") else split_product(value)[0]
