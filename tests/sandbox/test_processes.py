"""What was started ends, and nothing else does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import audit
from sandbox.errors import SandboxError
from sandbox.processes import Supervisor, stop_recorded

ROOT = Path(__file__).resolve().parents[2]

CHILD = """
import pathlib, sys, time
from sandbox.processes import Supervisor
folder, keep, then = pathlib.Path(sys.argv[1]), sys.argv[2] == "keep", sys.argv[3]
with Supervisor(folder, keep=keep) as supervisor:
    supervisor.start("first", ["sleep", "600"])
    # Dying with its parent reaches a program itself; what a program starts is reached wherever somebody is left to end it.
    supervisor.start("second", ["sleep", "600"] if then == "be killed" else ["sh", "-c", "sleep 600 & wait"])
    print("started", flush=True)
    if then == "raise":
        raise RuntimeError("the demo failed")
    if then in ("wait", "be killed"):
        time.sleep(600)
"""


def run_child(folder: Path, *, keep: bool, then: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(folder), "keep" if keep else "end", then]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def started_by(child: subprocess.Popen[str], folder: Path) -> list[audit.Record]:
    assert child.stdout is not None
    assert child.stdout.readline() == "started\n"
    return audit.read(folder)


def left_of(records: list[audit.Record]) -> set[int]:
    """The programs and what they started that still run."""
    return {pid for record in records for pid in audit.session_of(record.pid)}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    stop_recorded(tmp_path / "state")


@pytest.mark.parametrize(
    ("number", "keep"),
    [
        pytest.param(signal.SIGINT, False, id="ctrl-c"),
        pytest.param(signal.SIGINT, True, id="ctrl-c-though-kept"),
        pytest.param(signal.SIGTERM, False, id="asked-to-end"),
        pytest.param(signal.SIGTERM, True, id="asked-to-end-though-kept"),
        pytest.param(signal.SIGHUP, False, id="terminal-closed"),
        pytest.param(signal.SIGKILL, False, id="killed-outright"),
    ],
)
def test_everything_started_ends_when_the_run_is_signalled(folder: Path, number: signal.Signals, keep: bool) -> None:
    with run_child(folder, keep=keep, then="be killed" if number is signal.SIGKILL else "wait") as child:
        records = started_by(child, folder)
        assert [record.name for record in records] == ["first", "second"]
        assert all(audit.is_alive(record) for record in records)
        child.send_signal(number)
        assert child.wait(timeout=20) != 0
    wait_until(lambda: not left_of(records))


@pytest.mark.parametrize("keep", [False, True], ids=["not-kept", "kept"])
def test_everything_started_ends_when_the_run_fails(folder: Path, keep: bool) -> None:
    with run_child(folder, keep=keep, then="raise") as child:
        records = started_by(child, folder)
        assert child.wait(timeout=20) == 1
    wait_until(lambda: not left_of(records))
    assert audit.read(folder) == []


def test_a_kept_run_leaves_everything_running_until_it_is_ended(folder: Path) -> None:
    with run_child(folder, keep=True, then="leave") as child:
        records = started_by(child, folder)
        assert child.wait(timeout=20) == 0
    assert all(audit.is_alive(record) for record in records)
    assert stop_recorded(folder) == ["second", "first"]
    wait_until(lambda: not left_of(records))
    assert stop_recorded(folder) == []


def test_a_second_run_is_refused_while_a_kept_one_runs(folder: Path) -> None:
    with run_child(folder, keep=True, then="leave") as child:
        started_by(child, folder)
        child.wait(timeout=20)
    with pytest.raises(SandboxError, match="first, second"), Supervisor(folder):
        pass


def test_a_second_run_is_refused_while_the_first_one_has_not_ended(folder: Path) -> None:
    with Supervisor(folder), pytest.raises(SandboxError, match="in use by another run"), Supervisor(folder):
        pass


def test_a_folder_with_other_files_is_neither_used_nor_cleared(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("three years")
    with pytest.raises(SandboxError, match="not a sandbox's"), Supervisor(tmp_path):
        pass
    assert precious.read_text() == "three years"


def test_a_new_run_starts_on_a_cleared_folder(folder: Path) -> None:
    with Supervisor(folder) as supervisor:
        (supervisor.state_dir / "etcd").mkdir()
        (supervisor.state_dir / "etcd" / "member").write_text("old")
    assert (folder / "etcd" / "member").exists()
    with Supervisor(folder):
        assert not (folder / "etcd").exists()


@pytest.mark.parametrize("changed", [{"started_ticks": 1}, {"boot": "another-boot"}], ids=["pid-reused", "machine-rebooted"])
def test_a_stranger_with_a_recorded_pid_is_left_alone(folder: Path, changed: dict[str, object]) -> None:
    folder.mkdir()
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            record = audit.record(name="etcd", pid=stranger.pid, argv=["etcd"], log=folder / "log")
            entry = {name: getattr(record, name) for name in record.__slots__} | changed
            (folder / audit.FILE_NAME).write_text(json.dumps([entry]))
            assert stop_recorded(folder) == []
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_program_that_ignores_the_polite_signal_is_killed_after_the_deadline(folder: Path) -> None:
    with Supervisor(folder) as supervisor:
        running = supervisor.start("stubborn", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
        supervisor.wait_until("it traps the signal", lambda: "ready" in running.log_tail(), seconds=10, of=running)
        running.end(term_seconds=0.2)
        assert running.exit_status() == -signal.SIGKILL


def test_programs_end_last_started_first(folder: Path, tmp_path: Path) -> None:
    order = tmp_path / "order"
    with Supervisor(folder) as supervisor:
        for name in ("etcd", "apiserver"):
            script = f"trap 'echo {name} >> {order}; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
            running = supervisor.start(name, ["sh", "-c", script])
            supervisor.wait_until("it traps the signal", lambda running=running: "ready" in running.log_tail(), seconds=10, of=running)
    assert order.read_text().split() == ["apiserver", "etcd"]


def test_a_program_that_dies_is_reported_with_the_end_of_its_log(folder: Path) -> None:
    with Supervisor(folder) as supervisor:
        running = supervisor.start("etcd", ["sh", "-c", "echo 'bind: address already in use'; exit 3"])
        with pytest.raises(SandboxError, match=r"(?s)etcd ended with status 3 before etcd is healthy.*address already in use"):
            supervisor.wait_until("etcd is healthy", lambda: False, seconds=20, of=running)


def test_a_missed_deadline_names_the_last_error(folder: Path) -> None:
    def refused() -> bool:
        raise ConnectionRefusedError("connection refused")

    with (
        Supervisor(folder) as supervisor,
        pytest.raises(SandboxError, match=r"the server answers: not within 0 s \(last: connection refused\)"),
    ):
        supervisor.wait_until("the server answers", refused, seconds=0)


def test_a_missing_program_is_named(folder: Path) -> None:
    with Supervisor(folder) as supervisor, pytest.raises(SandboxError, match="kwok: cannot start /nowhere/kwok: No such file or directory"):
        supervisor.start("kwok", ["/nowhere/kwok"])


def test_a_program_gets_exactly_the_environment_it_was_given(folder: Path) -> None:
    with Supervisor(folder) as supervisor:
        running = supervisor.start("env", ["/usr/bin/env"], environment={"ONLY": "this"})
        supervisor.wait_until("it ended", lambda: running.exit_status() == 0, seconds=10)
        assert running.log_tail() == "ONLY=this"
    assert "PATH" in os.environ
