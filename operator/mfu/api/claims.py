"""The six conditions of a ModelWorkload: Accepted, Admitted, Placed, Observed, Drifting, Ready. Reasons are stable tokens."""

from dataclasses import replace

from mfu.api.conditions import Claim
from mfu.api.figures import percent, signed_percent
from mfu.judge.assessment import Assessment
from mfu.judge.verdict import Decision, VerdictReason
from mfu.missing import Missing, Reason
from mfu.observe.observation import Observation
from mfu.place.assess import Spread

__all__ = ["claims", "told_at_the_gate"]

_ADMITTED = (Decision.ADMITTED, Decision.WARNED)


def claims(assessment: Assessment, spread: Spread | Missing | None, expected: str, observed: str) -> tuple[Claim, ...]:
    """`expected` and `observed` are the MFUs as the status shows them."""
    accepted, admitted = _accepted(assessment), _admitted(assessment)
    return (
        accepted,
        admitted,
        _placed(assessment, spread),
        _observed(assessment.observation),
        _drifting(assessment, expected, observed),
        _ready(accepted, admitted),
    )


def told_at_the_gate(assessment: Assessment) -> Assessment:
    """With the reason why nothing is observed of a workload that is held: its pods may not start yet, whatever labels they carry."""
    missing = assessment.observation
    if assessment.verdict.decision is not Decision.HELD or not isinstance(missing, Missing) or missing.reason is not Reason.NOT_RUNNING:
        return assessment
    held = Missing(reason=Reason.NOT_RUNNING, message="the pods are held at the gate, so nothing runs yet; see the condition Admitted")
    return replace(assessment, observation=held, drift=held if isinstance(assessment.drift, Missing) else assessment.drift)


def _accepted(assessment: Assessment) -> Claim:
    workload = assessment.workload
    if isinstance(workload, Missing):
        return Claim(type="Accepted", status=False, reason=workload.reason, message=workload.message)
    if assessment.verdict.reason is VerdictReason.INTENT_INVALID:
        return Claim(type="Accepted", status=False, reason=VerdictReason.INTENT_INVALID, message=assessment.verdict.message)
    if isinstance(assessment.estimate, Missing):
        return Claim(type="Accepted", status=False, reason=assessment.estimate.reason, message=assessment.estimate.message)
    fabric = workload.fabric
    return Claim(
        type="Accepted",
        status=True,
        reason="Resolved",
        message=f"the intent is understood: {workload.architecture.family} in {workload.precisions.compute}"
        f" on {fabric.count} × {fabric.accelerator.name}",
    )


def _admitted(assessment: Assessment) -> Claim:
    verdict = assessment.verdict
    return Claim(type="Admitted", status=verdict.decision in _ADMITTED, reason=verdict.reason, message=verdict.message)


def _placed(assessment: Assessment, spread: Spread | Missing | None) -> Claim:
    match spread:
        case Spread(groups_inside=False, crossing=()):
            return Claim(type="Placed", status=True, reason="GroupsApart", message=spread.message)
        case Spread(crossing=()):
            return Claim(type="Placed", status=True, reason="Placed", message=spread.message)
        case Spread():
            return Claim(type="Placed", status=True, reason="LinksCrossed", message=spread.message)
        case Missing(reason=Reason.UNKNOWN_TOPOLOGY):
            return Claim(type="Placed", status=True, reason=spread.reason, message=spread.message)
        case Missing(reason=Reason.NOT_RUNNING) if assessment.verdict.decision is Decision.HELD:
            return Claim(type="Placed", status=False, reason="Held", message="the pods wait for admission; see the condition Admitted")
        case Missing(reason=Reason.NOT_RUNNING):
            return Claim(type="Placed", status=False, reason=spread.reason, message=spread.message)
        case Missing():
            return Claim(type="Placed", status=None, reason=spread.reason, message=spread.message)
        case None:
            return Claim(type="Placed", status=None, reason=Reason.NOT_RUNNING, message="no pod of the workload is on a node yet")


def _observed(observation: Observation | Missing) -> Claim:
    match observation:
        case Missing():
            return Claim(type="Observed", status=False, reason=observation.reason, message=observation.message)
        case Observation(mfu_ratio=Missing() as missing):
            return Claim(type="Observed", status=False, reason=missing.reason, message=missing.message)
        case Observation():
            source = observation.source or "application"
            return Claim(type="Observed", status=True, reason="Observed", message=f"read from the {source} exporter through Prometheus")


def _drifting(assessment: Assessment, expected: str, observed: str) -> Claim:
    drift = assessment.drift
    if isinstance(drift, Missing):
        if assessment.drift_state.drifting or assessment.record.deviation.drifting:
            message = f"was below the expectation when it was last observed; {drift.message}"
            return Claim(type="Drifting", status=True, reason="BelowExpected", message=message)
        return Claim(type="Drifting", status=None, reason=drift.reason, message=drift.message)
    figures = f"{observed} observed, {expected} expected"
    if drift.baseline == "OwnLevel":
        level = "" if drift.level_ratio is None else f" of {percent(drift.level_ratio)}"
        figures = f"{observed} observed, {signed_percent(drift.ratio)} from its own best stable level{level}; {expected} expected"
    elif drift.baseline != "Expected":
        figures = f"{observed} observed, {signed_percent(drift.ratio)} from what its load allows ({expected} at the declared load)"
    if drift.drifting:
        cause = next((share for share in assessment.diagnosis if not share.expected), None)
        why = (f"; changed: {drift.change}" if drift.change else "") + (f"; {cause.cause}: {cause.evidence}" if cause else "")
        below = "BelowOwnLevel" if drift.baseline == "OwnLevel" else "BelowExpected"
        return Claim(type="Drifting", status=True, reason=cause.cause if cause else below, message=f"{figures}{why}")
    if drift.since_seconds is not None:
        return Claim(
            type="Drifting", status=False, reason="Deviating", message=f"{figures}; called drift when it lasts as long as the policy says"
        )
    return Claim(type="Drifting", status=False, reason="WithinExpected", message=figures)


def _ready(accepted: Claim, admitted: Claim) -> Claim:
    for claim in (accepted, admitted):
        if claim.status is not True:
            return Claim(type="Ready", status=False, reason=claim.reason, message=claim.message)
    return Claim(type="Ready", status=True, reason="Ready", message="accepted and admitted")
