"""The metric names that the operator's observer reads, and the server that Prometheus scrapes."""

import logging
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.registry import Collector

__all__ = ["DATA_WAIT", "DEFAULT_PORT", "SCOPE_JOB", "STEPS", "TOKENS", "Exposition", "registry_of", "text_of"]

# prometheus_client adds the counters' suffix _total.
TOKENS = "mfu_training_tokens"
STEPS = "mfu_training_steps"
DATA_WAIT = "mfu_training_data_wait_seconds"
SCOPE_JOB = "job"
DEFAULT_PORT = 9400

_LOG = logging.getLogger("mfu.report")


def registry_of(collector: Collector) -> CollectorRegistry:
    """A registry with this collector and nothing of the process."""
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def text_of(collector: Collector) -> str:
    """What a scrape would get."""
    return generate_latest(registry_of(collector)).decode()


class Exposition:
    """Serves one registry on `address:port` while entered; port 0 takes a free one.

    A port that cannot be had is logged and not raised: training goes on without telemetry rather than not at all.
    """

    def __init__(self, registry: CollectorRegistry, *, port: int, address: str) -> None:
        self._registry = registry
        self._wanted = port
        self._address = address
        self.port: int | None = None

    def __enter__(self) -> Self:
        try:
            server, thread = start_http_server(self._wanted, addr=self._address, registry=self._registry)
        except OSError as error:
            _LOG.warning(
                "training telemetry is not served: %s:%d: %s; give the reporter another port", self._address, self._wanted, error.strerror
            )
            return self
        self._server, self._thread = server, thread
        self.port = server.server_port
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.port is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.port = None
