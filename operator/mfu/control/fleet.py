"""The roll-up over all accelerators: gathers what the store knows, and writes the one FleetReport when it changed."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mfu.api.conditions import Claim, conditions
from mfu.api.figures import instant, money, percent
from mfu.api.settle import settled
from mfu.control.allocation import Allocation
from mfu.control.cluster import Cluster
from mfu.control.exporter import ControllerMetrics
from mfu.control.judging import Judged, Judging
from mfu.control.resources import JsonObject, Key, Kind, resource_of
from mfu.control.store import Store
from mfu.control.view import View
from mfu.control.writing import StatusWriter
from mfu.errors import UnknownName
from mfu.hardware.catalog import accelerator
from mfu.judge.assessment import Assessment
from mfu.judge.fleet import Fleet, Group, Loss, Member, Undeclared
from mfu.judge.rollup import roll_up
from mfu.missing import Missing, Reason
from mfu.observe.devices import hardware_ratio
from mfu.observe.telemetry import DeviceTelemetry, PodKey

__all__ = ["FleetReporter", "fleet_status"]

_log = logging.getLogger(__name__)

KEY = Key(kind=Kind.FLEET, name="fleet")
SHOWN = 10


class FleetReporter:
    def __init__(
        self,
        *,
        cluster: Cluster,
        store: Store,
        view: View,
        allocation: Allocation,
        judging: Judging,
        writer: StatusWriter,
        metrics: ControllerMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._view = view
        self._allocation = allocation
        self._judging = judging
        self._writer = writer
        self._metrics = metrics
        self._clock = clock

    async def report(self, devices: Sequence[DeviceTelemetry] = ()) -> None:
        """`devices`: what the last tick saw of every device. ClusterError when the report could not be written."""
        if not self._judging.is_complete:
            return
        judged = self._judging.all()
        capacity = self._capacity()
        declared: Counter[str] = Counter()
        members = []
        for key, each in sorted(judged.items()):
            member = _member(key, each)
            if member is not None:
                members.append(member)
                declared[member.accelerator_class] += member.accelerators
        undeclared = self._undeclared(judged, devices)
        fleet = roll_up(members, capacity=capacity, undeclared=undeclared, limit=SHOWN)
        allocated = declared + Counter(dict.fromkeys(capacity, 0))
        for other in undeclared:
            allocated[other.accelerator_class] += other.accelerators
        states = {
            name: {"total": total, "allocated": allocated[name], "declared": declared[name]} for name, total in sorted(capacity.items())
        }
        self._metrics.show_fleet(fleet, states)
        await self._write(fleet, judged)

    def _capacity(self) -> dict[str, int]:
        """Accelerators of all nodes by class; a partition is a class of its own."""
        capacity: Counter[str] = Counter()
        for key, body in self._store.all(Kind.NODE).items():
            devices = self._view.devices(key.name)
            if isinstance(devices, Missing):
                continue
            allocatable = str(body["status"]["allocatable"].get(devices.resource) or "0")
            if allocatable.isdecimal() and int(allocatable):
                capacity[devices.unit] += int(allocatable)
            for part in devices.slices:
                capacity[f"{devices.accelerator}/{part.profile}"] += part.count
        return dict(capacity)

    def _undeclared(self, judged: Mapping[Key, Judged], devices: Sequence[DeviceTelemetry]) -> list[Undeclared]:
        """Accelerators that pods hold without a ModelWorkload that speaks for them; only hardware counters know what they do."""
        held: Counter[tuple[str, str]] = Counter()
        place: dict[PodKey, tuple[str, str]] = {}
        for pod, holding in self._allocation.by_pod().items():
            if holding.workload is not None and holding.workload in judged:
                continue
            found = self._view.devices(holding.node)
            line = (holding.namespace, "unknown" if isinstance(found, Missing) else found.unit)
            held[line] += sum(holding.devices.values())
            place[PodKey(namespace=pod.namespace, pod=pod.name)] = line
        seen: dict[tuple[str, str], list[DeviceTelemetry]] = {}
        for device in devices:
            if device.pod is not None and device.pod in place:
                seen.setdefault(place[device.pod], []).append(device)
        return [
            Undeclared(
                namespace=namespace,
                accelerator_class=name,
                accelerators=count,
                hardware_ratio=self._hardware_ratio(name, seen.get((namespace, name), [])),
            )
            for (namespace, name), count in sorted(held.items())
        ]

    def _hardware_ratio(self, name: str, devices: Sequence[DeviceTelemetry]) -> float | Missing:
        try:
            return hardware_ratio(devices, accelerator(name, self._view.classes()))
        except UnknownName as error:
            return Missing(reason=Reason.UNKNOWN_ACCELERATOR, message=str(error))

    async def _write(self, fleet: Fleet, judged: Mapping[Key, Judged]) -> None:
        body = await self._cluster.get(Kind.FLEET, "", KEY.name)
        if body is None:
            resource = resource_of(Kind.FLEET)
            empty = {"apiVersion": resource.api_version, "kind": Kind.FLEET.value, "metadata": {"name": KEY.name}, "spec": {}}
            body = await self._cluster.create(Kind.FLEET, "", empty)
        stored = body.get("status") or {}
        wanted = fleet_status(fleet, judged, body, datetime.fromtimestamp(self._clock(), UTC))
        # Written whole or not at all: figures of different ticks side by side would not add up.
        if {**settled(wanted, stored), "at": ""} != {**stored, "at": ""}:
            await self._writer.write(KEY, body, wanted)


def fleet_status(fleet: Fleet, judged: Mapping[Key, Judged], body: JsonObject, now: datetime) -> dict[str, Any]:
    """What is not known is left out. `at` is cut to the minute."""
    generation = int(body["metadata"].get("generation") or 0)
    claim = Claim(type="Ready", status=True, reason="Reported", message="rolled up over all accelerators of the cluster")
    status = {
        "summary": fleet.summary,
        "at": instant(now.replace(second=0)),
        "accelerators": {
            "total": fleet.accelerators.total,
            "allocated": fleet.accelerators.allocated,
            "declared": fleet.accelerators.declared,
            "productive": round(fleet.accelerators.productive),
        },
        "mfu": _known(expected=_ratio(fleet.expected_ratio), observed=_ratio(fleet.observed_ratio), hardware=_ratio(fleet.hardware_ratio)),
        "gapPerHour": _dollars(fleet.gap_dollars_per_hour),
        "costPerHour": _dollars(fleet.cost_dollars_per_hour),
        "byClass": [_group(group, group.accelerators.total) for group in fleet.by_class[:SHOWN]],
        "byTenant": [_group(group, group.accelerators.allocated) for group in fleet.by_tenant[:SHOWN]],
        "byModel": [_group(group, group.accelerators.declared) for group in fleet.by_model[:SHOWN]],
        "worst": [
            _loss(loss, judged[key].assessment)
            for loss in fleet.worst[:SHOWN]
            if (key := Key(kind=Kind.WORKLOAD, namespace=loss.namespace, name=loss.name)) in judged
        ],
        "unknown": [{"reason": str(item.reason), "accelerators": item.accelerators} for item in fleet.unknown],
        "observedGeneration": generation,
        "conditions": conditions([claim], (body.get("status") or {}).get("conditions"), generation, now),
    }
    return _known(**status)


def _member(key: Key, judged: Judged) -> Member | None:
    """Only what holds accelerators now counts: intent that does not run costs nothing."""
    if judged.running.accelerators == 0:
        return None
    workload = judged.assessment.workload
    name, family = judged.detected_class or "unknown", "unknown"
    if not isinstance(workload, Missing):
        name, family = workload.fabric.accelerator.name, workload.architecture.family
    return Member(
        namespace=key.namespace,
        name=key.name,
        assessment=judged.assessment,
        accelerators=judged.running.accelerators,
        accelerator_class=name,
        family=family,
    )


def _known(**figures: Any) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if value is not None and value != {} and value != []}


def _ratio(value: float | Missing | None) -> str | None:
    return None if value is None or isinstance(value, Missing) else percent(value)


def _dollars(value: float | Missing | None) -> str | None:
    return None if value is None or isinstance(value, Missing) else money(value)


def _group(group: Group, accelerators: int) -> dict[str, Any]:
    return _known(
        name=group.name,
        accelerators=accelerators,
        expected=_ratio(group.expected_ratio),
        observed=_ratio(group.observed_ratio),
        gapPerHour=_dollars(group.gap_dollars_per_hour),
        costPerHour=_dollars(group.cost_dollars_per_hour),
    )


def _loss(loss: Loss, assessment: Assessment) -> dict[str, Any]:
    estimate, observation = assessment.estimate, assessment.observation
    return _known(
        namespace=loss.namespace,
        name=loss.name,
        expected=None if isinstance(estimate, Missing) else percent(estimate.mfu_ratio),
        observed=None if isinstance(observation, Missing) else _ratio(observation.mfu_ratio),
        gapPerHour=_dollars(loss.gap_dollars_per_hour),
        cause=str(assessment.diagnosis[0].cause) if assessment.diagnosis else None,
    )
