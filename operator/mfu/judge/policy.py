"""A provider's policy in domain terms; what an `MFUPolicy` object says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["DriftRule", "Floor", "Mode", "OnUnknown", "Policy", "Selector", "WorkKind"]


class Mode(StrEnum):
    """How far a policy reaches: only count, also warn, or hold and refuse."""

    OBSERVE = "Observe"
    WARN = "Warn"
    GATE = "Gate"


class OnUnknown(StrEnum):
    ALLOW = "Allow"
    HOLD = "Hold"


class WorkKind(StrEnum):
    TRAINING = "training"
    INFERENCE = "inference"  # mixed prefill and decode
    PREFILL = "prefill"
    DECODE = "decode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """A Kubernetes label selector; empty selects everything. `expressions` are (key, operator, values)."""

    labels: Mapping[str, str] = field(default_factory=dict)
    expressions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        if any(labels.get(key) != value for key, value in self.labels.items()):
            return False
        return all(_holds(labels, key, operator, values) for key, operator, values in self.expressions)


def _holds(labels: Mapping[str, str], key: str, operator: str, values: tuple[str, ...]) -> bool:
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Least expected efficiency for a kind of work on some accelerator classes (empty: all)."""

    kinds: tuple[WorkKind, ...] = ()  # empty: all
    accelerator_classes: tuple[str, ...] = ()
    expected_mfu_ratio: float | None = None
    roofline_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRule:
    """Drift is declared when observed is below expected by more than `tolerance_ratio` (and below the interval) for `for_seconds`."""

    tolerance_ratio: float = 0.10
    for_seconds: float = 480.0
    recover_seconds: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    name: str
    mode: Mode = Mode.OBSERVE
    precedence: int = 0  # higher is asked first
    namespaces: Selector = Selector()
    workloads: Selector = Selector()
    exempt: Selector | None = None  # workloads with these labels are never held by this policy
    floors: tuple[Floor, ...] = ()
    max_cost_per_million_tokens: float | None = None  # dollars
    must_fit_memory: bool = True
    memory_margin_ratio: float = 0.0
    require_link_domain: bool = False  # tensor and expert groups inside one NVLink domain
    require_supported_precision: bool = True
    on_unknown: OnUnknown = OnUnknown.ALLOW
    max_hold_seconds: float = 3600.0
    drift: DriftRule = DriftRule()
