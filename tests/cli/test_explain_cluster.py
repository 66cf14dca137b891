"""`mfu explain NAME` and `mfu top --watch` against a real HTTP server on loopback that answers as an API server does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfu.__main__ import main
from mfu.cli.explain_cluster import lines

NOW = datetime(2026, 11, 21, 11, 0, tzinfo=UTC)


def workload(name: str = "chat", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "serving", "generation": 2}, "status": status}


SLOW = workload(
    observedGeneration=2,
    mode="inference",
    model="llama-3.1-8b",
    accelerators={"class": "h100-sxm-80gb", "count": 4},
    summary="9.0% observed vs 13.2% expected",
    verdict={"decision": "Warned", "reason": "BelowMinimum", "message": "below the floor", "policy": "floor"},
    expected={"mfu": "13.2%", "low": "12.0%", "high": "14.5%", "boundBy": "Host", "assumptions": ["cache precision not declared"]},
    observed={
        "mfu": "9.0%",
        "hardware": "9.9%",
        "source": "vllm",
        "at": "2026-11-21T10:57:00Z",
        "faults": ["the engine's own count differs"],
    },
    drift={"ratio": "-31.8%", "since": "2026-11-21T08:00:00Z", "baseline": "Expected", "change": "image a → b"},
    diagnosis=[{"cause": "Host", "share": "80.0%", "evidence": "the engine waits for its host"}],
    recommendations=[{"change": "inference.concurrency: 64 → 512", "expected": "21.9%", "saves": "$4.75/h", "confidence": "high"}],
    cost={"perHour": "$11.96", "gapPerHour": "$3.79"},
    waterfall=["peak: 100.0%", "host scheduling: −86.8% → 13.2%", "expected: 13.2%", "Host: −4.2% → 9.0%", "observed: 9.0%"],
)


def test_the_answer_reads_from_top_to_bottom() -> None:
    text = "\n".join(lines(SLOW, NOW))
    parts = (
        "serving/chat: llama-3.1-8b, inference on 4 × h100-sxm-80gb",
        "9.0% observed vs 13.2% expected",
        "Warned by policy floor: below the floor",
        "13.2% [12.0% – 14.5%], bound by host",
        "9.0% from vllm (3 min ago)",
        "9.9% tensor activity",
        "the engine's own count differs",
        "-31.8% against the expectation, since 3 h ago; changed then: image a → b",
        "$11.96 an hour, $3.79 an hour lost",
        "WHERE THE PEAK GOES",
        "the engine waits for its host",
        "cache precision not declared",
    )
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_the_bars_are_as_long_as_their_figures() -> None:
    rungs = [line for line in lines(SLOW, NOW) if "█" in line]
    assert [len(re.findall("█", line)) for line in rungs] == [40, 5, 5, 4, 4]
    assert len(re.findall("░", rungs[1])) == 35
    assert re.search(r"Host +9\.0% +−4\.2%", rungs[3])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(workload(), "is the operator running", id="no status yet"),
        pytest.param({**SLOW, "metadata": {**SLOW["metadata"], "generation": 3}}, "about the one before", id="older intent"),
        pytest.param(
            workload(observedGeneration=2, observed={"mfu": "unknown", "message": "unknown: no pod is running"}),
            "no pod is running",
            id="unknown",
        ),
        pytest.param(workload(observedGeneration=2, waterfall=["something new"]), "something new", id="a line of another release"),
    ],
)
def test_what_is_not_known_is_said(body: dict[str, Any], said: str) -> None:
    assert said in "\n".join(lines(body, NOW))


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A server with two workloads; yields the paths that were asked for."""
    asked: list[str] = []
    base = "/apis/mfu.dev/v1alpha1/namespaces/serving/modelworkloads"
    cheap = workload("cheap", observedGeneration=2, cost={"gapPerHour": "$0.10"})
    answers: dict[str, Any] = {f"{base}/chat": SLOW, base: {"items": [cheap, SLOW]}}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            asked.append(path)
            found = answers.get(path)
            body = json.dumps(found or {"message": "not found"}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "serving"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_workload_of_the_cluster_is_explained(cluster: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "chat", "-n", "serving"]) == 0
    out = capsys.readouterr().out
    assert "WHERE THE PEAK GOES" in out and "inference.concurrency: 64 → 512" in out and "$4.75/h" in out


def test_the_status_is_given_as_json_too(cluster: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "chat", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"]["observed"]["mfu"] == "9.0%"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["explain", "nobody"], "namespace serving has no ModelWorkload nobody", id="no such workload"),
        pytest.param(["explain"], "give either -f FILE, or the NAME", id="neither"),
        pytest.param(["explain", "chat", "-f", "x.yaml"], "give either -f FILE, or the NAME", id="both"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    cluster: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_top_refreshes_until_ctrl_c_and_ends_cleanly(cluster: list[str]) -> None:
    # Whoever started the tests may have Ctrl-C ignored, which a child inherits.
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from mfu.__main__ import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program, "top", "-n", "serving", "--watch", "1"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    try:
        assert process.stdout is not None
        shown = []
        for line in process.stdout:
            shown.append(line)
            if sum(text.startswith("every 1 s") for text in shown) == 2:
                break
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, error) == (0, "")
    first = "".join(shown)
    assert first.index("chat") < first.index("cheap"), "what loses most comes first"
