"""Kopf as the shell: it logs in, lists and watches with reconnection, and hands every event to our own loop; nothing else.

Only `on.event` handlers are registered: they leave no annotation and no finalizer on any object, and starting takes time linear in the
number of objects.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

import kopf

from mfu.control.connection import Connection
from mfu.control.resources import JsonObject, Kind, resource_of

__all__ = ["Sink", "Watch"]

_log = logging.getLogger(__name__)

Sink = Callable[[Kind, str, JsonObject], None]
"""Takes the kind, the event type ("ADDED", "MODIFIED", "DELETED", "" for the initial list) and the object."""

STOP_SECONDS = 5.0


class Watch:
    """A Kopf operator in a thread and event loop of its own: when it stops, Kopf cancels every task of the loop it runs in."""

    def __init__(self, connection: Connection, kinds: Iterable[Kind], sink: Sink, identity: str) -> None:
        self._connection = connection
        self._kinds = tuple(kinds)
        self._sink = sink
        self._identity = identity
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def ended(self) -> None:
        """Waits until Kopf has ended by itself or by `stop`; raises what it died of."""
        await asyncio.shield(self._ended)

    async def stop(self) -> bool:
        """Asks Kopf to end and waits a few seconds; False: it still runs and only the end of the process is sure to stop it."""
        self._stop.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, STOP_SECONDS)
        return not self._thread.is_alive()

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            asyncio.run(
                kopf.operator(
                    registry=self._registry(),
                    settings=_settings(self._kinds, self._identity),
                    clusterwide=True,
                    standalone=True,
                    stop_flag=self._stop,
                )
            )
        except BaseException as error:  # noqa: BLE001 - handed to the owner, who ends the process
            failure = error
        self._loop.call_soon_threadsafe(self._report, failure)

    def _report(self, failure: BaseException | None) -> None:
        if self._ended.done():
            return
        if failure is not None:
            self._ended.set_exception(RuntimeError(f"the watch ended: {failure!r}"))
            self._ended.exception()  # retrieved, so that nobody waiting is no warning
        else:
            self._ended.set_result(None)

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        async def login(**_: Any) -> kopf.ConnectionInfo:
            return await asyncio.to_thread(_credentials, self._connection)

        kopf.on.login(registry=registry, id="login")(login)
        for kind in self._kinds:
            resource = resource_of(kind)
            kopf.on.event(resource.group, resource.version, resource.plural, registry=registry, id=f"watch-{kind}")(self._handler(kind))
        return registry

    def _handler(self, kind: Kind) -> Callable[..., Any]:
        async def handle(event: Any, **_: Any) -> None:
            self._loop.call_soon_threadsafe(self._sink, kind, event["type"] or "", event["object"])

        return handle


def _credentials(connection: Connection) -> kopf.ConnectionInfo:
    return kopf.ConnectionInfo(
        server=connection.server,
        ca_path=connection.authority_file,
        insecure=not connection.verify,
        token=connection.token() or None,
        certificate_path=connection.certificate_file,
        private_key_path=connection.key_file,
    )


def _settings(kinds: Iterable[Kind], identity: str) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.posting.reporting_component = "mfu-operator"
    settings.posting.reporting_instance = identity
    # Idle workers keep their slot: with a limit, a long idle time would throttle everything.
    settings.queueing.worker_limit = 64
    settings.queueing.idle_timeout = 0.05
    settings.watching.chunk_size = 500
    settings.watching.initial_streaming = False
    settings.networking.request_timeout = 30
    settings.scanning.disabled = True
    settings.persistence.finalizer = "mfu.dev/operator"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="mfu.dev")
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix="mfu.dev", key="last-handled")
    for kind in kinds:
        resource = resource_of(kind)
        if resource.selector:
            settings.watching.label_selectors[resource.api_version, resource.plural] = resource.selector
    return settings
