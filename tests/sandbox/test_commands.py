"""`python -m sandbox` as a person uses it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import audit
from sandbox.processes import stop_recorded
from sandbox.toolchain import Program, Tools

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "alertmanager", "prometheus"]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    stop_recorded(tmp_path / "state")


def sandbox(*arguments: str, state: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MFU_STATE_DIR": str(state)}
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.cluster
def test_up_leaves_a_cluster_running_that_down_ends(state: Path, tools: Tools) -> None:
    up = sandbox("up", state=state)
    assert up.returncode == 0, up.stderr
    records = audit.read(state)
    assert [record.name for record in records] == PROGRAMS
    assert all(audit.is_alive(record) for record in records)

    kubeconfig = re.search(r"^export KUBECONFIG=(.+)$", up.stdout, re.MULTILINE)
    assert kubeconfig is not None
    kubectl = [tools.path(Program.KUBECTL), "--kubeconfig", kubeconfig[1], "auth", "can-i", "*", "*", "--all-namespaces"]
    assert subprocess.run(kubectl, capture_output=True, text=True, check=True).stdout.strip() == "yes"

    again = sandbox("up", state=state)
    assert again.returncode == 1
    assert "still has running programs" in again.stderr
    assert "Traceback" not in again.stderr

    down = sandbox("down", state=state)
    assert down.returncode == 0
    assert down.stdout == f"ended {', '.join(reversed(PROGRAMS))}\n"
    assert not any(audit.is_alive(record) for record in records)


def test_down_says_when_nothing_runs(state: Path) -> None:
    down = sandbox("down", state=state)
    assert (down.returncode, down.stdout) == (0, f"nothing of {state} was running\n")


def test_a_record_that_cannot_be_read_is_named(state: Path) -> None:
    state.mkdir()
    (state / audit.FILE_NAME).write_text("{")
    down = sandbox("down", state=state)
    assert down.returncode == 1
    assert down.stderr.startswith(f"error: {state / audit.FILE_NAME} is not a record of started programs")
    (state / audit.FILE_NAME).unlink()
