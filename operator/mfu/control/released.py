"""The verdict as it reads once nothing waits at the gate: what was let through, or never stopped, is not called held."""

from collections.abc import Sequence
from dataclasses import replace

from mfu.control.gates import ReleaseReason, is_held, released_as, skip_reason
from mfu.control.resources import JsonObject
from mfu.judge.assessment import Assessment
from mfu.judge.summary import summarize
from mfu.judge.verdict import Decision, Verdict, VerdictReason

__all__ = ["as_released"]


def as_released(assessment: Assessment, members: Sequence[JsonObject]) -> Assessment:
    """`members`: the workload's Jobs and pods. Before there are any, a workload that would be held reads as held."""
    verdict = _verdict(assessment.verdict, members)
    if verdict is assessment.verdict:
        return assessment
    summary = summarize(
        estimate=assessment.estimate,
        verdict=verdict,
        observation=assessment.observation,
        drift=assessment.drift,
        diagnosis=assessment.diagnosis,
        cost=assessment.cost,
    )
    return replace(assessment, verdict=verdict, summary=summary)


def _verdict(verdict: Verdict, members: Sequence[JsonObject]) -> Verdict:
    if verdict.decision is not Decision.HELD or not members or any(is_held(member) for member in members):
        return verdict
    reasons = {released_as(member) for member in members}
    by_hand = [reason for member in members if (reason := skip_reason(member))]
    if by_hand or ReleaseReason.BREAK_GLASS.value in reasons:
        message = f"let through by hand{f' ({by_hand[0]})' if by_hand else ''}; {verdict.message}"
        return replace(verdict, decision=Decision.ADMITTED, reason=VerdictReason.BREAK_GLASS, message=message)
    if ReleaseReason.GATE_TIMED_OUT.value in reasons:
        message = f"let through after the longest hold; {verdict.message}"
        return replace(verdict, decision=Decision.ADMITTED, reason=VerdictReason.GATE_TIMED_OUT, message=message)
    # An intent edited, or a policy made, while the workload runs; or a namespace without gating.
    return replace(verdict, decision=Decision.WARNED, message=f"nothing waits at the gate, a new Job or pod would: {verdict.message}")
