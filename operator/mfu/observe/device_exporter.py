"""What the exporters of accelerators have in common: figures for each device under their own names, and reading them back."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mfu.observe.attribution import device_pod
from mfu.observe.port import Sample
from mfu.observe.promql import FIGURE, POD_LABELS, Across, Figure, Kind, any_of, expression, pack
from mfu.observe.telemetry import DeviceTelemetry, PodKey

__all__ = ["DeviceExporter", "DeviceFigure", "Identity", "Names", "queries", "read"]

# Exporters write "not supported" as numbers next to 2^63 or 2^47; a mean with such a number in it is as far beyond anything real.
_NOT_SUPPORTED = 1.0e14
_HELD = "held"
# Compared between devices. Of the others only means over a workload's devices are asked, so that they are read as means over each pod's.
_BY_DEVICE = ("xid", "tensorActive", "linkErrors", "clock", "throttleReasons")
_HOLDER_LABELS = (*POD_LABELS, "pod_namespace", "pod_name")
# Each has an element for every device of the fleet; every other one is rare.
_DEVICE_FIGURES_A_QUERY = 2


class DeviceFigure(StrEnum):
    TENSOR_ACTIVE = "tensorActive"
    CLOCK = "clock"
    BUSY = "busy"
    MULTIPROCESSOR_ACTIVE = "multiprocessorActive"
    MEMORY_ACTIVE = "memoryActive"
    LINK_OUT = "linkOut"
    LINK_IN = "linkIn"
    PCIE_OUT = "pcieOut"
    PCIE_IN = "pcieIn"
    POWER = "power"
    MEMORY_USED = "memoryUsed"
    THROTTLE_REASONS = "throttleReasons"
    LINK_ERRORS = "linkErrors"
    XID = "xid"
    ENGINE_ACTIVE = "engineActive"  # stands for BUSY where that is not given
    HELD = "held"  # who holds the device now; its value means nothing


# Of the first group at least one is on wherever an exporter runs with its own list of figures; providers' lists may have the second only.
_HELD_BY = ((DeviceFigure.CLOCK, DeviceFigure.BUSY), (DeviceFigure.TENSOR_ACTIVE, DeviceFigure.ENGINE_ACTIVE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """`selectors` in order of preference; `scale` turns the exporter's unit into ours (ratio, hertz, bytes, watts)."""

    selectors: tuple[str, ...]
    scale: float = 1.0
    kind: Kind = Kind.MEAN


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Identity:
    """`uuid` and `instance` together are one device or one partition of it (`DeviceExporter.key`)."""

    uuid: str
    instance: str
    node: str
    model_name: str
    partition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceExporter:
    """`labels`: all that is needed to tell devices and their holders apart; `identify` reads them. `identity`: those of them that tell
    devices apart; `key` reads them.
    """

    figures: Mapping[DeviceFigure, Names]
    labels: tuple[str, ...]
    identity: tuple[str, ...]
    identify: Callable[[Mapping[str, str]], Identity]
    key: Callable[[Mapping[str, str]], tuple[str, str]]


def queries(exporter: DeviceExporter, window_seconds: float) -> tuple[str, ...]:
    """Who holds each device now, and means over the window by device or by pod.

    A fleet has hundreds of thousands of such series: the pods are named once, so that a device that was handed on does not answer for the
    pod before, and what is not compared between devices is summed up in the store.
    """
    known = [[name for each in group if each in exporter.figures for name in exporter.figures[each].selectors] for group in _HELD_BY]
    holders = Figure(name=DeviceFigure.HELD, selectors=tuple(any_of(names) for names in known), kind=Kind.NOW, across=Across.MAX)
    by_device = [expression(holders, group=exporter.labels, identity=exporter.labels, window_seconds=window_seconds)]
    by_device += [
        _expression(exporter, DeviceFigure(name), Across.MAX, exporter.identity, window_seconds)
        for name in _BY_DEVICE
        if name in exporter.figures
    ]
    by_pod = [
        _expression(exporter, name, Across.MEAN, _HOLDER_LABELS, window_seconds) for name in exporter.figures if name not in _BY_DEVICE
    ]
    return (*pack(by_device, at_most=_DEVICE_FIGURES_A_QUERY), *pack(by_pod))


def _expression(exporter: DeviceExporter, name: DeviceFigure, across: Across, labels: tuple[str, ...], window_seconds: float) -> str:
    names = exporter.figures[name]
    figure = Figure(name=name, selectors=names.selectors, kind=names.kind, across=across)
    return expression(figure, group=labels, identity=labels, window_seconds=window_seconds)


def read(exporter: DeviceExporter, samples: Iterable[Sample]) -> tuple[DeviceTelemetry, ...]:
    """One entry for each device or partition that is still reported, however many pods share it."""
    scales = {figure.value: names.scale for figure, names in exporter.figures.items()}
    rows: dict[tuple[str, str], dict[str, float]] = {}
    by_pod: dict[PodKey, dict[str, float]] = {}
    held: dict[tuple[str, str], Identity] = {}
    pods: dict[tuple[str, str], set[PodKey]] = {}
    for sample in samples:
        labels = sample.labels
        figure = labels[FIGURE]
        if figure == _HELD:
            key = exporter.key(labels)
            # Of two exporters that see the same device only one may know its product and partition.
            identity = exporter.identify(labels)
            held[key] = max(identity, held.get(key, identity))
            pod = device_pod(labels)
            if pod is not None:
                pods.setdefault(key, set()).add(pod)
        elif abs(sample.value) >= _NOT_SUPPORTED:
            continue
        elif figure in _BY_DEVICE:
            rows.setdefault(exporter.key(labels), {})[figure] = sample.value * scales[figure]
        else:
            pod = device_pod(labels)
            if pod is not None:
                by_pod.setdefault(pod, {})[figure] = sample.value * scales[figure]
    found = []
    for key in sorted(held):
        holders = sorted(pods.get(key, ()))
        shared = by_pod.get(holders[0], {}) if len(holders) == 1 else {}
        found.append(_device(held[key], {**rows.get(key, {}), **shared}, holders))
    return tuple(found)


def _device(identity: Identity, row: Mapping[str, float], pods: list[PodKey]) -> DeviceTelemetry:
    return DeviceTelemetry(
        uuid=identity.uuid,
        instance=identity.instance,
        node=identity.node,
        pod=pods[0] if len(pods) == 1 else None,
        model_name=identity.model_name,
        partition=identity.partition,
        sharers=tuple(pods) if len(pods) > 1 else (),
        tensor_active_ratio=_ratio(row.get(DeviceFigure.TENSOR_ACTIVE)),
        clock_hertz=row.get(DeviceFigure.CLOCK),
        busy_ratio=_ratio(row.get(DeviceFigure.BUSY, row.get(DeviceFigure.ENGINE_ACTIVE))),
        multiprocessor_active_ratio=_ratio(row.get(DeviceFigure.MULTIPROCESSOR_ACTIVE)),
        memory_active_ratio=_ratio(row.get(DeviceFigure.MEMORY_ACTIVE)),
        link_bytes_per_second=_sum(row.get(DeviceFigure.LINK_OUT), row.get(DeviceFigure.LINK_IN)),
        pcie_bytes_per_second=_sum(row.get(DeviceFigure.PCIE_OUT), row.get(DeviceFigure.PCIE_IN)),
        # Of a partition it is the whole board's, repeated.
        power_watts=None if identity.partition else row.get(DeviceFigure.POWER),
        memory_used_bytes=row.get(DeviceFigure.MEMORY_USED),
        throttle_reasons=_mask(row.get(DeviceFigure.THROTTLE_REASONS)),
        link_errors_per_second=row.get(DeviceFigure.LINK_ERRORS),
        xid=_mask(row.get(DeviceFigure.XID)),
    )


def _ratio(value: float | None) -> float | None:
    """Counters of a ratio overshoot 1 by a little; far more is a field that does not mean what its name says."""
    return None if value is None or not 0.0 <= value <= 1.05 else min(1.0, value)


def _mask(value: float | None) -> int | None:
    return None if value is None or value < 0.0 else int(value)


def _sum(first: float | None, second: float | None) -> float | None:
    return None if first is None and second is None else (first or 0.0) + (second or 0.0)
