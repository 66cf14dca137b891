"""`mfu run controller`: a candidate that works while it holds the lease."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Coroutine
from typing import Any

from mfu.control.cluster import Cluster
from mfu.control.connection import Connection
from mfu.control.exporter import ControllerMetrics
from mfu.control.leader import Elector, LeaseObject, Timing
from mfu.control.leadership import Leadership
from mfu.control.probes import serve_probes
from mfu.control.settings import ControllerSettings
from mfu.observe.port import Metrics
from mfu.observe.prometheus import PrometheusMetrics

__all__ = ["run_controller", "stop_on_signals"]

_log = logging.getLogger(__name__)

# After a lost lease: less than what is left between the renew deadline and the moment when another may take over.
STEP_DOWN_SECONDS = 4.0
FAILED = 1


class _Controller:
    def __init__(self, settings: ControllerSettings, connection: Connection, cluster: Cluster, port: Metrics | None) -> None:
        self._settings = settings
        self._connection = connection
        self._cluster = cluster
        self._port = port
        self.metrics = ControllerMetrics()
        self._term: Leadership | None = None
        self._elector = Elector(
            LeaseObject(cluster=cluster, namespace=settings.lease_namespace, name=settings.lease_name),
            settings.identity,
            Timing(lease_seconds=settings.lease_seconds),
            time.monotonic,
        )

    def fault(self) -> str:
        """A leader whose work stands still is not alive; the kubelet then starts it again."""
        return self._term.fault() if self._term is not None else ""

    async def run(self, stop: asyncio.Event) -> int:
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                if not await _before(stopping, self._elector.acquire()):
                    break
                if not await self._lead(stopping):
                    return FAILED
        finally:
            stopping.cancel()
            await self._elector.release()
        return 0

    async def _lead(self, stopping: asyncio.Task[bool]) -> bool:
        """One term; False when the work failed and the process has to end."""
        leadership = Leadership(
            connection=self._connection,
            cluster=self._cluster,
            settings=self._settings,
            exporter=self.metrics,
            metrics_port=self._port,
        )
        self._term = leadership
        self.metrics.leader.set(1)
        working = asyncio.create_task(leadership.run())
        holding = asyncio.create_task(self._elector.hold())
        try:
            await asyncio.wait({working, holding, stopping}, return_when=asyncio.FIRST_COMPLETED)
            failure = working.exception() if working.done() else None
        finally:
            self._term = None
            self.metrics.leader.set(0)
            await self._step_down(leadership, working, holding)
            self.metrics.forget_all()
        if failure is not None:
            _log.critical("the controller ends: %s", _causes(failure), exc_info=failure)
        return failure is None

    async def _step_down(self, leadership: Leadership, *tasks: asyncio.Task[None]) -> None:
        """Nothing may be written after this. Where that cannot be had in time, the end of the process is the only sure way."""
        for task in tasks:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=STEP_DOWN_SECONDS)
        if left or not await leadership.stop():
            _log.critical("the work did not stop in time; the process ends")
            logging.shutdown()
            os._exit(FAILED)


async def run_controller(settings: ControllerSettings, connection: Connection, stop: asyncio.Event | None = None) -> int:
    """The process's exit status: 0 after a signal (or `stop`), 1 when it must be started again. MfuError: it cannot start like this."""
    stop = stop or stop_on_signals()
    port = _prometheus(settings)
    async with Cluster(connection) as cluster:
        controller = _Controller(settings, connection, cluster, port)
        probes = serve_probes(
            settings.bind_address, settings.metrics_port, controller.metrics.registry, ready=lambda: "", alive=controller.fault
        )
        async with probes:
            return await controller.run(stop)


def stop_on_signals() -> asyncio.Event:
    """Set by SIGTERM and SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    return stop


def _prometheus(settings: ControllerSettings) -> Metrics | None:
    if not settings.prometheus_url:
        _log.warning("no --prometheus-url: nothing is observed")
        return None
    return PrometheusMetrics(
        settings.prometheus_url,
        timeout_seconds=settings.query_timeout_seconds,
        token_file=settings.prometheus_token_file,
        ca_file=settings.prometheus_ca_file,
        headers=dict(settings.prometheus_headers),
    )


async def _before(stopping: asyncio.Task[bool], work: Coroutine[Any, Any, None]) -> bool:
    """Waits for the work; False when stopping came first."""
    task = asyncio.create_task(work)
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
        return True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return False


def _causes(failure: BaseException) -> str:
    if isinstance(failure, BaseExceptionGroup):
        return "; ".join(_causes(each) for each in failure.exceptions)
    return f"{type(failure).__name__}: {failure}"
