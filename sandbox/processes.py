"""Starts programs and makes sure that every one of them ends.

Each start is written to `processes.json` in the state folder before anything waits for it, so that what a kept (or badly ended)
run left behind can be ended later, by somebody else, without ever ending a stranger's process.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Self

from sandbox import audit
from sandbox.errors import SandboxError
from sandbox.running import KILL_SECONDS, POLL_SECONDS, TERM_SECONDS, Running, wait_for

__all__ = ["Running", "Supervisor", "stop_recorded"]

PR_SET_PDEATHSIG = 1
# Also marks a folder as one that may be cleared.
LOCK = "sandbox.lock"
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_libc = ctypes.CDLL(None, use_errno=True)


class Supervisor:
    """Starts programs with logs and records under `state_dir`; as a context manager it ends all of them, last started first.

    Entering clears the folder of what an earlier run left there, and raises SandboxError when that run still uses it or when the
    folder holds anything else.

    Programs die with this process whatever happens to it, unless `keep` is true: then they outlive it, and leaving the `with`
    block without an exception leaves them running for `stop_recorded`. An exception, Ctrl-C, SIGTERM or SIGHUP ends them in
    either case.
    """

    def __init__(self, state_dir: Path, *, keep: bool = False) -> None:
        self.state_dir = state_dir.resolve()
        self.keep = keep
        self._running: list[Running] = []
        self._lock: IO[str] | None = None
        self._handlers: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> Self:
        self._claim()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                self._handlers[number] = signal.signal(number, _interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is not None or not self.keep:
                self.end_all()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            if self._lock is not None:
                self._lock.close()

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Running:
        """Starts a program in a session of its own, with standard output and error in `logs/<name>.log` of the state folder.

        `environment` replaces the whole environment; None inherits it. Call it from the main thread: Linux ties "dies with its
        parent" to the thread that started it.
        """
        if not self.keep and threading.current_thread() is not threading.main_thread():
            raise SandboxError(f"{name}: start programs from the main thread, they would die with any other")
        argv = [str(part) for part in command]
        log = self.state_dir / "logs" / f"{name}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as output:
            try:
                popen = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=None if environment is None else dict(environment),
                    cwd=cwd,
                    start_new_session=True,
                    # Between fork and exec it makes two system calls and takes no lock, so other threads cannot block it.
                    preexec_fn=None if self.keep else _dies_with(os.getpid()),  # noqa: PLW1509
                )
            except OSError as error:
                raise SandboxError(f"{name}: cannot start {argv[0]}: {error.strerror}") from error
        running = Running(record=audit.record(name=name, pid=popen.pid, argv=argv, log=log), popen=popen)
        self._running.append(running)
        self._write_audit()
        return running

    def end(self, running: Running) -> None:
        """Ends one program now."""
        running.end()
        self._running = [other for other in self._running if other is not running]
        self._write_audit()

    def end_all(self) -> None:
        """Ends everything, last started first; a second Ctrl-C does not interrupt it."""
        with _undisturbed():
            for running in reversed(self._running):
                running.end()
            self._running = []
            self._write_audit()

    def wait_until(
        self,
        what: str,
        condition: Callable[[], bool],
        *,
        seconds: float,
        of: Running | None = None,
        interval_seconds: float = POLL_SECONDS,
    ) -> None:
        """Waits until `condition()` is true; an OSError in it means "not yet".

        Raises SandboxError when the deadline passes or when the program `of` ends first, with the last lines of its log.
        """
        last_error = ""

        def now() -> bool:
            nonlocal last_error
            if of is not None and (status := of.exit_status()) is not None:
                raise SandboxError(f"{of.name} ended with status {status} before {what}; the end of {of.log}:\n{of.log_tail()}")
            try:
                return condition()
            except OSError as error:
                last_error = f" (last: {error})"
                return False

        if not wait_for(now, seconds, interval_seconds):
            tail = f"; the end of {of.log}:\n{of.log_tail()}" if of is not None else ""
            raise SandboxError(f"{what}: not within {seconds:.0f} s{last_error}{tail}")

    def _claim(self) -> None:
        self.state_dir.mkdir(parents=True, exist_ok=True)
        if not (self.state_dir / LOCK).exists() and any(self.state_dir.iterdir()):
            raise SandboxError(f"{self.state_dir} holds files that are not a sandbox's: choose an empty or new folder as state folder")
        self._lock = (self.state_dir / LOCK).open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise SandboxError(f"{self.state_dir} is in use by another run: wait for it, or choose another state folder") from None
        alive = [entry.name for entry in audit.read(self.state_dir) if audit.is_alive(entry)]
        if alive:
            self._lock.close()
            raise SandboxError(
                f"{self.state_dir} still has running programs ({', '.join(alive)}): "
                f"end them with `python -m sandbox down --state {self.state_dir}`"
            )
        self._wipe()

    def _wipe(self) -> None:
        """Clears what an earlier run left: a control plane that starts on old data would not be the one that was asked for."""
        for entry in self.state_dir.iterdir():
            if entry.name == LOCK:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def _write_audit(self) -> None:
        audit.write(self.state_dir, [running.record for running in self._running])


def stop_recorded(state_dir: Path, *, term_seconds: float = TERM_SECONDS) -> list[str]:
    """Ends what an earlier run recorded in `state_dir` and left running, last started first; returns the names of the ended.

    A pid that meanwhile belongs to another process (its start time differs) is left alone.
    """
    with _undisturbed():
        ended = [entry.name for entry in reversed(audit.read(state_dir)) if _end_recorded(entry, term_seconds)]
        audit.write(state_dir, [])
    return ended


def _end_recorded(entry: audit.Record, term_seconds: float) -> bool:
    """Ends the program and whatever it started; False when it does not run any more."""
    with contextlib.ExitStack() as handles:
        # A descriptor holds on to one process for good, so what is checked after opening it is what is signalled.
        opened = {pid: _open_process(pid, handles) for pid in audit.session_of(entry.pid)}
        still = audit.session_of(entry.pid)
        if not audit.is_alive(entry):
            return False
        family = [handle for pid, handle in opened.items() if handle is not None and pid in still]
        for number, seconds in ((signal.SIGTERM, term_seconds), (signal.SIGKILL, KILL_SECONDS)):
            for handle in family:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)
            wait_for(partial(_is_gone, entry), seconds)
    return True


def _open_process(pid: int, handles: contextlib.ExitStack) -> int | None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    handles.callback(os.close, handle)
    return handle


def _is_gone(entry: audit.Record) -> bool:
    return not audit.is_alive(entry)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Signals that ask to stop are ignored while everything is being stopped anyway."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _dies_with(parent: int) -> Callable[[], None]:
    def ask_kernel() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return ask_kernel
