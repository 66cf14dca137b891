"""AMD's device-metrics-exporter (ROCm): names with and without its optional `amd_` prefix, and in capitals.

The profiler's figures need its ProfilerMetrics switch and privileges, and are off on virtual functions; `gpu_mma_activity` is
multimedia and not asked.
"""

from collections.abc import Mapping

from mfu.observe.device_exporter import DeviceExporter, DeviceFigure, Identity, Names
from mfu.observe.promql import POD_LABELS, selector

__all__ = ["AMD"]

_NO_UUID = "00000000-0000-0000-0000-000000000000"
_PERCENT = 0.01


def _key(labels: Mapping[str, str]) -> tuple[str, str]:
    """Virtual functions have neither a UUID nor a serial number: there the node and the index tell devices apart."""
    uuid = labels.get("gpu_uuid", "").replace(_NO_UUID, "") or labels.get("serial_number", "")
    return uuid or f"{labels.get('hostname', '')}/{labels.get('gpu_id', '')}", labels.get("gpu_id", "")


def _identify(labels: Mapping[str, str]) -> Identity:
    uuid, instance = _key(labels)
    return Identity(
        uuid=uuid,
        instance=instance,
        node=labels.get("node") or labels.get("nodeName") or labels.get("hostname", ""),
        model_name=labels.get("card_series") or labels.get("card_model", ""),
        partition="" if labels.get("gpu_compute_partition_type", "spx") == "spx" else labels["gpu_compute_partition_type"],
    )


def _named(name: str, scale: float = 1.0, **labels: str) -> Names:
    return Names(selectors=tuple(selector(each, **labels) for each in (name, f"amd_{name}", name.upper())), scale=scale)


AMD = DeviceExporter(
    figures={
        DeviceFigure.TENSOR_ACTIVE: _named("gpu_prof_tensor_active_percent", _PERCENT),
        DeviceFigure.CLOCK: _named("gpu_clock", 1e6, clock_type="GPU_CLOCK_TYPE_SYSTEM"),
        DeviceFigure.BUSY: _named("gpu_gfx_activity", _PERCENT),
        DeviceFigure.MEMORY_ACTIVE: _named("gpu_umc_activity", _PERCENT),
        DeviceFigure.POWER: _named("gpu_package_power"),
        DeviceFigure.MEMORY_USED: _named("gpu_used_vram", 2.0**20),
    },
    labels=(
        *POD_LABELS,
        "gpu_uuid",
        "serial_number",
        "gpu_id",
        "hostname",
        "node",
        "nodeName",
        "card_series",
        "card_model",
        "gpu_compute_partition_type",
    ),
    identity=("gpu_uuid", "serial_number", "gpu_id", "hostname"),
    identify=_identify,
    key=_key,
)
