"""The admission verdict: what is decided, by which policy, why, and what would pass."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Decision", "Finding", "Verdict", "VerdictReason"]


class Decision(StrEnum):
    """`Held`: the intent is accepted but its pods wait at the gate. `Refused`: the object itself is turned away at apply."""

    ADMITTED = "Admitted"
    WARNED = "Warned"
    HELD = "Held"
    REFUSED = "Refused"


class VerdictReason(StrEnum):
    """Stable tokens in their order of precedence: the first that applies is the reason."""

    BREAK_GLASS = "BreakGlass"
    POLICY_EXEMPT = "PolicyExempt"
    INTENT_INVALID = "IntentInvalid"
    UNKNOWN_MODEL = "UnknownModel"
    UNKNOWN_ACCELERATOR = "UnknownAccelerator"
    PRECISION_UNSUPPORTED = "PrecisionUnsupported"
    DOES_NOT_FIT_MEMORY = "DoesNotFitMemory"
    TOPOLOGY_UNSATISFIED = "TopologyUnsatisfied"
    BELOW_EXPECTED_MFU_FLOOR = "BelowExpectedMFUFloor"
    BELOW_ROOFLINE_FLOOR = "BelowRooflineFloor"
    ABOVE_COST_CEILING = "AboveCostCeiling"
    GATE_TIMED_OUT = "GateTimedOut"
    ADMITTED = "Admitted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One policy's objection. `would`: what it would decide under `Gate`; `decision`: what it decides in its own mode."""

    policy: str
    reason: VerdictReason
    message: str
    would: Decision
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`message`: one line that says expected value, limit, main cause and the smallest change that would pass.

    `would`: what the policy would have decided under `Gate` (equal to `decision` there). `findings`: what every matching policy objects to,
    the deciding one first; each feeds its policy's `wouldHaveBlocked`.
    """

    decision: Decision
    reason: VerdictReason
    message: str
    policy: str | None = None
    would: Decision = Decision.ADMITTED
    max_hold_seconds: float = 3600.0
    findings: tuple[Finding, ...] = ()
