"""`mfu run webhook`: the HTTPS server for admission reviews, with a store of its own that it only reads the cluster into.

The gate for a bug of ours is open: an exception is logged, and the object is let through with a warning. The reconciler judges it again.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from mfu.control.cluster import Cluster
from mfu.control.configs import ConfigTexts
from mfu.control.connection import Connection
from mfu.control.controller import stop_on_signals
from mfu.control.exporter import WebhookMetrics
from mfu.control.filling import fill
from mfu.control.probes import listen, serve_probes
from mfu.control.resources import JsonObject, Kind
from mfu.control.review import ALLOWED, Answer, Reviewer, unchanged
from mfu.control.settings import WebhookSettings
from mfu.control.store import Store
from mfu.control.view import View
from mfu.control.watch import Watch
from mfu.errors import DataError

__all__ = ["ReviewServer", "run_webhook"]

_log = logging.getLogger(__name__)

KINDS = (Kind.CLASS, Kind.POLICY, Kind.NAMESPACE)
# Kubernetes objects may have 1.5 MiB, and a review holds the old and the new one.
LONGEST_BODY = 4 * 2**20
RELOAD_SECONDS = 5.0
RESYNC_SECONDS = 600.0
REQUEST_SECONDS = 2.0

Review = Callable[[JsonObject], Awaitable[Answer]]


class Certificate:
    """The serving certificate; connections made after its files changed get the new one."""

    def __init__(self, certificate_file: Path, key_file: Path) -> None:
        self._files = (certificate_file, key_file)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._loaded = self._stamps()
        self._load()

    def refresh(self) -> bool:
        """True when new files were taken over; unreadable ones are left for the next time."""
        try:
            stamps = self._stamps()
            if stamps == self._loaded:
                return False
            self._load()
        except DataError as error:
            _log.warning("the old certificate is kept: %s", error)
            return False
        self._loaded = stamps
        _log.info("serves the new certificate in %s", self._files[0])
        return True

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        try:
            return tuple((path.stat().st_mtime_ns, path.stat().st_ino) for path in self._files)
        except OSError as error:
            raise DataError(f"cannot read {error.filename}: {error.strerror}; give --certificate-file and --key-file") from error

    def _load(self) -> None:
        try:
            self.context.load_cert_chain(*self._files)
        except (OSError, ssl.SSLError) as error:
            raise DataError(f"{self._files[0]} and {self._files[1]} are no certificate with its key: {error}") from error


class ReviewServer:
    """The HTTP side. `ready` False: the policies are not known yet, and nothing is turned away."""

    def __init__(self, reviewer: Reviewer, metrics: WebhookMetrics) -> None:
        self._reviewer = reviewer
        self._metrics = metrics
        self.ready = False

    def application(self) -> web.Application:
        application = web.Application(client_max_size=LONGEST_BODY)
        application.router.add_post("/validate-modelworkload", self._answering("ModelWorkload", self._reviewer.workload))
        application.router.add_post("/validate-mfupolicy", self._answering("MFUPolicy", self._reviewer.policy))
        return application

    def _answering(self, kind: str, review: Review) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(http: web.Request) -> web.Response:
            started = time.perf_counter()
            try:
                request = (await http.json())["request"]
                uid = request["uid"]
            except (ValueError, KeyError, TypeError):
                return web.json_response({"message": "the body is no AdmissionReview"}, status=400)
            found = await self._judged(kind, request, review)
            self._metrics.reviews.labels(kind, found.decision).inc()
            self._metrics.duration.observe(time.perf_counter() - started)
            return web.json_response(_response(uid, found))

        return answer

    async def _judged(self, kind: str, request: JsonObject, review: Review) -> Answer:
        if unchanged(request):
            return ALLOWED
        if not self.ready:
            return Answer(allowed=True, warnings=("mfu-operator is starting: the object was not checked, its status will say more",))
        body = request["object"]
        body["metadata"].setdefault("namespace", request.get("namespace") or "")
        try:
            return await review(body)
        except Exception:  # noqa: BLE001 - the gate is open for our own mistakes
            _log.exception("review of %s %s/%s failed", kind, request.get("namespace"), request.get("name"))
            return Answer(
                allowed=True, warnings=("mfu-operator failed to check the object and let it through; see the log of its webhook",)
            )


async def run_webhook(settings: WebhookSettings, connection: Connection, stop: asyncio.Event | None = None) -> int:
    """The process's exit status: 0 after a signal (or `stop`), 1 when it must be started again. MfuError: it cannot start like this."""
    stop = stop or stop_on_signals()
    certificate = Certificate(settings.certificate_file, settings.key_file)
    metrics = WebhookMetrics()
    store = Store()
    view = View(store)
    async with Cluster(connection, request_seconds=REQUEST_SECONDS) as cluster:
        server = ReviewServer(Reviewer(view, ConfigTexts(cluster)), metrics)
        starting = "the policies are not read yet"
        async with serve_probes(
            settings.bind_address, settings.metrics_port, metrics.registry, ready=lambda: "" if server.ready else starting, alive=lambda: ""
        ):
            runner = web.AppRunner(server.application(), access_log=None)
            await runner.setup()
            try:
                site = web.TCPSite(runner, settings.bind_address, settings.port, ssl_context=certificate.context)
                await listen(site, f"{settings.bind_address}:{settings.port}", "--port")
                return await _serve(server, cluster, store, connection, certificate, settings.identity, stop)
            finally:
                await runner.cleanup()


async def _serve(
    server: ReviewServer,
    cluster: Cluster,
    store: Store,
    connection: Connection,
    certificate: Certificate,
    identity: str,
    stop: asyncio.Event,
) -> int:
    watch = Watch(connection, KINDS, store.take, identity)

    async def follow() -> None:
        await fill(cluster, store, KINDS)
        watch.start()
        server.ready = True
        _log.info("reviews with %d policies", store.count(Kind.POLICY))
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            await fill(cluster, store, KINDS)

    async def renew() -> None:
        while True:
            await asyncio.sleep(RELOAD_SECONDS)
            certificate.refresh()

    tasks = {asyncio.create_task(work) for work in (follow(), renew(), watch.ended())}
    stopping = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in done if task is not stopping]
        for task in failed:
            _log.critical("the webhook ends", exc_info=task.exception())
        return 1 if failed else 0
    finally:
        for task in (*tasks, stopping):
            task.cancel()
        await asyncio.gather(*tasks, stopping, return_exceptions=True)
        await watch.stop()


def _response(uid: str, answer: Answer) -> JsonObject:
    response: JsonObject = {"uid": uid, "allowed": answer.allowed}
    if answer.warnings:
        response["warnings"] = list(answer.warnings)
    if not answer.allowed:
        response["status"] = {"code": answer.code, "message": answer.message, "reason": "Invalid" if answer.code == 422 else "Forbidden"}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
