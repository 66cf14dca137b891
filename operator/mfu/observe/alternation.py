"""Time-sliced devices whose exporter names another of the sharing pods at each scrape.

dcgm-exporter keeps one pod for a device unless it is told of virtual GPUs, and which one changes with the iteration order of a map: at
any moment the device looks as if one pod held it alone. Over minutes all sharers show. A device that was handed on is told apart by
time: its pods follow one another, so at most one of them is seen in both halves of the time looked at.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mfu.observe.attribution import device_pod
from mfu.observe.device_exporter import DeviceExporter, DeviceFigure
from mfu.observe.port import Sample
from mfu.observe.telemetry import DeviceTelemetry, PodKey

__all__ = ["expression", "shared"]

# Two scrapes a minute name any of two pods in either half with 999 in 1000.
_HALF = "5m"


def expression(exporter: DeviceExporter) -> str:
    """Holders that were seen in both halves of the last ten minutes, of devices that had more than one: of most fleets nothing."""
    clock = exporter.figures[DeviceFigure.CLOCK].selectors[0]
    labels = ",".join(exporter.labels)
    seen = " and ".join(f"max by ({labels}) (present_over_time({clock}[{_HALF}]{offset}))" for offset in ("", f" offset {_HALF}"))
    identity = ",".join(exporter.identity)
    return f"({seen}) and on ({identity}) (count by ({identity}) ({seen}) > 1)"


def shared(exporter: DeviceExporter, devices: Iterable[DeviceTelemetry], samples: Iterable[Sample]) -> tuple[DeviceTelemetry, ...]:
    """The devices, those that `samples` show with several holders marked as shared between them: their figures belong to none of them."""
    holders: dict[tuple[str, str], set[PodKey]] = {}
    for sample in samples:
        pod = device_pod(sample.labels)
        if pod is not None:
            holders.setdefault(exporter.key(sample.labels), set()).add(pod)
    if not holders:
        return tuple(devices)
    return tuple(_marked(device, sorted(holders.get(device.key, ()))) for device in devices)


def _marked(device: DeviceTelemetry, holders: Sequence[PodKey]) -> DeviceTelemetry:
    if len(holders) < 2:
        return device
    known = {*holders, *device.sharers, *(() if device.pod is None else (device.pod,))}
    return replace(device, pod=None, sharers=tuple(sorted(known)))
