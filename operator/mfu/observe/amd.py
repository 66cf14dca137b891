"""AMD's device-metrics-exporter (ROCm): names with and without its optional `amd_` prefix.

The profiler's figures need its ProfilerMetrics switch and privileges, and are off on virtual functions; `gpu_mma_activity` is
multimedia and not asked.
"""

from collections.abc import Mapping

from mfu.observe.device_exporter import DeviceExporter, DeviceFigure, Identity, Names
from mfu.observe.promql import POD_LABELS, selector

__all__ = ["AMD"]

_NO_UUID = "00000000-0000-0000-0000-000000000000"
_PERCENT = 0.01


def _identify(labels: Mapping[str, str]) -> Identity:
    """Virtual functions have neither a UUID nor a serial number: there the node and the index tell devices apart."""
    node = labels.get("node") or labels.get("hostname", "")
    uuid = labels.get("gpu_uuid", "").replace(_NO_UUID, "") or labels.get("serial_number", "")
    return Identity(
        uuid=uuid or f"{node}/{labels.get('gpu_id', '')}",
        instance=labels.get("gpu_id", ""),
        node=node,
        model_name=labels.get("card_series") or labels.get("card_model", ""),
        partition="" if labels.get("gpu_compute_partition_type", "spx") == "spx" else labels["gpu_compute_partition_type"],
    )


def _both(name: str, scale: float = 1.0, **labels: str) -> Names:
    return Names(selectors=(selector(name, **labels), selector(f"amd_{name}", **labels)), scale=scale)


AMD = DeviceExporter(
    figures={
        DeviceFigure.TENSOR_ACTIVE: _both("gpu_prof_tensor_active_percent", _PERCENT),
        DeviceFigure.CLOCK: _both("gpu_clock", 1e6, clock_type="GPU_CLOCK_TYPE_SYSTEM"),
        DeviceFigure.BUSY: _both("gpu_gfx_activity", _PERCENT),
        DeviceFigure.MEMORY_ACTIVE: _both("gpu_umc_activity", _PERCENT),
        DeviceFigure.POWER: _both("gpu_package_power"),
        DeviceFigure.MEMORY_USED: _both("gpu_used_vram", 2.0**20),
    },
    labels=(
        *POD_LABELS,
        "gpu_uuid",
        "serial_number",
        "gpu_id",
        "hostname",
        "node",
        "card_series",
        "card_model",
        "gpu_compute_partition_type",
    ),
    identify=_identify,
)
