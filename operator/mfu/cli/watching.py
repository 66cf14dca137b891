"""Looking again and again until Ctrl-C."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["look_every"]


def look_every(seconds: float, look: Callable[[], None]) -> None:
    """Calls `look`, waits, and so on; returns at Ctrl-C.

    Ctrl-C ends the wait at once and a look when it is done; pressed again it ends that too. An event loop that is interrupted while it is
    being made or closed complains on standard error.
    """
    before = signal.getsignal(signal.SIGINT)
    pressed = _Pressed()
    signal.signal(signal.SIGINT, pressed)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            while not pressed.once:
                look()
                with pressed.interrupting():
                    time.sleep(seconds)
    finally:
        signal.signal(signal.SIGINT, before)


class _Pressed:
    """The signal handler: remembers the first Ctrl-C, or raises where it may."""

    def __init__(self) -> None:
        self.once = False
        self._waiting = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.once or self._waiting:
            raise KeyboardInterrupt
        self.once = True

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """While the block runs, the first Ctrl-C interrupts it."""
        self._waiting = True
        try:
            if self.once:
                raise KeyboardInterrupt
            yield
        finally:
            self._waiting = False
