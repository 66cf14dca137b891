"""The roll-up as the status of a FleetReport; a tenant's own report has the same fields. What is not known is left out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mfu.api.conditions import Claim, conditions
from mfu.api.figures import instant, money, percent
from mfu.control.judging import Judged
from mfu.control.resources import JsonObject, Key, Kind
from mfu.judge.assessment import Assessment
from mfu.judge.fleet import Fleet, Group, Loss
from mfu.judge.money import money_text
from mfu.judge.prices import MICROS
from mfu.judge.systemic_finding import Finding
from mfu.missing import Missing

__all__ = ["fleet_figures", "fleet_status"]

SHOWN = 10


def fleet_status(
    fleet: Fleet, judged: Mapping[Key, Judged], body: JsonObject, now: datetime, *, findings: Sequence[Finding] = ()
) -> dict[str, Any]:
    """`at` is cut to the minute."""
    generation = int(body["metadata"].get("generation") or 0)
    claim = Claim(type="Ready", status=True, reason="Reported", message="rolled up over all accelerators of the cluster")
    return {
        **fleet_figures(fleet, judged, now),
        **_known(findings=[_finding(item, fleet.whole.money.currency) for item in findings[:SHOWN]]),
        "observedGeneration": generation,
        "conditions": conditions([claim], (body.get("status") or {}).get("conditions"), generation, now),
    }


def fleet_figures(fleet: Fleet, judged: Mapping[Key, Judged], now: datetime) -> dict[str, Any]:
    """All that is counted, without what belongs to an object of the cluster."""
    whole, billed = fleet.whole, fleet.whole.money
    return _known(
        summary=fleet.summary,
        at=instant(now.replace(second=0)),
        accelerators={
            "total": whole.accelerators.total,
            "allocated": whole.accelerators.allocated,
            "declared": whole.accelerators.declared,
            "productive": round(whole.accelerators.productive),
        },
        mfu=_known(expected=_ratio(whole.expected_ratio), observed=_ratio(whole.observed_ratio), hardware=_ratio(whole.hardware_ratio)),
        utilisation=_ratio(whole.utilisation_ratio),
        currency=billed.currency if billed.currency != "USD" else None,
        gapPerHour=_hourly(billed.gap_micros, billed.currency),
        costPerHour=_hourly(billed.declared_micros, billed.currency),
        byCause=[{"cause": str(item.cause), "perHour": money_text(item.micros, billed.currency)} for item in billed.by_cause],
        byClass=[_group(group, group.accelerators.total) for group in fleet.by_class[:SHOWN]],
        byTenant=[_group(group, group.accelerators.allocated) for group in fleet.by_tenant[:SHOWN]],
        byModel=[_group(group, group.accelerators.declared) for group in fleet.by_model[:SHOWN]],
        byNode=[_group(group, group.accelerators.total) for group in fleet.by_node[:SHOWN] if group.accelerators.allocated],
        worst=[
            _loss(loss, judged[key].assessment)
            for loss in fleet.worst[:SHOWN]
            if (key := Key(kind=Kind.WORKLOAD, namespace=loss.namespace, name=loss.name)) in judged
        ],
        unknown=[{"reason": str(item.reason), "accelerators": item.accelerators} for item in whole.unknown],
    )


def _known(**figures: Any) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if value is not None and value != {} and value != []}


def _ratio(value: float | Missing | None) -> str | None:
    return None if value is None or isinstance(value, Missing) else percent(value)


def _hourly(micros: int | Missing, currency: str) -> str | None:
    if isinstance(micros, Missing):
        return None
    return money(micros / MICROS) if currency == "USD" else money_text(micros, currency)


def _group(group: Group, accelerators: int) -> dict[str, Any]:
    billed = group.money
    unknown = None if isinstance(group.unknown_ratio, Missing) or not group.unknown_ratio else group.unknown_ratio
    return _known(
        name=group.name,
        accelerators=accelerators,
        allocated=group.accelerators.allocated,
        utilisation=_ratio(group.utilisation_ratio),
        hardware=_ratio(group.hardware_ratio),
        observed=_ratio(group.observed_ratio),
        expected=_ratio(group.expected_ratio),
        unknown=_ratio(unknown),
        gapPerHour=_hourly(billed.gap_micros, billed.currency),
        costPerHour=_hourly(billed.declared_micros, billed.currency),
    )


def _loss(loss: Loss, assessment: Assessment) -> dict[str, Any]:
    estimate, observation = assessment.estimate, assessment.observation
    gap = loss.gap_dollars_per_hour
    return _known(
        namespace=loss.namespace,
        name=loss.name,
        expected=None if isinstance(estimate, Missing) else percent(estimate.mfu_ratio),
        observed=None if isinstance(observation, Missing) else _ratio(observation.mfu_ratio),
        gapPerHour=None if isinstance(gap, Missing) else money(gap),
        cause=str(assessment.diagnosis[0].cause) if assessment.diagnosis else None,
    )


def _finding(item: Finding, currency: str) -> dict[str, Any]:
    return _known(
        kind=str(item.kind),
        subject=item.subject[:1024],
        evidence=item.evidence[:1024],
        remedy=item.remedy[:1024],
        workloads=list(item.workloads[:SHOWN]),
        accelerators=item.accelerators,
        perHour=_hourly(item.micros_per_hour, currency),
    )
