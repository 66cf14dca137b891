"""What the exporters of accelerators have in common: figures for each device under their own names, and reading them back."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mfu.observe.attribution import device_pod
from mfu.observe.port import Sample
from mfu.observe.promql import FIGURE, Across, Figure, Kind, expression
from mfu.observe.telemetry import DeviceTelemetry, PodKey

__all__ = ["DeviceExporter", "DeviceFigure", "Identity", "Names", "expressions", "read"]

# Exporters write "not supported" as numbers next to 2^63.
_NOT_SUPPORTED = 9.0e18


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """`selectors` in order of preference; `scale` turns the exporter's unit into ours (ratio, hertz, bytes, watts)."""

    selectors: tuple[str, ...]
    scale: float = 1.0
    kind: Kind = Kind.FRESH_MEAN


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Identity:
    """`uuid` and `instance` together are one device or one partition of it."""

    uuid: str
    instance: str
    node: str
    model_name: str
    partition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceExporter:
    """`labels`: all that is needed to tell devices and their holders apart; `identify` reads them."""

    figures: Mapping[DeviceFigure, Names]
    labels: tuple[str, ...]
    identify: Callable[[Mapping[str, str]], Identity]


def expressions(exporter: DeviceExporter, window_seconds: float) -> tuple[str, ...]:
    """Means over the window of devices that are still reported: a device handed on to another pod does not answer for the one before."""
    return tuple(
        expression(
            Figure(name=figure, selectors=names.selectors, kind=names.kind, across=Across.MAX),
            group=exporter.labels,
            identity=exporter.labels,
            window_seconds=window_seconds,
        )
        for figure, names in exporter.figures.items()
    )


def read(exporter: DeviceExporter, samples: Iterable[Sample]) -> tuple[DeviceTelemetry, ...]:
    """One entry for each device or partition, however many pods share it."""
    rows: dict[tuple[str, str], dict[DeviceFigure, float]] = {}
    identities: dict[tuple[str, str], Identity] = {}
    pods: dict[tuple[str, str], set[PodKey]] = {}
    for sample in samples:
        if abs(sample.value) >= _NOT_SUPPORTED:
            continue
        identity = exporter.identify(sample.labels)
        key = (identity.uuid, identity.instance)
        figure = DeviceFigure(sample.labels[FIGURE])
        rows.setdefault(key, {})[figure] = sample.value * exporter.figures[figure].scale
        identities.setdefault(key, identity)
        pod = device_pod(sample.labels)
        if pod is not None:
            pods.setdefault(key, set()).add(pod)
    return tuple(_device(identities[key], rows[key], sorted(pods.get(key, ()))) for key in sorted(rows))


def _device(identity: Identity, row: Mapping[DeviceFigure, float], pods: list[PodKey]) -> DeviceTelemetry:
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
        busy_ratio=_ratio(row.get(DeviceFigure.BUSY)),
        multiprocessor_active_ratio=_ratio(row.get(DeviceFigure.MULTIPROCESSOR_ACTIVE)),
        memory_active_ratio=_ratio(row.get(DeviceFigure.MEMORY_ACTIVE)),
        link_bytes_per_second=_sum(row.get(DeviceFigure.LINK_OUT), row.get(DeviceFigure.LINK_IN)),
        pcie_bytes_per_second=_sum(row.get(DeviceFigure.PCIE_OUT), row.get(DeviceFigure.PCIE_IN)),
        power_watts=row.get(DeviceFigure.POWER),
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
