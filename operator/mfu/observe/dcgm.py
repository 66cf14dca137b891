"""NVIDIA's dcgm-exporter: names before and after DCGM's rename of the profiling fields, labels of all its releases."""

from collections.abc import Mapping

from mfu.observe.device_exporter import DeviceExporter, DeviceFigure, Identity, Names
from mfu.observe.promql import POD_LABELS, Kind

__all__ = ["DCGM"]


def _key(labels: Mapping[str, str]) -> tuple[str, str]:
    uuid = labels.get("UUID") or labels.get("uuid")
    return uuid or f"{labels.get('Hostname') or labels.get('hostname', '')}/{labels.get('gpu', '')}", labels.get("GPU_I_ID", "")


def _identify(labels: Mapping[str, str]) -> Identity:
    uuid, instance = _key(labels)
    return Identity(
        uuid=uuid,
        instance=instance,
        node=labels.get("node") or labels.get("nodeName") or labels.get("Hostname") or labels.get("hostname", ""),
        model_name=labels.get("modelName", ""),
        partition=labels.get("GPU_I_PROFILE", ""),
    )


DCGM = DeviceExporter(
    figures={
        DeviceFigure.TENSOR_ACTIVE: Names(selectors=("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_TENSOR_UTIL_RATIO")),
        DeviceFigure.CLOCK: Names(selectors=("DCGM_FI_DEV_SM_CLOCK", "dcgm_sm_clock"), scale=1e6),
        DeviceFigure.BUSY: Names(selectors=("DCGM_FI_DEV_GPU_UTIL", "dcgm_gpu_utilization"), scale=0.01),
        # MIG instances have no GPU utilisation.
        DeviceFigure.ENGINE_ACTIVE: Names(selectors=("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO")),
        DeviceFigure.MULTIPROCESSOR_ACTIVE: Names(selectors=("DCGM_FI_PROF_SM_ACTIVE", "DCGM_FI_PROF_SM_UTIL_RATIO")),
        DeviceFigure.MEMORY_ACTIVE: Names(selectors=("DCGM_FI_PROF_DRAM_ACTIVE", "DCGM_FI_PROF_DRAM_UTIL_RATIO")),
        DeviceFigure.LINK_OUT: Names(selectors=("DCGM_FI_PROF_NVLINK_TX_BYTES",)),
        DeviceFigure.LINK_IN: Names(selectors=("DCGM_FI_PROF_NVLINK_RX_BYTES",)),
        DeviceFigure.PCIE_OUT: Names(selectors=("DCGM_FI_PROF_PCIE_TX_BYTES",)),
        DeviceFigure.PCIE_IN: Names(selectors=("DCGM_FI_PROF_PCIE_RX_BYTES",)),
        DeviceFigure.POWER: Names(selectors=("DCGM_FI_DEV_POWER_USAGE", "dcgm_power_usage")),
        DeviceFigure.MEMORY_USED: Names(selectors=("DCGM_FI_DEV_FB_USED", "dcgm_fb_used"), scale=2.0**20),
        DeviceFigure.THROTTLE_REASONS: Names(
            selectors=("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS"), kind=Kind.LATEST
        ),
        DeviceFigure.LINK_ERRORS: Names(
            selectors=("DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL"), kind=Kind.RATE
        ),
        DeviceFigure.XID: Names(selectors=("DCGM_FI_DEV_XID_ERRORS",), kind=Kind.LATEST),
    },
    labels=(
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
        "nodeName",
        "modelName",
    ),
    identity=("UUID", "uuid", "gpu", "GPU_I_ID", "Hostname", "hostname"),
    identify=_identify,
    key=_key,
)
