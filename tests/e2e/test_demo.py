"""`make demo` is the main job: it tells its whole story, exits 0, and leaves nothing running."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox import audit
from sandbox.toolchain import Tools
from sandbox.witness import EXPECTATIONS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

ROOT = Path(__file__).resolve().parents[2]


def _demo(state: Path, output: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "sandbox.demo", "--state", str(state)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def _started(state: Path) -> list[audit.Record]:
    return audit.read(state)


def test_the_demo_shows_what_its_story_says_and_ends_what_it_started(tmp_path: Path, tools: Tools) -> None:
    state, output = tmp_path / "state", tmp_path / "output"
    demo = _demo(state, output)
    seen: dict[int, audit.Record] = {}
    while demo.poll() is None:
        seen |= {record.pid: record for record in _started(state)}
        time.sleep(0.5)
    text = output.read_text()

    assert demo.returncode == 0, text[-4000:]
    assert text.count("✓") == len(EXPECTATIONS)
    for shown in ("kubectl get mw -A", "kubectl describe mw llama-70b-pretrain", "MFUWorkloadDrifting", "mfu fleet"):
        assert shown in text
    # The refusal is one line that a tenant reads in his terminal.
    (refusal,) = [line for line in text.splitlines() if "denied the request" in line]
    assert "does not fit in memory" in refusal
    assert {"etcd", "kube-apiserver", "prometheus", "mfu-operator-controller-0"} <= {record.name for record in seen.values()}
    assert [record.name for record in seen.values() if audit.is_alive(record)] == []


def test_an_interrupted_demo_ends_everything_too(tmp_path: Path, tools: Tools) -> None:
    state, output = tmp_path / "state", tmp_path / "output"
    demo = _demo(state, output)
    deadline = time.monotonic() + 60
    while "kube-scheduler" not in {record.name for record in _started(state)}:
        assert demo.poll() is None and time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)
    seen = _started(state)
    os.kill(demo.pid, signal.SIGINT)

    assert demo.wait(timeout=60) == 130
    assert [record.name for record in seen if audit.is_alive(record)] == []
    assert json.loads((state / "processes.json").read_text()) == []
