"""What the hardware counters of one workload's devices say together."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean, median

from mfu.hardware.accelerator import Accelerator, Vendor
from mfu.missing import Missing, Reason
from mfu.observe.observation import Evidence
from mfu.observe.telemetry import DeviceTelemetry
from mfu.observe.troubles import LINK_ERRORS_PER_SECOND, node_troubles, throttle_reasons

__all__ = ["device_evidence", "hardware_ratio"]

_STRAGGLER_CLOCK_RATIO = 0.92
_STRAGGLER_ACTIVITY_RATIO = 0.80
_NODES_TO_COMPARE = 3
_DEVICES_TO_COMPARE = 4
_NO_ACTIVITY = {
    Vendor.NVIDIA: "dcgm-exporter gives no DCGM_FI_PROF_PIPE_TENSOR_ACTIVE and DCGM_FI_DEV_SM_CLOCK here; enable both in its metrics "
    "file (a vGPU has none)",
    Vendor.AMD: "device-metrics-exporter gives no gpu_prof_tensor_active_percent and gpu_clock here; enable both and its ProfilerMetrics "
    "(a virtual function has none)",
}


def hardware_ratio(devices: Sequence[DeviceTelemetry], accelerator: Accelerator) -> float | Missing:
    """Tensor activity × SM clock ÷ maximum clock, mean over devices (overall FLOP utilisation, arXiv:2605.20799); never called MFU."""
    if not devices:
        return Missing(
            reason=Reason.TELEMETRY_UNATTRIBUTED,
            message="no device exporter names these pods; give dcgm-exporter the kubelet's pod-resources socket and keep its pod labels",
        )
    if any(device.sharers for device in devices):
        return Missing(
            reason=Reason.TELEMETRY_UNATTRIBUTED,
            message="the devices are shared by several pods, and the counters are the device's: they cannot be told apart by pod",
        )
    known = [
        device.tensor_active_ratio * min(1.0, device.clock_hertz / accelerator.max_clock_hertz)
        for device in devices
        if device.tensor_active_ratio is not None and device.clock_hertz is not None
    ]
    if not known:
        return Missing(
            reason=Reason.TELEMETRY_UNSUPPORTED,
            message=_NO_ACTIVITY.get(accelerator.vendor, _NO_ACTIVITY[Vendor.NVIDIA]),
        )
    return fmean(known)


def device_evidence(devices: Sequence[DeviceTelemetry], accelerator: Accelerator) -> Evidence:
    """Means over the workload's own devices that report a figure, and the straggler if one node is clearly below the rest."""
    shared = [device for device in devices if device.sharers]
    devices = [device for device in devices if not device.sharers]
    clock = _mean(device.clock_hertz for device in devices)
    node, ratio = _straggler(devices)
    troubled = _only_node_with_link_errors(devices)
    named = node or troubled
    return replace(
        Evidence(),
        devices=len(devices),
        multiprocessor_active_ratio=_mean(device.multiprocessor_active_ratio for device in devices),
        hottest_device_ratio=_hottest(devices),
        shared_devices=len(shared),
        sharers=max((len(device.sharers) for device in shared), default=1),
        partitions=tuple(sorted({device.partition for device in (*devices, *shared) if device.partition})),
        products=tuple(sorted({device.model_name for device in (*devices, *shared) if device.model_name})),
        throttle_reasons=throttle_reasons(devices),
        slowest_node_reasons=() if named is None else node_troubles([device for device in devices if device.node == named]),
        link_errors_per_second=_mean(device.link_errors_per_second for device in devices),
        link_error_node=troubled,
        busy_ratio=_mean(device.busy_ratio for device in devices),
        tensor_active_ratio=_mean(device.tensor_active_ratio for device in devices),
        memory_active_ratio=_mean(device.memory_active_ratio for device in devices),
        clock_ratio=None if clock is None else clock / accelerator.max_clock_hertz,
        mean_clock_hertz=clock,
        link_bytes_per_second=_mean(device.link_bytes_per_second for device in devices),
        pcie_bytes_per_second=_mean(device.pcie_bytes_per_second for device in devices),
        power_watts=_mean(device.power_watts for device in devices),
        slowest_node=node,
        slowest_node_ratio=ratio,
    )


def _straggler(devices: Sequence[DeviceTelemetry]) -> tuple[str | None, float | None]:
    """Synchronous work makes every rank as busy as the slowest, so the clock is asked first: it is not evened out."""
    for figure, threshold in (
        ([(device.node, device.clock_hertz) for device in devices], _STRAGGLER_CLOCK_RATIO),
        ([(device.node, device.tensor_active_ratio) for device in devices], _STRAGGLER_ACTIVITY_RATIO),
    ):
        by_node: dict[str, list[float]] = {}
        for node, value in figure:
            if value is not None:
                by_node.setdefault(node, []).append(value)
        if len(by_node) < _NODES_TO_COMPARE:
            continue
        # A node is as fast as its slowest device.
        worst = {node: min(values) for node, values in by_node.items()}
        middle = median(worst.values())
        slowest = min(worst, key=lambda node: (worst[node], node))
        if middle > 0.0 and worst[slowest] < threshold * middle:
            return slowest, worst[slowest] / middle
    return _slow_device(devices)


def _slow_device(devices: Sequence[DeviceTelemetry]) -> tuple[str | None, float | None]:
    """With too few nodes to compare: the node of the one device whose clock is clearly below those of the rest."""
    clocks = sorted((device.clock_hertz, device.node) for device in devices if device.clock_hertz is not None)
    if len(clocks) < _DEVICES_TO_COMPARE:
        return None, None
    middle = median(clock for clock, _ in clocks)
    slow = [(clock, node) for clock, node in clocks if clock < _STRAGGLER_CLOCK_RATIO * middle]
    if not slow or len({node for _, node in slow}) > 1 or len(slow) * 2 > len(clocks):
        return None, None
    return slow[0][1], slow[0][0] / middle


def _hottest(devices: Sequence[DeviceTelemetry]) -> float | None:
    """Work each second (activity × clock) of the busiest eighth over the mean: a collective waits for those that have most to do."""
    work = sorted(
        device.tensor_active_ratio * device.clock_hertz
        for device in devices
        if device.tensor_active_ratio is not None and device.clock_hertz is not None
    )
    if len(work) < _DEVICES_TO_COMPARE or fmean(work) <= 0.0:
        return None
    return fmean(work[-max(1, len(work) // 8) :]) / fmean(work)


def _only_node_with_link_errors(devices: Sequence[DeviceTelemetry]) -> str | None:
    nodes = {device.node for device in devices}
    troubled = {device.node for device in devices if (device.link_errors_per_second or 0.0) > LINK_ERRORS_PER_SECOND}
    return troubled.pop() if len(troubled) == 1 and len(nodes) > 1 else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
