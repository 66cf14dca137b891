"""The plain HTTP port of a process."""

import asyncio
import socket

import pytest
from prometheus_client import CollectorRegistry

from mfu.control.probes import serve_probes
from mfu.errors import ClusterError


def test_a_port_that_is_taken_is_one_line_that_names_the_option() -> None:
    async def serve(port: int) -> None:
        async with serve_probes("127.0.0.1", port, CollectorRegistry(), ready=lambda: "", alive=lambda: ""):
            pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ClusterError, match=rf"cannot listen on 127\.0\.0\.1:{port} .*--metrics-port"):
            asyncio.run(serve(port))
