"""What devices report to be wrong with them: why their clocks are low, errors on their links, errors of the driver."""

from collections import Counter
from collections.abc import Sequence

from mfu.observe.telemetry import DeviceTelemetry

__all__ = ["LINK_ERRORS_PER_SECOND", "node_troubles", "throttle_reasons"]

# Single corrupt packets are sent again and cost nothing.
LINK_ERRORS_PER_SECOND = 1.0
# NVML's nvmlClocksEventReasons. Idle, application clocks and sync boost (1, 2, 16) are no faults.
_REASONS = {
    0x04: "software power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}
_NO_XID = (None, 0)


def throttle_reasons(devices: Sequence[DeviceTelemetry]) -> tuple[str, ...]:
    """Reasons that at least half of the devices give, most frequent first."""
    counted = Counter(text for device in devices for text in _reasons(device))
    return tuple(text for text, many in counted.most_common() if many * 2 >= len(devices))


def node_troubles(devices: Sequence[DeviceTelemetry]) -> tuple[str, ...]:
    """Whatever any of one node's devices reports."""
    found = list(dict.fromkeys(text for device in devices for text in _reasons(device)))
    errors = max((device.link_errors_per_second or 0.0 for device in devices), default=0.0)
    if errors > LINK_ERRORS_PER_SECOND:
        found.append(f"{errors:.0f} link errors a second")
    found += [f"XID {code}" for code in sorted({device.xid for device in devices if device.xid not in _NO_XID and device.xid is not None})]
    return tuple(found)


def _reasons(device: DeviceTelemetry) -> list[str]:
    mask = device.throttle_reasons or 0
    return [text for bit, text in _REASONS.items() if mask & bit]
