"""Free ports on loopback."""

from __future__ import annotations

import contextlib
import random
import socket

from sandbox.errors import SandboxError

__all__ = ["LOOPBACK", "free_ports"]

LOOPBACK = "127.0.0.1"

# Below Linux's range for outgoing connections (32768 and up): the control plane opens hundreds of those between the moment a port
# is found free and the moment its server binds it.
FIRST, LAST = 20000, 32000


def free_ports(count: int) -> list[int]:
    """Different ports that nothing listens on now, chosen at random so that runs side by side rarely meet."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        for port in random.sample(range(FIRST, LAST), LAST - FIRST):
            probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            with contextlib.suppress(OSError):
                probe.bind((LOOPBACK, port))
                ports.append(port)
            if len(ports) == count:
                return ports
    raise SandboxError(f"no {count} free ports between {FIRST} and {LAST} on {LOOPBACK}")
