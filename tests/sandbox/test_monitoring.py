"""Prometheus and Alertmanager are real, joined, and can be changed while they run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import yaml

from sandbox.errors import SandboxError
from sandbox.monitoring import Prometheus, Sample, ScrapeJob, TargetGroup, start_prometheus
from sandbox.processes import Supervisor
from sandbox.toolchain import Tools

pytestmark = pytest.mark.cluster


class Exporter(ThreadingHTTPServer):
    """Serves whatever `text` says."""

    text = ""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Exporter

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(self.server.text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        pass


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    with Exporter(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def rules(alert: str, expression: str) -> str:
    rule = {"alert": alert, "expr": expression, "labels": {"severity": "warning"}, "annotations": {"summary": "it fell"}}
    return yaml.safe_dump({"groups": [{"name": alert, "rules": [rule]}]})


def test_a_scraped_value_fires_an_alert_that_reaches_alertmanager(monitoring: Any, exporter: Exporter, supervisor: Supervisor) -> None:
    prometheus, alertmanager = monitoring.prometheus, monitoring.alertmanager
    exporter.text = 'sandbox_ratio{gpu="0"} 0.12\n'
    prometheus.set_targets("tests", [TargetGroup(targets=[exporter.address], labels={"node": "n1"})])
    supervisor.wait_until("the value is scraped", lambda: bool(prometheus.query("sandbox_ratio")), seconds=20)
    (sample,) = prometheus.query("sandbox_ratio * 2")
    assert sample == Sample(labels={"gpu": "0", "node": "n1", "instance": exporter.address, "job": "tests"}, value=0.24)

    prometheus.write_rules("fall", rules("SandboxRatioLow", "sandbox_ratio < 0.5"))

    def held() -> list[dict[str, Any]]:
        return [alert for alert in alertmanager.alerts() if alert["labels"]["alertname"] == "SandboxRatioLow"]

    supervisor.wait_until("Alertmanager holds the alert", lambda: bool(held()), seconds=30)
    (alert,) = held()
    assert (alert["labels"]["node"], alert["annotations"]["summary"], alert["status"]["state"]) == ("n1", "it fell", "active")
    assert [alert["labels"]["alertname"] for alert in prometheus.alerts()] == ["SandboxRatioLow"]

    exporter.text = 'sandbox_ratio{gpu="0"} 0.9\n'
    supervisor.wait_until("the alert is gone", lambda: not held(), seconds=30)


def test_a_rule_file_with_a_mistake_is_refused_and_not_loaded(monitoring: Any) -> None:
    with pytest.raises(SandboxError, match="promtool check rules"):
        monitoring.prometheus.write_rules("broken", rules("Broken", "rate(("))
    assert not (monitoring.prometheus.folder / "rules" / "broken.yaml").exists()


def test_a_query_with_a_mistake_is_answered_with_prometheus_own_words(monitoring: Any) -> None:
    with pytest.raises(SandboxError, match=r"answered 400.*parse error"):
        monitoring.prometheus.query("rate((")


def test_a_second_prometheus_has_a_past_and_can_go_down_and_come_back(supervisor: Supervisor, tools: Tools, tmp_path: Path) -> None:
    history = tmp_path / "history.txt"
    now = int(time.time())
    lines = [f'tokens_total{{job="llama"}} {second * 10} {now - 7200 + second}' for second in range(0, 3600, 15)]
    history.write_text("\n".join(["# TYPE tokens counter", *lines, "# EOF\n"]))
    jobs: list[ScrapeJob] = []
    prometheus = start_prometheus(supervisor, tools, jobs, history=history, name="prometheus-with-past")

    def rate(prometheus: Prometheus) -> list[float]:
        return [sample.value for sample in prometheus.query(f"rate(tokens_total[10m] @ {now - 4000})")]

    assert rate(prometheus) == pytest.approx([10.0])
    supervisor.end(prometheus.running)
    with pytest.raises(URLError):
        prometheus.query("up")
    port = int(prometheus.url.rpartition(":")[2])
    again = start_prometheus(supervisor, tools, jobs, name="prometheus-with-past", port=port)
    assert again.url == prometheus.url
    assert rate(again) == pytest.approx([10.0])
    supervisor.end(again.running)


@pytest.mark.parametrize(("honor", "namespace"), [(True, "research"), (False, "monitoring")], ids=["exporter-wins", "target-wins"])
def test_honor_labels_decides_whose_label_wins(
    supervisor: Supervisor, tools: Tools, exporter: Exporter, honor: bool, namespace: str
) -> None:
    exporter.text = 'DCGM_FI_PROF_GR_ENGINE_ACTIVE{namespace="research"} 0.9\n'
    job = ScrapeJob(name="dcgm", groups=[TargetGroup(targets=[exporter.address], labels={"namespace": "monitoring"})], honor_labels=honor)
    prometheus = start_prometheus(supervisor, tools, [job], name=f"prometheus-honor-{honor}".lower())
    supervisor.wait_until("it is scraped", lambda: bool(prometheus.query("DCGM_FI_PROF_GR_ENGINE_ACTIVE")), seconds=20)
    (sample,) = prometheus.query("DCGM_FI_PROF_GR_ENGINE_ACTIVE")
    assert sample.labels["namespace"] == namespace
    assert sample.labels.get("exported_namespace") == (None if honor else "research")
    supervisor.end(prometheus.running)
