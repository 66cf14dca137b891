"""The work of the one process that holds the lease: fill the store, watch, reconcile, tick."""

import asyncio
import contextlib
import logging
import time

from mfu.control.admitting import Admitting
from mfu.control.allocation import Allocation
from mfu.control.cluster import Cluster
from mfu.control.configs import ConfigTexts
from mfu.control.connection import Connection
from mfu.control.events import Recorder
from mfu.control.exporter import ControllerMetrics
from mfu.control.filling import fill
from mfu.control.fleet import FleetReporter
from mfu.control.judging import Judging
from mfu.control.marking import Marking
from mfu.control.placing import Placing
from mfu.control.queue import WorkQueue
from mfu.control.reconcile import Reconciler
from mfu.control.resources import Key, Kind
from mfu.control.settings import ControllerSettings
from mfu.control.store import Store
from mfu.control.tenant_reports import TenantReports
from mfu.control.tick import Tick
from mfu.control.view import View
from mfu.control.watch import Watch
from mfu.control.writing import StatusWriter
from mfu.errors import ClusterError
from mfu.observe.port import Metrics

__all__ = ["Leadership"]

_log = logging.getLogger(__name__)

# Everything that a verdict is made of comes first: the first look at a workload must not be a wrong one.
KINDS = (Kind.CLASS, Kind.POLICY, Kind.NAMESPACE, Kind.NODE, Kind.POD, Kind.JOB, Kind.WORKLOAD)
# A watch that was cut off does not tell what was deleted meanwhile; a fresh list does.
FIRST_RESYNC_SECONDS = 10.0
RESYNC_SECONDS = 600.0
FIRST_LOOKS_SECONDS = 15.0
STALLED_TICKS, STALLED_SECONDS = 5, 120.0
SETTLING_SECONDS = 5.0
# A refusal that repeating does not change: RBAC, or an object that the API server does not accept.
REFUSED_SECONDS = 30.0


class Leadership:
    """Everything is made anew for each term: nothing that an earlier term knew may be stale."""

    def __init__(
        self,
        *,
        connection: Connection,
        cluster: Cluster,
        settings: ControllerSettings,
        exporter: ControllerMetrics,
        metrics_port: Metrics | None,
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._store = Store()
        self._queue: WorkQueue[Key] = WorkQueue()
        exporter.queue_length.set_function(lambda: float(len(self._queue)))
        view = View(self._store)
        allocation = Allocation()
        Marking(self._store, allocation, self._queue.add)
        recorder = Recorder(cluster, settings.identity)
        writer = StatusWriter(cluster, self._store, exporter)
        judging = Judging(self._store, view, allocation, ConfigTexts(cluster), settings.levels)
        placing = Placing(view, allocation, settings.levels)
        self._reconciler = Reconciler(
            store=self._store,
            view=view,
            judging=judging,
            placing=placing,
            admitting=Admitting(cluster, self._store, recorder, exporter, placing, settings.max_hold_seconds),
            writer=writer,
            recorder=recorder,
            metrics=exporter,
        )
        self._tick = Tick(
            cluster=cluster,
            store=self._store,
            allocation=allocation,
            judging=judging,
            fleet=FleetReporter(
                cluster=cluster,
                store=self._store,
                view=view,
                allocation=allocation,
                judging=judging,
                writer=writer,
                metrics=exporter,
                clock=time.time,
                prices=settings.prices,
                tenants=TenantReports(cluster) if settings.tenant_reports else None,
            ),
            exporter=exporter,
            metrics_port=metrics_port,
            mark=self._queue.add,
            settled=lambda: self._idle(SETTLING_SECONDS),
            tick_seconds=settings.tick_seconds,
            window_seconds=settings.rate_window_seconds,
        )
        self._watch = Watch(connection, KINDS, self._store.take, settings.identity)

    async def run(self) -> None:
        """Until cancelled. Raises (an exception group) when something that must not end has ended."""
        await fill(self._cluster, self._store, KINDS)
        await self._tick.count_pods()
        _log.info("leads: %d workloads, %d policies", self._store.count(Kind.WORKLOAD), self._store.count(Kind.POLICY))
        self._watch.start()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._settings.writers):
                tasks.create_task(self._write())
            tasks.create_task(self._ticking())
            tasks.create_task(self._resync())
            tasks.create_task(self._watched())

    def fault(self) -> str:
        """What is wrong in one line, empty when the work goes on."""
        silent = time.monotonic() - self._tick.last_seconds
        longest = STALLED_TICKS * self._settings.tick_seconds + STALLED_SECONDS
        return f"no tick has ended for {silent:.0f} s" if silent > longest else ""

    async def stop(self) -> bool:
        """After `run` was cancelled; False: Kopf's thread did not end."""
        return await self._watch.stop()

    async def _watched(self) -> None:
        await self._watch.ended()
        raise RuntimeError("the watch ended by itself")

    async def _ticking(self) -> None:
        # The first tick can only ask about what has been looked at once.
        await self._idle(FIRST_LOOKS_SECONDS)
        await self._tick.run()

    async def _idle(self, seconds: float) -> None:
        """Returns when nothing is due any more, or after that long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._queue.is_idle:
                    await asyncio.sleep(0.05)

    async def _resync(self) -> None:
        await asyncio.sleep(FIRST_RESYNC_SECONDS)
        while True:
            await fill(self._cluster, self._store, KINDS)
            await asyncio.sleep(RESYNC_SECONDS)

    async def _write(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                again = await self._reconciler.reconcile(key)
            except ClusterError as error:
                self._retry(key, error)
            except Exception:  # noqa: BLE001 - one object must not stop the writer of all others
                delay = self._queue.failed(key, REFUSED_SECONDS)
                _log.exception("%s failed and is tried again in %.0f s", key, delay)
            else:
                self._queue.done(key)
                if again is not None:
                    self._queue.add(key, again)

    def _retry(self, key: Key, error: ClusterError) -> None:
        final = error.status in (400, 401, 403, 422)
        delay = self._queue.failed(key, REFUSED_SECONDS if final else error.retry_after_seconds)
        level = logging.DEBUG if error.status == 409 else logging.WARNING
        _log.log(level, "%s: %s; tried again in %.1f s", key, error, delay)
