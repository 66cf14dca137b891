"""Every panel of every dashboard, asked of a real Prometheus that scrapes the operator's real exporter: each returns data."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from mfu.control.exporter import WebhookMetrics
from sandbox.monitoring import ScrapeJob, TargetGroup, start_prometheus
from tests.chart.test_alerting import exported
from tests.control.fleets import filled

pytestmark = pytest.mark.cluster

FILES = Path(__file__).resolve().parents[2] / "charts" / "mfu-operator" / "files"
DAY = 86_400
# One that is observed, and one of the same tenant that is not: no workload has both figures and a reason for having none.
CHOICES = ({"namespace": "team-0", "workload": "job-0"}, {"namespace": "team-0", "workload": "job-2"})


class Both(Collector):
    """The controller's and the webhook's metrics on one page."""

    def __init__(self, *registries: CollectorRegistry) -> None:
        self._registries = registries

    def collect(self) -> Any:
        for registry in self._registries:
            yield from registry.collect()


def history(path: Path, now: float) -> Path:
    """Fifteen days of the two sums, once a minute: 40 % until a week ago, 30 % since, with the same GPUs."""
    sums = {
        "mfu:fleet_observed_peak:flops_per_second": lambda at: 1e18,
        "mfu:fleet_useful:flops_per_second": lambda at: 4e17 if at < now - 7 * DAY else 3e17,
    }
    lines = []
    for name, value in sums.items():
        lines.append(f"# TYPE {name} gauge")
        lines += [f"{name} {value(at)} {at}" for at in range(int(now) - 15 * DAY, int(now) - 10_800, 60)]
    path.write_text("\n".join([*lines, "# EOF", ""]))
    return path


def targets() -> list[tuple[str, tuple[str, ...]]]:
    """Each query of a panel, with every choice of the dashboard's variables."""
    found = []
    for path in sorted((FILES / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                asked = tuple(re.sub(r"\$(\w+)", lambda name, chosen=chosen: chosen[name[1]], target["expr"]) for chosen in CHOICES)
                found.append((f"{path.stem}: {panel['title']} ({target['refId']})", tuple(dict.fromkeys(asked))))
    return found


def test_every_panel_of_every_dashboard_has_data(supervisor, tools, tmp_path):
    metrics, webhook = filled(60), WebhookMetrics()
    metrics.leader.set(1)
    metrics.prometheus_up.set(1)
    metrics.last_tick.set(time.time())
    webhook.reviews.labels("ModelWorkload", "allowed").inc()
    metrics.releases.labels("Admitted").inc()
    metrics.patches.labels("ModelWorkload", "written").inc()
    registry = CollectorRegistry()
    registry.register(Both(metrics.registry, webhook.registry))
    asked = targets()
    assert len(asked) > 70
    now = time.time()
    with exported(registry) as address:
        jobs = [
            ScrapeJob(name="mfu-operator", groups=[TargetGroup(targets=[address], labels={"namespace": "mfu-system"})], honor_labels=True)
        ]
        prometheus = start_prometheus(supervisor, tools, jobs, history=history(tmp_path / "history.txt", now), name="prometheus-panels")
        try:
            rules = (FILES / "rules.yaml").read_text()
            prometheus.write_rules("mfu-operator", rules.replace("interval: 5m", "interval: 2s").replace("interval: 30s", "interval: 1s"))
            empty: list[str] = []
            waiting = list(asked)

            def answered() -> bool:
                # Histograms and counters have a rate only after something was counted between two scrapes.
                metrics.tick_duration.observe(0.1)
                metrics.queries.inc()
                webhook.duration.observe(0.002)
                empty[:] = [name for name, queries in waiting if not any(_figures(prometheus.query(query)) for query in queries)]
                waiting[:] = [each for each in waiting if each[0] in empty]
                return not empty

            try:
                supervisor.wait_until("every panel has data", answered, seconds=60, interval_seconds=2.0)
            finally:
                assert empty == []
            (change,) = prometheus.query("mfu:fleet_observed:change_7d")
            # The figures of the exporter are the last moments of the second week.
            assert change.value == pytest.approx(-0.25, abs=0.01)
        finally:
            supervisor.end(prometheus.running)


def _figures(samples: Any) -> list[float]:
    """Without NaN: a panel that draws nothing has no data."""
    return [sample.value for sample in samples if sample.value == sample.value]
