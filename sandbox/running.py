"""One started program: its log, its exit status, and how it is ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from sandbox import audit

__all__ = ["KILL_SECONDS", "POLL_SECONDS", "TERM_SECONDS", "Running", "wait_for"]

TERM_SECONDS = 8.0
KILL_SECONDS = 5.0
POLL_SECONDS = 0.05


class Running:
    """One program that a supervisor started."""

    def __init__(self, *, record: audit.Record, popen: subprocess.Popen[bytes]) -> None:
        self.record = record
        self._popen = popen

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def pid(self) -> int:
        return self.record.pid

    @property
    def log(self) -> Path:
        return Path(self.record.log)

    def exit_status(self) -> int | None:
        """The exit status (negative: the signal that ended it), or None while it runs."""
        return self._popen.poll()

    def log_tail(self, lines: int = 15) -> str:
        """The last lines it wrote."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError as error:
            return f"(no log: {error})"
        return "\n".join(text.splitlines()[-lines:])

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal to the program itself, for tests of how a program behaves when it is told to stop."""
        self._popen.send_signal(number)

    def end(self, term_seconds: float = TERM_SECONDS) -> None:
        """Ends the program and whatever it started: SIGTERM to its group, after the deadline SIGKILL."""
        if self._popen.returncode is None:
            # Until it is reaped below its pid, and so its group, cannot become anybody else's.
            self._signal_group(signal.SIGTERM)
            wait_for(self._has_ended, term_seconds)
            self._signal_group(signal.SIGKILL)
            self._popen.wait(timeout=KILL_SECONDS)

    def _has_ended(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def wait_for(condition: Callable[[], bool], seconds: float, interval_seconds: float = POLL_SECONDS) -> bool:
    """Polls until the condition holds; False when the deadline passes first."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval_seconds)
    return True
