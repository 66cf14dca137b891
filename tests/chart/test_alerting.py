"""The chart's rules in a real Prometheus: an alert reaches a real Alertmanager with the labels of the workload it is about."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from sandbox.monitoring import ScrapeJob, TargetGroup, start_prometheus

pytestmark = pytest.mark.cluster

RULES = Path(__file__).resolve().parent.parent.parent / "charts" / "mfu-operator" / "files" / "rules.yaml"


@contextlib.contextmanager
def exported(registry: CollectorRegistry) -> Iterator[str]:
    """A /metrics page on loopback; yields host:port."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.end_headers()
            self.wfile.write(generate_latest(registry))

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_drifting_workload_reaches_alertmanager_under_its_own_namespace_and_goes_when_it_recovers(supervisor, tools, monitoring):
    registry = CollectorRegistry()
    drifting = Gauge("mfu_workload_drifting", "1 while drifting", ["namespace", "workload"], registry=registry)
    drifting.labels("research", "slow").set(1)
    drifting.labels("research", "fine").set(0)

    def alerts() -> list[dict]:
        return [alert for alert in monitoring.alertmanager.alerts() if alert["labels"]["alertname"] == "MFUWorkloadDrifting"]

    with exported(registry) as address:
        # As the ServiceMonitor scrapes it: the target's own namespace must not hide the workload's.
        group = TargetGroup(targets=[address], labels={"namespace": "mfu-system"})
        jobs = [ScrapeJob(name="mfu-operator", groups=[group], honor_labels=True)]
        prometheus = start_prometheus(supervisor, tools, jobs, alertmanager=monitoring.alertmanager, name="prometheus-chart-rules")
        try:
            prometheus.write_rules("mfu-operator", RULES.read_text())
            supervisor.wait_until("the alert arrives", lambda: bool(alerts()), seconds=60)
            (alert,) = alerts()
            labels = {key: alert["labels"][key] for key in ("namespace", "workload", "severity")}
            assert labels == {"namespace": "research", "workload": "slow", "severity": "warning"}
            assert alert["annotations"]["runbook_url"] == "docs/operations.md#mfuworkloaddrifting"
            assert "kubectl -n research describe mw slow" in alert["annotations"]["description"]
            drifting.labels("research", "slow").set(0)
            supervisor.wait_until("the alert goes", lambda: not alerts(), seconds=60)
        finally:
            supervisor.end(prometheus.running)
