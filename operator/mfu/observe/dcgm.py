"""NVIDIA's dcgm-exporter: names before and after DCGM's rename of the profiling fields, labels of all its releases."""

from collections.abc import Iterable

from mfu.observe.attribution import device_pod
from mfu.observe.port import Sample
from mfu.observe.promql import FIGURE, POD_LABELS, Across, Figure, Kind, expression
from mfu.observe.telemetry import DeviceTelemetry, PodKey

__all__ = ["expressions", "read"]

_TENSOR, _CLOCK, _BUSY, _MULTIPROCESSOR, _MEMORY = "tensorActive", "smClock", "busy", "smActive", "memoryActive"
_LINK_OUT, _LINK_IN, _PCIE_OUT, _PCIE_IN, _POWER, _MEMORY_USED = "linkOut", "linkIn", "pcieOut", "pcieIn", "power", "memoryUsed"

# figure → names in order of preference
_NAMES: dict[str, tuple[str, ...]] = {
    _TENSOR: ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_TENSOR_UTIL_RATIO"),
    _CLOCK: ("DCGM_FI_DEV_SM_CLOCK", "dcgm_sm_clock"),
    _BUSY: ("DCGM_FI_DEV_GPU_UTIL", "dcgm_gpu_utilization"),
    _MULTIPROCESSOR: ("DCGM_FI_PROF_SM_ACTIVE", "DCGM_FI_PROF_SM_UTIL_RATIO"),
    _MEMORY: ("DCGM_FI_PROF_DRAM_ACTIVE", "DCGM_FI_PROF_DRAM_UTIL_RATIO"),
    _LINK_OUT: ("DCGM_FI_PROF_NVLINK_TX_BYTES",),
    _LINK_IN: ("DCGM_FI_PROF_NVLINK_RX_BYTES",),
    _PCIE_OUT: ("DCGM_FI_PROF_PCIE_TX_BYTES",),
    _PCIE_IN: ("DCGM_FI_PROF_PCIE_RX_BYTES",),
    _POWER: ("DCGM_FI_DEV_POWER_USAGE", "dcgm_power_usage"),
    _MEMORY_USED: ("DCGM_FI_DEV_FB_USED", "dcgm_fb_used"),
}
_DEVICE_LABELS = (
    *POD_LABELS,
    "pod_namespace",
    "pod_name",
    "UUID",
    "uuid",
    "gpu",
    "GPU_I_ID",
    "GPU_I_PROFILE",
    "Hostname",
    "hostname",
    "node",
    "modelName",
)
# DCGM writes "not supported" as numbers next to 2^63.
_NOT_SUPPORTED = 9.0e18
_MEBIBYTE = 1024.0 * 1024.0


def expressions(window_seconds: float) -> tuple[str, ...]:
    """Means over the window of devices that are still reported: a device handed on to another pod does not answer for the one before."""
    return tuple(
        expression(
            Figure(name=figure, selectors=names, kind=Kind.FRESH_MEAN, across=Across.MAX),
            group=_DEVICE_LABELS,
            identity=_DEVICE_LABELS,
            window_seconds=window_seconds,
        )
        for figure, names in _NAMES.items()
    )


def read(samples: Iterable[Sample]) -> tuple[DeviceTelemetry, ...]:
    """One entry for each device or MIG instance, however many pods share it."""
    rows: dict[tuple[str, str], dict[str, float]] = {}
    labels_of: dict[tuple[str, str], dict[str, str]] = {}
    pods: dict[tuple[str, str], set[PodKey]] = {}
    for sample in samples:
        labels = sample.labels
        node = labels.get("node") or labels.get("Hostname") or labels.get("hostname", "")
        uuid = labels.get("UUID") or labels.get("uuid") or f"{node}/{labels.get('gpu', '')}"
        key = (uuid, labels.get("GPU_I_ID", ""))
        if abs(sample.value) >= _NOT_SUPPORTED:
            continue
        rows.setdefault(key, {})[labels.get(FIGURE, "")] = sample.value
        labels_of.setdefault(key, {"node": node, "model": labels.get("modelName", ""), "profile": labels.get("GPU_I_PROFILE", "")})
        pod = device_pod(labels)
        if pod is not None:
            pods.setdefault(key, set()).add(pod)
    return tuple(_device(key[0], rows[key], labels_of[key], sorted(pods.get(key, ()))) for key in sorted(rows))


def _device(uuid: str, row: dict[str, float], labels: dict[str, str], pods: list[PodKey]) -> DeviceTelemetry:
    return DeviceTelemetry(
        uuid=uuid,
        node=labels["node"],
        pod=pods[0] if len(pods) == 1 else None,
        model_name=labels["model"],
        partition=labels["profile"],
        shared=len(pods) > 1,
        tensor_active_ratio=_ratio(row.get(_TENSOR)),
        clock_hertz=_scaled(row.get(_CLOCK), 1e6),
        busy_ratio=_ratio(_scaled(row.get(_BUSY), 0.01)),
        multiprocessor_active_ratio=_ratio(row.get(_MULTIPROCESSOR)),
        memory_active_ratio=_ratio(row.get(_MEMORY)),
        link_bytes_per_second=_sum(row.get(_LINK_OUT), row.get(_LINK_IN)),
        pcie_bytes_per_second=_sum(row.get(_PCIE_OUT), row.get(_PCIE_IN)),
        power_watts=row.get(_POWER),
        memory_used_bytes=_scaled(row.get(_MEMORY_USED), _MEBIBYTE),
    )


def _ratio(value: float | None) -> float | None:
    """Counters of a ratio overshoot 1 by a little; far more is a field that does not mean what its name says."""
    return None if value is None or not 0.0 <= value <= 1.05 else min(1.0, value)


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _sum(first: float | None, second: float | None) -> float | None:
    return None if first is None and second is None else (first or 0.0) + (second or 0.0)
