"""The roll-up over all accelerators: gathers what the store knows, and writes the FleetReport and the tenants' reports."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction

from mfu.api.settle import settled
from mfu.control.allocation import Allocation
from mfu.control.cluster import Cluster
from mfu.control.exporter import ControllerMetrics
from mfu.control.fleet_status import fleet_status
from mfu.control.judging import Judged, Judging
from mfu.control.partitions import partitioned
from mfu.control.resources import JsonObject, Key, Kind, resource_of
from mfu.control.store import Store
from mfu.control.tenant_reports import TenantReports
from mfu.control.view import View
from mfu.control.writing import StatusWriter
from mfu.errors import UnknownName
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.catalog import accelerator
from mfu.judge.fleet import Fleet, Member, NodeShare, Undeclared
from mfu.judge.fragmentation import Fragmentation, fragmentation
from mfu.judge.fragmentation_slices import device_share
from mfu.judge.prices import PriceList, Quote
from mfu.judge.rollup import roll_up
from mfu.judge.systemic import findings
from mfu.judge.systemic_finding import Finding
from mfu.missing import Missing, Reason
from mfu.observe.devices import hardware_ratio
from mfu.observe.telemetry import DeviceTelemetry, PodKey

__all__ = ["FleetReporter"]

_log = logging.getLogger(__name__)

KEY = Key(kind=Kind.FLEET, name="fleet")
SHOWN = 10


class FleetReporter:
    """`prices`: what the provider says beyond the classes' list prices. `tenants` None: no tenant gets a report of its own."""

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
        prices: PriceList | None = None,
        tenants: TenantReports | None = None,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._view = view
        self._allocation = allocation
        self._judging = judging
        self._writer = writer
        self._metrics = metrics
        self._clock = clock
        self._prices = prices or PriceList()
        self._tenants = tenants

    async def report(self, devices: Sequence[DeviceTelemetry] = ()) -> None:
        """`devices`: what the last tick saw of every device. ClusterError when a report could not be written."""
        if not self._judging.is_complete:
            return
        judged = self._judging.all()
        capacity, by_node = self._capacity()
        members = self._members(judged)
        undeclared = self._undeclared(judged, devices)
        shares = {name: self._share(name) for name in {*capacity, *(member.accelerator_class for member in members)}}
        fleet = roll_up(
            members,
            capacity=capacity,
            undeclared=undeclared,
            limit=SHOWN,
            node_capacity=by_node,
            class_quotes={name: self._quote(name, "") for name in capacity},
            shares=shares,
        )
        # Pods that wait for an instance say its profile, not its class: nothing is called short by guessing.
        stranded = fragmentation(partitioned(self._store, self._view, self._allocation, self._prices), {})
        found = findings(members, fragmentation=stranded, limit=SHOWN)
        self._show(fleet, capacity, members, undeclared, stranded, found)
        now = datetime.fromtimestamp(self._clock(), UTC)
        await self._write(fleet, judged, found, now)
        if self._tenants is not None:
            lines = {
                name: roll_up(ours, capacity={}, undeclared=bare, limit=SHOWN)
                for name, (ours, bare) in _tenants(members, undeclared).items()
            }
            await self._tenants.write(lines, judged, now)

    def _show(
        self,
        fleet: Fleet,
        capacity: Mapping[str, int],
        members: Sequence[Member],
        undeclared: Sequence[Undeclared],
        stranded: Fragmentation,
        found: Sequence[Finding],
    ) -> None:
        declared: Counter[str] = Counter()
        for member in members:
            declared[member.accelerator_class] += member.accelerators
        allocated = Counter(declared)
        for other in undeclared:
            allocated[other.accelerator_class] += other.accelerators
        states = {
            name: {"total": total, "allocated": allocated[name], "declared": declared[name]} for name, total in sorted(capacity.items())
        }
        self._metrics.show_fleet(fleet, states, fragmentation=stranded, findings=found)

    def _members(self, judged: Mapping[Key, Judged]) -> list[Member]:
        """Only what holds accelerators now counts: intent that does not run costs nothing."""
        nodes: dict[Key, Counter[str]] = {}
        for holding in self._allocation.holdings():
            if holding.workload is not None:
                nodes.setdefault(holding.workload, Counter())[holding.node] += sum(holding.devices.values())
        members = []
        for key, each in sorted(judged.items()):
            if each.running.accelerators == 0:
                continue
            workload = each.assessment.workload
            name, family = each.detected_class or "unknown", "unknown"
            list_price = None
            if not isinstance(workload, Missing):
                name, family = workload.fabric.accelerator.name, workload.architecture.family
                list_price = workload.fabric.accelerator.price_per_hour
            share = self._share(name)
            members.append(
                Member(
                    namespace=key.namespace,
                    name=key.name,
                    assessment=each.assessment,
                    accelerators=each.running.accelerators,
                    accelerator_class=name,
                    family=family,
                    holdings=_shares(nodes.get(key, Counter()), each.running.accelerators),
                    share=share,
                    quote=self._prices.quote(name, key.namespace, default_price=list_price, share=share),
                )
            )
        return members

    def _capacity(self) -> tuple[dict[str, int], dict[str, int]]:
        """Accelerators of all nodes, by class and by node; a partition is a class of its own."""
        capacity: Counter[str] = Counter()
        by_node: Counter[str] = Counter()
        for key, body in self._store.all(Kind.NODE).items():
            devices = self._view.devices(key.name)
            if isinstance(devices, Missing):
                continue
            allocatable = str(body["status"]["allocatable"].get(devices.resource) or "0")
            if allocatable.isdecimal() and int(allocatable):
                capacity[devices.unit] += int(allocatable)
                by_node[key.name] += int(allocatable)
            for part in devices.slices:
                capacity[f"{devices.accelerator}/{part.profile}"] += part.count
                by_node[key.name] += part.count
        return dict(capacity), dict(by_node)

    def _undeclared(self, judged: Mapping[Key, Judged], devices: Sequence[DeviceTelemetry]) -> list[Undeclared]:
        """Accelerators that pods hold without a ModelWorkload that speaks for them; only hardware counters know what they do."""
        held: dict[tuple[str, str], Counter[str]] = {}
        place: dict[PodKey, tuple[str, str]] = {}
        for pod, holding in self._allocation.by_pod().items():
            if holding.workload is not None and holding.workload in judged:
                continue
            found = self._view.devices(holding.node)
            line = (holding.namespace, "unknown" if isinstance(found, Missing) else found.unit)
            held.setdefault(line, Counter())[holding.node] += sum(holding.devices.values())
            place[PodKey(namespace=pod.namespace, pod=pod.name)] = line
        seen: dict[tuple[str, str], list[DeviceTelemetry]] = {}
        for device in devices:
            if device.pod is not None and device.pod in place:
                seen.setdefault(place[device.pod], []).append(device)
        return [
            Undeclared(
                namespace=namespace,
                accelerator_class=name,
                accelerators=nodes.total(),
                hardware_ratio=self._hardware_ratio(name, seen.get((namespace, name), [])),
                busy_ratio=_busy_ratio(seen.get((namespace, name), [])),
                holdings=_shares(nodes, nodes.total()),
                share=self._share(name),
                quote=self._quote(name, namespace),
            )
            for (namespace, name), nodes in sorted(held.items())
        ]

    def _quote(self, name: str, tenant: str) -> Quote:
        known = self._accelerator(name)
        price = None if known is None else known.price_per_hour
        return self._prices.quote(name, tenant, default_price=price, share=self._share(name))

    def _share(self, name: str) -> Fraction:
        return device_share(name, self._accelerator(name.partition("/")[0]))

    def _accelerator(self, name: str) -> Accelerator | None:
        try:
            return accelerator(name, self._view.classes())
        except UnknownName:
            return None

    def _hardware_ratio(self, name: str, devices: Sequence[DeviceTelemetry]) -> float | Missing:
        known = self._accelerator(name)
        if known is None:
            return Missing(reason=Reason.UNKNOWN_ACCELERATOR, message=f"{name} is no known accelerator class")
        return hardware_ratio(devices, known)

    async def _write(self, fleet: Fleet, judged: Mapping[Key, Judged], found: Sequence[Finding], now: datetime) -> None:
        body = await self._cluster.get(Kind.FLEET, "", KEY.name)
        if body is None:
            resource = resource_of(Kind.FLEET)
            empty: JsonObject = {"apiVersion": resource.api_version, "kind": Kind.FLEET.value, "metadata": {"name": KEY.name}, "spec": {}}
            body = await self._cluster.create(Kind.FLEET, "", empty)
        stored = body.get("status") or {}
        wanted = fleet_status(fleet, judged, body, now, findings=found)
        # Written whole or not at all: figures of different ticks side by side would not add up.
        if {**settled(wanted, stored), "at": ""} != {**stored, "at": ""}:
            await self._writer.write(KEY, body, wanted)


def _tenants(members: Sequence[Member], undeclared: Sequence[Undeclared]) -> dict[str, tuple[list[Member], list[Undeclared]]]:
    found: dict[str, tuple[list[Member], list[Undeclared]]] = {}
    for member in members:
        found.setdefault(member.namespace, ([], []))[0].append(member)
    for line in undeclared:
        found.setdefault(line.namespace, ([], []))[1].append(line)
    return found


def _shares(nodes: Mapping[str, int], accelerators: int) -> tuple[NodeShare, ...]:
    """Empty where the pods that are known do not hold what is counted: shares that do not add up would be worse than none."""
    if sum(nodes.values()) != accelerators:
        return ()
    return tuple(NodeShare(node=node, accelerators=count) for node, count in sorted(nodes.items()))


def _busy_ratio(devices: Sequence[DeviceTelemetry]) -> float | Missing:
    known = [device.busy_ratio for device in devices if device.busy_ratio is not None]
    if not known:
        return Missing(reason=Reason.TELEMETRY_MISSING, message="no device exporter reports how busy these devices are")
    return sum(known) / len(known)
