"""The one periodic task: looks at Prometheus once for all workloads and marks those for another look whose figures moved."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from mfu.api.settle import settled_text
from mfu.control.allocation import Allocation
from mfu.control.cluster import Cluster
from mfu.control.exporter import ControllerMetrics
from mfu.control.fleet import FleetReporter
from mfu.control.judging import Judging, RunningPods
from mfu.control.resources import JsonObject, Key, Kind
from mfu.control.store import Store
from mfu.control.telemetry import telemetry_choice
from mfu.errors import ClusterError, IntentError
from mfu.estimate.workload import Workload
from mfu.missing import Missing, Reason
from mfu.observe.observation import Observation
from mfu.observe.port import Metrics
from mfu.observe.telemetry import DeviceTelemetry, Snapshot, TelemetryChoice
from mfu.observe.tick import read_snapshot
from mfu.observe.workload import observe

__all__ = ["Tick", "moved"]

_log = logging.getLogger(__name__)

# Below this a change is noise, and writing it would rewrite every status at every tick.
STEP_RATIO = 0.005
REPUBLISHED_SECONDS = 600.0
LEAST_DEADLINE_SECONDS = 5.0
SLACK_SECONDS = 5.0
BOUND_PODS = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"

Looked = dict[Key, Observation | Missing]


def moved(before: Observation | Missing | None, after: Observation | Missing) -> bool:
    """Whether a new observation is worth publishing."""
    if before is None or isinstance(before, Missing) or isinstance(after, Missing):
        return not (isinstance(before, Missing) and isinstance(after, Missing) and _same(before, after))
    if after.at_seconds - before.at_seconds >= REPUBLISHED_SECONDS:
        return True
    steady = (before.source, before.accelerators, len(before.faults), before.evidence.slowest_node)
    if steady != (after.source, after.accelerators, len(after.faults), after.evidence.slowest_node):
        return True
    return _stepped(before.mfu_ratio, after.mfu_ratio) or _stepped(before.hardware_ratio, after.hardware_ratio)


def _stepped(before: float | Missing, after: float | Missing) -> bool:
    if isinstance(before, Missing) or isinstance(after, Missing):
        return not (isinstance(before, Missing) and isinstance(after, Missing) and _same(before, after))
    return abs(after - before) >= STEP_RATIO


def _same(before: Missing, after: Missing) -> bool:
    """The message says what to do, so another message is news too."""
    return before.reason == after.reason and settled_text(after.message, before.message, loose=True) == before.message


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    workload: Workload
    running: RunningPods
    choice: TelemetryChoice


class Tick:
    """`mark`: puts a key into the queue; `settled`: returns when what is in it has been worked on, or after a while.

    `metrics_port` None: there is no Prometheus to ask.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        store: Store,
        allocation: Allocation,
        judging: Judging,
        fleet: FleetReporter,
        exporter: ControllerMetrics,
        metrics_port: Metrics | None,
        mark: Callable[[Key], None],
        settled: Callable[[], Awaitable[None]],
        tick_seconds: float,
        window_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._allocation = allocation
        self._judging = judging
        self._fleet = fleet
        self._exporter = exporter
        self._metrics_port = metrics_port
        self._mark = mark
        self._settled = settled
        self._tick_seconds = tick_seconds
        self._window_seconds = window_seconds
        self._clock = clock
        self.last_seconds = time.monotonic()
        """When the last tick ended, or this was made."""
        self._pending: asyncio.Task[tuple[Snapshot, Looked]] | None = None

    async def run(self) -> None:
        """For ever. Whatever goes wrong in one tick, the next one comes."""
        while True:
            started = time.monotonic()
            try:
                await self.once()
            except Exception:  # noqa: BLE001 - the next tick is to come whatever happened
                _log.exception("a tick failed; the next one follows in %.0f s", self._tick_seconds)
            self.last_seconds = time.monotonic()
            self._exporter.tick_duration.observe(self.last_seconds - started)
            await asyncio.sleep(max(0.2, self._tick_seconds - (time.monotonic() - started)))

    async def once(self) -> None:
        await self.count_pods()
        devices = await self._observe()
        # The report is about what this tick saw, which the writers take up first.
        await self._settled()
        try:
            await self._fleet.report(devices)
        except ClusterError as error:
            _log.warning("the fleet report was not written: %s", error)
        for key in self._store.all(Kind.POLICY):
            self._mark(key)
        self._exporter.last_tick.set(self._clock())

    async def count_pods(self) -> None:
        """Every bound pod of the cluster, also those of nobody's workload: what they hold is not free."""
        try:
            pods = [pod async for pod in self._cluster.objects(Kind.POD, fields=BOUND_PODS, selector="")]
        except ClusterError as error:
            _log.warning("pods were not counted, the last count stays: %s", error)
            return
        self._allocation.replace_all(pods)

    async def _observe(self) -> Sequence[DeviceTelemetry]:
        subjects = self._subjects()
        published = self._judging.observations
        for key in set(published) - set(subjects):
            del published[key]
            self._judging.tracking.silent(key)
        snapshot, looked = await self._look(subjects)
        self._exporter.queries.inc(snapshot.queries)
        self._exporter.prometheus_up.set(0 if snapshot.problem else 1)
        if snapshot.problem is None:
            self._exporter.last_success.set(snapshot.at_seconds)
        elif self._metrics_port is not None:
            _log.warning("Prometheus: %s", snapshot.problem.message)
        for key, observation in looked.items():
            if self._judging.look(key, observation) or moved(published.get(key), observation):
                published[key] = observation
                self._mark(key)
            elif self._deviates(key):
                self._mark(key)  # whether it lasts long enough is a matter of time alone
        self._judging.tracking.learn(self._clock())
        self._exporter.show_corrections(self._judging.tracking.corrections)
        return snapshot.devices

    def _subjects(self) -> dict[Key, _Subject]:
        subjects = {}
        for key, judged in self._judging.all().items():
            workload = judged.assessment.workload
            running = self._judging.running(key)
            if isinstance(workload, Missing) or not running.keys:
                continue
            subjects[key] = _Subject(workload=workload, running=running, choice=_choice(self._store.get(key)))
        return subjects

    def _deviates(self, key: Key) -> bool:
        judged = self._judging.last(key)
        if judged is None or isinstance(judged.assessment.drift, Missing):
            return False
        return judged.assessment.drift.drifting or judged.assessment.drift.since_seconds is not None

    async def _look(self, subjects: Mapping[Key, _Subject]) -> tuple[Snapshot, Looked]:
        now = self._clock()
        if self._metrics_port is None:
            return self._blind(subjects, now, "no Prometheus is configured; give --prometheus-url")
        if self._pending is not None and not self._pending.done():
            return self._blind(subjects, now, "Prometheus has not answered the last tick's queries yet")
        deadline = max(self._tick_seconds, LEAST_DEADLINE_SECONDS)
        self._pending = asyncio.create_task(asyncio.to_thread(self._ask, self._metrics_port, dict(subjects), now, deadline))
        done, _ = await asyncio.wait([self._pending], timeout=deadline + SLACK_SECONDS)
        if not done:
            return self._blind(subjects, now, f"Prometheus did not answer within {deadline:.0f} s")
        return self._pending.result()

    def _ask(self, port: Metrics, subjects: Mapping[Key, _Subject], now: float, deadline: float) -> tuple[Snapshot, Looked]:
        """In a thread: the HTTP client blocks, and a thousand workloads take a while."""
        counters = {each.choice.training for each in subjects.values() if each.choice.training is not None}
        snapshot = read_snapshot(port, now=now, window_seconds=self._window_seconds, training_counters=counters, deadline_seconds=deadline)
        return snapshot, {key: _observed(key, subject, snapshot) for key, subject in subjects.items()}

    def _blind(self, subjects: Mapping[Key, _Subject], now: float, message: str) -> tuple[Snapshot, Looked]:
        problem = Missing(reason=Reason.PROMETHEUS_UNAVAILABLE, message=message)
        return Snapshot(at_seconds=now, problem=problem), dict.fromkeys(subjects, problem)


def _observed(key: Key, subject: _Subject, snapshot: Snapshot) -> Observation | Missing:
    try:
        return observe(
            subject.workload,
            subject.running.keys,
            snapshot,
            choice=subject.choice,
            accelerators=subject.running.accelerators or None,
            running_since_seconds=subject.running.since_seconds,
        )
    except Exception as error:  # noqa: BLE001 - one workload must not blind the others
        _log.exception("cannot observe %s", key)
        return Missing(
            reason=Reason.TELEMETRY_UNSUPPORTED, message=f"the operator failed on this workload's telemetry ({error}); see its log"
        )


def _choice(body: JsonObject | None) -> TelemetryChoice:
    try:
        return telemetry_choice((body or {}).get("spec") or {})
    except IntentError:
        return TelemetryChoice()  # validation tells the tenant; automatic detection does no harm meanwhile
