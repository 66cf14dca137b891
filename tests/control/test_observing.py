"""Observed MFU and drift of a running workload, from a real Prometheus that scrapes a training job's counter."""

import http.server
import threading
import time
from collections.abc import Iterator

import pytest

from sandbox.monitoring import TargetGroup
from tests.conftest import Monitoring
from tests.control.conftest import Operator, Process, eventually, held_job, policy, workload

pytestmark = pytest.mark.cluster

WINDOW_SECONDS = 5


class Counter:
    """A training job's exporter: tokens grow at a rate that the test sets."""

    def __init__(self) -> None:
        self.labels = ""
        self._tokens = 0.0
        self._rate = 0.0
        self._since = time.monotonic()
        self._lock = threading.Lock()

    def run_at(self, tokens_per_second: float) -> None:
        with self._lock:
            self._tokens = self._now()
            self._since = time.monotonic()
            self._rate = tokens_per_second

    def exposition(self) -> str:
        with self._lock:
            series = f"mfu_training_tokens_total{{{self.labels}}} {self._now()}\n" if self.labels else ""
        return "# TYPE mfu_training_tokens_total counter\n" + series

    def _now(self) -> float:
        return self._tokens + self._rate * (time.monotonic() - self._since)


@pytest.fixture
def counter(monitoring: Monitoring) -> Iterator[Counter]:
    found = Counter()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = found.exposition().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monitoring.prometheus.set_targets("tests", [TargetGroup(targets=[f"127.0.0.1:{server.server_address[1]}"])])
    yield found
    monitoring.prometheus.set_targets("tests", [])
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def controller(operator: Operator, monitoring: Monitoring) -> Iterator[Process]:
    process = operator.start_controller(
        "observing", f"--prometheus-url={monitoring.prometheus.url}", f"--rate-window-seconds={WINDOW_SECONDS}", lease="observing"
    )
    yield process
    operator.end(process)


def percent(text: str) -> float:
    return float(text.removesuffix("%"))


def test_a_workload_that_falls_behind_drifts_and_recovers(operator: Operator, controller: Process, counter: Counter, clean: str) -> None:
    operator.apply(policy("quick", clean, drift={"tolerance": "10%", "for": "3s", "recoverFor": "3s"}))
    operator.apply(workload("train", clean), held_job("train", clean))
    pod = eventually(
        "its pods run", lambda: (p := operator.items("pods", clean)) and all(i["status"]["phase"] == "Running" for i in p) and p
    )[0]
    expected = operator.judged("train", clean)["expected"]
    whole = 16 * float(expected["tokensPerSecondPerAccelerator"].replace(",", ""))
    counter.labels = f'namespace="{clean}",pod="{pod["metadata"]["name"]}"'
    counter.run_at(whole)

    def observed() -> float:
        text = operator.status("train", clean)["observed"]["mfu"]
        return 0.0 if text == "unknown" else percent(text)

    def drifting() -> str:
        return next(str(c["status"]) for c in operator.status("train", clean)["conditions"] if c["type"] == "Drifting")

    near = eventually("observed as expected", lambda: abs(observed() - percent(expected["mfu"])) < 4.0 and observed(), seconds=40)
    assert drifting() == "False"
    counter.run_at(whole / 2)
    eventually("it drifts", lambda: drifting() == "True", seconds=40)
    assert observed() < near
    assert "Drifting" in eventually("the event", lambda: operator.reasons(clean, "train"))
    series = f'mfu_workload_drifting{{namespace="{clean}",workload="train"}}'
    eventually("the metric says so", lambda: controller.metric(series) == 1)
    status = operator.status("train", clean)
    assert status["drift"]["ratio"].startswith("-")
    assert status["cost"]["gapPerHour"].startswith("$")
    counter.run_at(whole)
    eventually("it recovers", lambda: drifting() == "False", seconds=60)
    eventually("the event", lambda: "Recovered" in operator.reasons(clean, "train"))
    assert controller.metric("mfu_operator_prometheus_up") == 1
