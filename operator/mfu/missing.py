"""Unknown is a value: `Missing` says why a number is not known, so that nobody has to read 0 or NaN as "unknown"."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Missing", "Reason"]


class Reason(StrEnum):
    """Stable tokens, shown as the `reason` of conditions and as a metric label; never rename one."""

    NOT_RUNNING = "NotRunning"
    WARMING_UP = "WarmingUp"
    TELEMETRY_MISSING = "TelemetryMissing"
    TELEMETRY_STALE = "TelemetryStale"
    TELEMETRY_UNATTRIBUTED = "TelemetryUnattributed"
    TELEMETRY_UNSUPPORTED = "TelemetryUnsupported"
    PROMETHEUS_UNAVAILABLE = "PrometheusUnavailable"
    UNKNOWN_ACCELERATOR = "UnknownAccelerator"
    UNKNOWN_MODEL = "UnknownModel"
    UNKNOWN_PRICE = "UnknownPrice"
    UNKNOWN_TOPOLOGY = "UnknownTopology"
    UNSUPPORTED_PRECISION = "UnsupportedPrecision"
    INTENT_INVALID = "IntentInvalid"
    NOT_APPLICABLE = "NotApplicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A figure that is not known. `message` says in one line what is missing and what to do about it."""

    reason: Reason
    message: str
