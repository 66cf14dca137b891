"""The tick survives whatever Prometheus, the API and our own code do to it."""

import asyncio
import math
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mfu.control import tick as module
from mfu.control.allocation import Allocation
from mfu.control.configs import ConfigTexts
from mfu.control.exporter import ControllerMetrics
from mfu.control.judging import Judging
from mfu.control.resources import JsonObject, Key, Kind
from mfu.control.store import Store
from mfu.control.tick import Tick
from mfu.control.view import View
from mfu.errors import ClusterError, MetricsError
from mfu.missing import Missing, Reason
from mfu.observe.observation import Observation
from mfu.observe.port import Metrics, Sample
from mfu.place.topology import LevelKeys
from tests.control.conftest import NODES, node, workload

NOW = 1_767_225_600.0
KEY = Key(kind=Kind.WORKLOAD, namespace="team", name="train")


class Cluster:
    """Lists no pods, or fails to."""

    def __init__(self) -> None:
        self.failing = False

    async def objects(self, kind: Kind, *, fields: str = "", selector: str | None = None) -> AsyncIterator[JsonObject]:
        if self.failing:
            raise ClusterError("no answer")
        return
        yield {}

    async def get(self, kind: Kind, namespace: str, name: str) -> JsonObject | None:
        return None


class Report:
    """Stands where the fleet's report is made."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.count = 0

    async def report(self, devices: object) -> None:
        self.count += 1
        if self.failure is not None:
            raise self.failure


class Html:
    """Something that is no Prometheus."""

    def query(self, promql: str) -> tuple[Sample, ...]:
        raise MetricsError("the server answered HTML; is the URL that of a Prometheus?")


class Silent:
    """One that never answers until the test ends."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def query(self, promql: str) -> tuple[Sample, ...]:
        self.ended.wait(30)
        return ()


class World:
    def __init__(self, port: Metrics | None, report: Report | None = None) -> None:
        self.store = Store()
        self.cluster: Any = Cluster()
        self.marked: list[Key] = []
        self.exporter = ControllerMetrics()
        self.allocation = Allocation()
        self.judging = Judging(self.store, View(self.store), self.allocation, ConfigTexts(self.cluster), LevelKeys())
        self.report: Any = report or Report()
        for name in NODES:
            self._add(Kind.NODE, {**node(name)})
        self._add(Kind.WORKLOAD, workload("train", "team"))
        containers = [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": "8"}}}]
        metadata = {"name": "train-0", "namespace": "team", "labels": {"mfu.dev/workload": "train"}}
        pod = {"metadata": metadata, "spec": {"nodeName": NODES[0], "containers": containers}, "status": {"phase": "Running"}}
        self._add(Kind.POD, pod)

        async def settled() -> None:
            return

        self.tick = Tick(
            cluster=self.cluster,
            store=self.store,
            allocation=self.allocation,
            judging=self.judging,
            fleet=self.report,
            exporter=self.exporter,
            metrics_port=port,
            mark=self.marked.append,
            settled=settled,
            tick_seconds=0.01,
            window_seconds=120.0,
            clock=lambda: NOW,
        )

    def _add(self, kind: Kind, body: JsonObject) -> None:
        body["metadata"] |= {"uid": body["metadata"]["name"], "resourceVersion": "1", "generation": 1}
        if kind is Kind.NODE:
            body["status"] = {**body["status"], "conditions": []}
        self.store.apply(kind, body)

    async def once(self) -> None:
        await self.judging.judge(KEY, self.store.all(Kind.WORKLOAD)[KEY], NOW)
        await self.tick.once()

    def value(self, name: str) -> float:
        found = self.exporter.registry.get_sample_value(name)
        return math.nan if found is None else found


def published(world: World) -> Missing:
    found = world.judging.observations[KEY]
    assert not isinstance(found, Observation)
    return found


def test_without_a_prometheus_every_running_workload_is_told_why_it_is_not_observed() -> None:
    world = World(None)
    asyncio.run(world.once())
    assert published(world).reason is Reason.PROMETHEUS_UNAVAILABLE
    assert world.marked == [KEY]
    assert world.value("mfu_operator_prometheus_up") == 0


def test_a_failing_prometheus_is_published_once_and_not_at_every_tick() -> None:
    world = World(Html())

    async def twice() -> None:
        await world.once()
        await world.once()

    asyncio.run(twice())
    assert published(world).reason is Reason.PROMETHEUS_UNAVAILABLE
    assert world.marked == [KEY]
    assert world.value("mfu_operator_queries_total") >= 1


def test_a_prometheus_that_hangs_costs_one_deadline_and_is_not_asked_twice_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_DEADLINE_SECONDS", 0.02)
    monkeypatch.setattr(module, "SLACK_SECONDS", 0.02)
    port = Silent()
    world = World(port)

    async def twice() -> None:
        try:
            await world.once()
            assert "did not answer" in published(world).message
            await world.once()
            assert published(world).reason is Reason.PROMETHEUS_UNAVAILABLE
        finally:
            port.ended.set()

    asyncio.run(twice())
    assert world.report.count == 2


def test_a_workload_whose_pods_are_gone_loses_its_observation() -> None:
    world = World(None)
    asyncio.run(world.once())
    world.store.remove(Key(kind=Kind.POD, namespace="team", name="train-0"))
    asyncio.run(world.once())
    assert KEY not in world.judging.observations


@pytest.mark.parametrize("failure", [ClusterError("conflict", status=409), RuntimeError("a bug")], ids=["API", "our own"])
def test_the_next_tick_comes_whatever_happened_in_the_last(failure: Exception) -> None:
    world = World(None, Report(failure))
    world.cluster.failing = True

    async def run() -> None:
        task = asyncio.create_task(world.tick.run())
        async with asyncio.timeout(10):
            while world.report.count < 3:
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert world.value("mfu_operator_tick_duration_seconds_count") >= 2
