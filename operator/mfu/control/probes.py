"""The plain HTTP port of a process, /metrics, /healthz and /readyz, and how any port of ours is opened."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from mfu.errors import ClusterError

__all__ = ["listen", "serve_probes"]


async def listen(site: web.TCPSite, place: str, option: str) -> None:
    """Opens the port. Raises ClusterError that names the option by which another one is chosen."""
    try:
        await site.start()
    except OSError as error:
        raise ClusterError(f"cannot listen on {place} ({error.strerror or error}); choose another address or {option}") from error


@asynccontextmanager
async def serve_probes(
    address: str, port: int, registry: CollectorRegistry, ready: Callable[[], str], alive: Callable[[], str]
) -> AsyncIterator[int]:
    """Serves until left and yields the port (useful where 0 asked for a free one).

    `ready` and `alive` return what is wrong in one line, or nothing when all is well. The probes share the loop with the work: a loop that
    hangs does not answer, and that is the point.
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def probe(ask: Callable[[], str]) -> Callable[[web.Request], object]:
        async def answer(_: web.Request) -> web.Response:
            wrong = ask()
            return web.Response(status=503 if wrong else 200, text=(wrong or "ok") + "\n")

        return answer

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    application.router.add_get("/healthz", probe(alive))  # type: ignore[arg-type]  # aiohttp's Handler alias is not a callable protocol
    application.router.add_get("/readyz", probe(ready))  # type: ignore[arg-type]  # likewise
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await listen(web.TCPSite(runner, address, port), f"{address}:{port}", "--metrics-port")
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
