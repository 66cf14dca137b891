"""The FleetReport: what it counts and when it is written."""

import asyncio
import copy
from datetime import UTC, datetime
from typing import Any

from mfu.control.allocation import Allocation
from mfu.control.configs import ConfigTexts
from mfu.control.exporter import ControllerMetrics
from mfu.control.fleet import FleetReporter
from mfu.control.judging import Judging
from mfu.control.marking import Marking
from mfu.control.resources import JsonObject, Key, Kind
from mfu.control.store import Store
from mfu.control.view import View
from mfu.control.writing import StatusWriter
from mfu.missing import Missing, Reason
from mfu.observe.telemetry import DeviceTelemetry, PodKey
from mfu.place.topology import LevelKeys
from tests.control.conftest import NODES, node, workload

NOW = datetime(2026, 1, 1, 12, 30, 42, tzinfo=UTC).timestamp()
KEY = Key(kind=Kind.WORKLOAD, namespace="team", name="train")


class Cluster:
    """Keeps one report."""

    def __init__(self) -> None:
        self.report: JsonObject | None = None
        self.writes = 0

    async def get(self, kind: Kind, namespace: str, name: str) -> JsonObject | None:
        return copy.deepcopy(self.report) if kind is Kind.FLEET else None

    async def create(self, kind: Kind, namespace: str, body: JsonObject) -> JsonObject:
        self.report = copy.deepcopy(body)
        self.report["metadata"] |= {"uid": "u", "resourceVersion": "1", "generation": 1}
        return copy.deepcopy(self.report)

    async def patch(self, kind: Kind, namespace: str, name: str, body: JsonObject, *, subresource: str = "") -> JsonObject:
        assert self.report is not None
        self.writes += 1
        self.report["status"] = {**(self.report.get("status") or {}), **body["status"]}
        self.report["metadata"]["resourceVersion"] = str(1 + self.writes)
        return copy.deepcopy(self.report)


class World:
    def __init__(self) -> None:
        self.cluster: Any = Cluster()
        self.store = Store()
        self.now = NOW
        view = View(self.store)
        self.allocation = Allocation()
        Marking(self.store, self.allocation, lambda key, delay: None)
        self.metrics = ControllerMetrics()
        self.judging = Judging(self.store, view, self.allocation, ConfigTexts(self.cluster), LevelKeys())
        self.reporter = FleetReporter(
            cluster=self.cluster,
            store=self.store,
            view=view,
            allocation=self.allocation,
            judging=self.judging,
            writer=StatusWriter(self.cluster, self.store, self.metrics),
            metrics=self.metrics,
            clock=lambda: self.now,
        )
        for name in NODES:
            self.add(Kind.NODE, node(name))

    def add(self, kind: Kind, body: JsonObject) -> None:
        body = copy.deepcopy(body)
        body["metadata"] |= {"uid": body["metadata"]["name"], "resourceVersion": "1", "generation": 1}
        if kind is Kind.NODE:
            body["status"]["conditions"] = []
        self.store.apply(kind, body)

    def pod(self, name: str, gpus: int, **labels: str) -> None:
        containers = [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}]
        metadata = {"name": name, "namespace": "team", "labels": labels}
        self.add(Kind.POD, {"metadata": metadata, "spec": {"nodeName": NODES[0], "containers": containers}, "status": {"phase": "Running"}})

    def report(self, *devices: DeviceTelemetry) -> Any:
        async def run() -> None:
            for key, body in self.store.all(Kind.WORKLOAD).items():
                await self.judging.judge(key, body, self.now)
            await self.reporter.report(devices)

        asyncio.run(run())
        return self.cluster.report and self.cluster.report.get("status")


def test_declared_and_undeclared_accelerators_are_told_apart() -> None:
    world = World()
    world.add(Kind.WORKLOAD, workload("train", "team"))
    world.pod("train-0", 4, **{"mfu.dev/workload": "train"})
    world.pod("stranger", 2)
    world.pod("orphan", 1, **{"mfu.dev/workload": "nobody"})
    status = world.report()
    assert status["accelerators"] == {"total": 64, "allocated": 7, "declared": 4, "productive": 0}
    assert status["unknown"] == [{"reason": "WarmingUp", "accelerators": 4}]
    assert status["at"] == "2026-01-01T12:30:00Z"


def test_of_undeclared_accelerators_the_hardware_counters_are_told() -> None:
    world = World()
    world.pod("stranger", 1)
    device = DeviceTelemetry(
        uuid="GPU-1",
        node=NODES[0],
        pod=PodKey(namespace="team", pod="stranger"),
        model_name="NVIDIA H100 80GB HBM3",
        tensor_active_ratio=0.25,
        clock_hertz=1.98e9,
    )
    status = world.report(device)
    assert status["mfu"] == {"hardware": "25.0%"}


def test_a_report_that_says_nothing_new_is_not_written_again() -> None:
    world = World()
    world.add(Kind.WORKLOAD, workload("train", "team"))
    world.pod("train-0", 4, **{"mfu.dev/workload": "train"})
    world.report()
    world.now += 600.0
    world.report()
    assert world.cluster.writes == 1
    world.pod("stranger", 2)
    assert world.report()["at"] == "2026-01-01T12:40:00Z"
    assert world.cluster.writes == 2


def test_a_report_that_somebody_deleted_is_made_anew() -> None:
    world = World()
    world.report()
    world.cluster.report = None
    assert world.report()["accelerators"]["total"] == 64


def test_nothing_is_reported_before_every_workload_was_looked_at() -> None:
    world = World()
    world.add(Kind.WORKLOAD, workload("train", "team"))
    asyncio.run(world.reporter.report())
    assert world.cluster.report is None


def test_a_workload_that_does_not_run_holds_nothing() -> None:
    world = World()
    world.add(Kind.WORKLOAD, workload("train", "team"))
    world.judging.observations[KEY] = Missing(reason=Reason.NOT_RUNNING, message="x")
    assert world.report()["accelerators"]["allocated"] == 0
