"""A fleet from files: Node objects, or counts of accelerators by class, with prices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mfu.cli.documents import Document
from mfu.cli.workloads import classes_of
from mfu.errors import IntentError, MfuError
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.catalog import accelerator
from mfu.hardware.labels import identify
from mfu.judge.capacity_pool import Pool
from mfu.judge.prices import PriceList
from mfu.judge.prices_reading import read_prices
from mfu.missing import Missing, Reason

__all__ = ["FleetFile", "read_fleet"]

_FIELDS = ("count", "perNode", "price", "cost")
_SECTIONS = ("classes", "prices")
_PER_NODE = 8
_MOST = 10_000_000
_READY = "True"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFile:
    """`problems`: what of the files could not be used."""

    pools: tuple[Pool, ...]
    classes: Mapping[str, Accelerator]
    currency: str
    problems: tuple[str, ...]


def read_fleet(documents: Sequence[Document], classes: Mapping[str, Accelerator]) -> FleetFile:
    """`classes`: the provider's own, from elsewhere; AcceleratorClass documents beside the nodes are taken too. Raises MfuError."""
    known = {**classes, **classes_of(documents)}
    prices = PriceList()
    nodes: dict[str, dict[int, int]] = {}
    sizes: dict[str, int] = {}
    problems: list[str] = []
    for document in documents:
        body = document.body
        if body is None:
            raise MfuError(f"{document.place}: {document.problem or 'is empty'}")
        try:
            if document.kind == "Node":
                _add_node(document, known, nodes, problems)
            elif document.kind is None:
                found = _section(body)
                prices = found if found is not None else prices
                for name, count, per_node in _counted(body, known):
                    sizes[name] = per_node
                    _add(nodes, name, per_node, count // per_node)
                    _add(nodes, name, count % per_node, 1)
        except IntentError as error:
            raise MfuError(f"{document.place}: {error}") from error
    if not nodes and not sizes:
        raise MfuError("the fleet has no accelerators; give Node documents or `classes: {h100-sxm-80gb: {count: 64}}` with --fleet")
    pools = tuple(_pool(name, nodes.get(name, {}), sizes.get(name), known, prices) for name in sorted({*nodes, *sizes}))
    return FleetFile(pools=pools, classes=known, currency=prices.currency, problems=tuple(problems))


def _add_node(document: Document, known: Mapping[str, Accelerator], nodes: dict[str, dict[int, int]], problems: list[str]) -> None:
    body: Mapping[str, Any] = document.body or {}
    status, spec = body.get("status") or {}, body.get("spec") or {}
    allocatable = {str(key): str(value) for key, value in (status.get("allocatable") or {}).items()}
    devices = identify(document.labels, allocatable, known)
    if isinstance(devices, Missing):
        if devices.reason is not Reason.NOT_APPLICABLE:
            problems.append(f"{document.place} ({document.name}): {devices.message}")
        return
    ready = [item.get("status") for item in status.get("conditions") or () if item.get("type") == "Ready"]
    if spec.get("unschedulable") or (ready and ready[0] != _READY):
        problems.append(f"{document.place} ({document.name}): takes no pods (cordoned or not ready); its accelerators are left out")
        return
    if devices.count:
        _add(nodes, devices.unit, devices.count, 1)
    for part in devices.slices:
        _add(nodes, f"{devices.accelerator}/{part.profile}", part.count, 1)


def _add(nodes: dict[str, dict[int, int]], name: str, size: int, count: int) -> None:
    sizes = nodes.setdefault(name, {})
    if size and count:
        sizes[size] = sizes.get(size, 0) + count


def _section(body: Mapping[str, Any]) -> PriceList | None:
    for key in body:
        if key not in _SECTIONS:
            raise IntentError(str(key), f"is not known; known are {', '.join(_SECTIONS)}")
    prices = body.get("prices")
    lines: list[object] = []
    for name, entry in (body.get("classes") or {}).items() if isinstance(body.get("classes"), Mapping) else ():
        if isinstance(entry, Mapping) and ("price" in entry or "cost" in entry):
            lines.append({"class": name, **{key: entry[key] for key in ("price", "cost") if key in entry}})
    if prices is None and not lines:
        return None
    if prices is not None and not isinstance(prices, Mapping):
        raise IntentError("prices", "must be a mapping with currency, contracts and lines")
    section = dict(prices or {})
    if isinstance(section.get("lines") or [], list):
        section["lines"] = [*(section.get("lines") or []), *lines]
    return read_prices(section)


def _counted(body: Mapping[str, Any], known: Mapping[str, Accelerator]) -> list[tuple[str, int, int]]:
    """(class, accelerators, accelerators of a node)."""
    classes = body.get("classes") or {}
    if not isinstance(classes, Mapping):
        raise IntentError("classes", "must be a mapping of accelerator classes")
    found = []
    for name, entry in classes.items():
        path = f"classes.{name}"
        fields = entry if isinstance(entry, Mapping) else {"count": entry}
        for key in fields:
            if key not in _FIELDS:
                raise IntentError(f"{path}.{key}", f"is not known; known are {', '.join(_FIELDS)}")
        accelerator(str(name), known, path)
        count = _whole(fields.get("count"), f"{path}.count", least=0)
        per_node = _whole(fields.get("perNode", _PER_NODE), f"{path}.perNode", least=1)
        found.append((str(name), count, per_node))
    return found


def _whole(value: object, path: str, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MOST:
        raise IntentError(path, f"must be a whole number from {least} to {_MOST}, not {value!r}")
    return value


def _pool(name: str, sizes: Mapping[int, int], per_node: int | None, known: Mapping[str, Accelerator], prices: PriceList) -> Pool:
    device = accelerator(name, known)
    quote = prices.quote(name, "*", default_price=device.price_per_hour)
    return Pool(
        accelerator=device,
        per_node=per_node or max(sizes, default=_PER_NODE),
        nodes=dict(sizes),
        price_micros=quote.price_micros,
        cost_micros=quote.cost_micros,
    )
