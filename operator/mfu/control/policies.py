"""What a policy does, and would do under Gate, over the workloads that exist: the status of an MFUPolicy."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mfu.api.conditions import Claim, conditions
from mfu.api.figures import money
from mfu.control.judging import Judged
from mfu.control.resources import JsonObject, Key
from mfu.judge.admission import applicable
from mfu.judge.policy import Policy
from mfu.judge.verdict import Decision
from mfu.missing import Missing

__all__ = ["policy_status"]

SHOWN_NAMES = 10

Labels = tuple[Mapping[str, str], Mapping[str, str]]
"""Of the namespace, and of the workload."""


def policy_status(
    key: Key,
    body: JsonObject,
    fault: str,
    policies: Sequence[Policy],
    judged: Mapping[Key, Judged],
    labels: Mapping[Key, Labels],
    now: datetime,
) -> dict[str, Any]:
    """`fault`: why the policy cannot be used, empty when it can; such a policy matches nothing."""
    generation = int(body["metadata"].get("generation") or 0)
    claim = Claim(type="Accepted", status=not fault, reason="Invalid" if fault else "Accepted", message=fault or "the policy is in force")
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": conditions([claim], (body.get("status") or {}).get("conditions"), generation, now),
    }
    ours = [policy for policy in policies if policy.name == key.name]
    if not ours:
        return status
    matched = [
        workload
        for workload, (namespace, own) in sorted(labels.items())
        if applicable(ours, namespace_labels=namespace, workload_labels=own)
    ]
    blocked = [workload for workload in matched if workload in judged and _would_block(key.name, judged[workload])]
    status["matchedWorkloads"] = len(matched)
    status["wouldHaveBlocked"] = _blocked(blocked, judged)
    return status


def _would_block(policy: str, judged: Judged) -> bool:
    findings = judged.assessment.verdict.findings
    return any(finding.policy == policy and finding.would in (Decision.HELD, Decision.REFUSED) for finding in findings)


def _blocked(blocked: Sequence[Key], judged: Mapping[Key, Judged]) -> dict[str, Any]:
    accelerators, dollars = 0, 0.0
    for workload in blocked:
        assessment = judged[workload].assessment
        if not isinstance(assessment.workload, Missing):
            accelerators += judged[workload].running.accelerators or assessment.workload.fabric.count
        if not isinstance(assessment.cost.per_hour, Missing):
            dollars += assessment.cost.per_hour
    found: dict[str, Any] = {"count": len(blocked), "accelerators": accelerators}
    if dollars > 0:
        found["dollarsPerHour"] = money(dollars)
    if blocked:
        found["lastNames"] = [f"{workload.namespace}/{workload.name}" for workload in blocked[:SHOWN_NAMES]]
    return found
