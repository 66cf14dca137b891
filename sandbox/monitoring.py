"""A real Prometheus and a real Alertmanager on loopback."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from sandbox.errors import SandboxError
from sandbox.ports import LOOPBACK, free_ports
from sandbox.processes import Running, Supervisor
from sandbox.toolchain import Program, Tools

__all__ = [
    "Alertmanager",
    "Prometheus",
    "Sample",
    "ScrapeJob",
    "TargetGroup",
    "check_rules",
    "start_alertmanager",
    "start_prometheus",
]

READY_SECONDS = 60.0
REQUEST_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroup:
    """Scrape targets (`host:port`) that share labels."""

    targets: Sequence[str]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeJob:
    """One scrape job; its targets can be changed while Prometheus runs."""

    name: str
    groups: Sequence[TargetGroup] = ()
    metrics_path: str = "/metrics"
    honor_labels: bool = False
    """Whether labels of the exporter win over the target's, as a PodMonitor of an exporter sets it."""
    discovery_url: str | None = None
    """Where Prometheus asks for more targets (HTTP service discovery)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One series of an instant query's answer."""

    labels: Mapping[str, str]
    value: float


class Alertmanager:
    """A running Alertmanager."""

    def __init__(self, *, url: str, running: Running) -> None:
        self.url = url
        self.running = running

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts it holds now, as its API version 2 shows them (labels, annotations, status, startsAt, …)."""
        answer = _get_json(f"{self.url}/api/v2/alerts")
        return list(answer)


class Prometheus:
    """A running Prometheus."""

    def __init__(self, *, url: str, running: Running, folder: Path, tools: Tools) -> None:
        self.url = url
        self.running = running
        self.folder = folder
        self._tools = tools

    def query(self, promql: str) -> list[Sample]:
        """An instant query; SandboxError with Prometheus' own words when it refuses."""
        answer = _get_json(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': promql})}")
        data = answer["data"]
        if data["resultType"] == "scalar":
            return [Sample(labels={}, value=float(data["result"][1]))]
        return [Sample(labels=series["metric"], value=float(series["value"][1])) for series in data["result"]]

    def alerts(self) -> list[dict[str, Any]]:
        """Pending and firing alerts as Prometheus itself sees them."""
        return list(_get_json(f"{self.url}/api/v1/alerts")["data"]["alerts"])

    def targets(self) -> list[dict[str, Any]]:
        """The active targets with their health and last error."""
        return list(_get_json(f"{self.url}/api/v1/targets?state=active")["data"]["activeTargets"])

    def set_targets(self, job: str, groups: Sequence[TargetGroup]) -> None:
        """Replaces the targets of a job; Prometheus watches the file and needs no reload."""
        _write_targets(self.folder, job, groups)

    def write_rules(self, name: str, groups: str) -> None:
        """Checks and loads a rule file (YAML text with `groups:`, as in a PrometheusRule's spec), replacing the one of that name."""
        check_rules(self._tools, groups, self.folder / f"{name}.candidate.yaml")
        (self.folder / "rules" / f"{name}.yaml").write_text(groups)
        self.reload()

    def reload(self) -> None:
        """Reads configuration and rules again."""
        _request(urllib.request.Request(f"{self.url}/-/reload", method="POST"))


def start_alertmanager(supervisor: Supervisor, tools: Tools, *, webhook_url: str | None = None) -> Alertmanager:
    """Starts Alertmanager with one receiver: a webhook, or none, so that alerts are only held and shown."""
    folder = supervisor.state_dir / "alertmanager"
    folder.mkdir(exist_ok=True)
    receiver: dict[str, Any] = {"name": "default"}
    if webhook_url is not None:
        receiver["webhook_configs"] = [{"url": webhook_url, "send_resolved": True}]
    route = {"receiver": "default", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
    configuration = folder / "alertmanager.yml"
    configuration.write_text(yaml.safe_dump({"route": route, "receivers": [receiver]}, sort_keys=False))
    (port,) = free_ports(1)
    url = f"http://{LOOPBACK}:{port}"
    running = supervisor.start(
        "alertmanager",
        [
            tools.path(Program.ALERTMANAGER),
            f"--config.file={configuration}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address={LOOPBACK}:{port}",
            # One replica has nobody to gossip with.
            "--cluster.listen-address=",
        ],
    )
    supervisor.wait_until("Alertmanager is ready", partial(_is_ready, url), seconds=READY_SECONDS, of=running)
    return Alertmanager(url=url, running=running)


def start_prometheus(
    supervisor: Supervisor,
    tools: Tools,
    jobs: Sequence[ScrapeJob],
    *,
    alertmanager: Alertmanager | None = None,
    scrape_interval: str = "1s",
    evaluation_interval: str = "1s",
    history: Path | None = None,
    name: str = "prometheus",
    port: int | None = None,
) -> Prometheus:
    """Starts Prometheus with the jobs, the rule files that `write_rules` adds, and the Alertmanager.

    `history` is an OpenMetrics file (with timestamps, ending in `# EOF`) that is there as past samples from the start. `name` and
    `port` allow a second instance and a restart at the same address.
    """
    folder = supervisor.state_dir / name
    for part in ("targets", "rules"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for job in jobs:
        _write_targets(folder, job.name, job.groups)
    configuration = folder / "prometheus.yml"
    configuration.write_text(
        yaml.safe_dump(_configuration(folder, jobs, alertmanager, scrape_interval, evaluation_interval), sort_keys=False)
    )
    if history is not None:
        _promtool(tools, "tsdb", "create-blocks-from", "openmetrics", str(history), str(folder / "data"))
    port = port or free_ports(1)[0]
    url = f"http://{LOOPBACK}:{port}"
    running = supervisor.start(
        name,
        [
            tools.path(Program.PROMETHEUS),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=90d",
            f"--web.listen-address={LOOPBACK}:{port}",
            "--web.enable-lifecycle",
            # Prometheus knows its Alertmanager only seconds after a start or a reload; what fired before is sent again this soon.
            "--rules.alert.resend-delay=5s",
        ],
    )
    supervisor.wait_until("Prometheus is ready", partial(_is_ready, url), seconds=READY_SECONDS, of=running)
    return Prometheus(url=url, running=running, folder=folder, tools=tools)


def check_rules(tools: Tools, groups: str, scratch: Path) -> None:
    """`promtool check rules` of YAML text, by way of the file `scratch`; SandboxError with what promtool found."""
    scratch.write_text(groups)
    try:
        _promtool(tools, "check", "rules", str(scratch))
    finally:
        scratch.unlink()


def _configuration(
    folder: Path, jobs: Sequence[ScrapeJob], alertmanager: Alertmanager | None, scrape_interval: str, evaluation_interval: str
) -> dict[str, Any]:
    configuration: dict[str, Any] = {
        "global": {"scrape_interval": scrape_interval, "scrape_timeout": scrape_interval, "evaluation_interval": evaluation_interval},
        "rule_files": [str(folder / "rules" / "*.yaml")],
        "scrape_configs": [
            {
                "job_name": job.name,
                "metrics_path": job.metrics_path,
                "honor_labels": job.honor_labels,
                "file_sd_configs": [{"files": [str(_targets_file(folder, job.name))], "refresh_interval": "2s"}],
                "http_sd_configs": [{"url": job.discovery_url, "refresh_interval": "2s"}] if job.discovery_url else [],
            }
            for job in jobs
        ],
    }
    if alertmanager is not None:
        address = alertmanager.url.removeprefix("http://")
        configuration["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [address]}]}]}
    return configuration


def _targets_file(folder: Path, job: str) -> Path:
    return folder / "targets" / f"{job}.json"


def _write_targets(folder: Path, job: str, groups: Sequence[TargetGroup]) -> None:
    path = _targets_file(folder, job)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps([{"targets": list(group.targets), "labels": dict(group.labels)} for group in groups], indent=1))
    draft.replace(path)


def _promtool(tools: Tools, *arguments: str) -> str:
    done = subprocess.run([tools.path(Program.PROMTOOL), *arguments], check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise SandboxError(f"`promtool {' '.join(arguments)}` failed: {(done.stderr + done.stdout).strip()}")
    return done.stdout


def _is_ready(url: str) -> bool:
    with urllib.request.urlopen(f"{url}/-/ready", timeout=REQUEST_SECONDS) as answer:
        return bool(answer.status == 200)


def _get_json(url: str) -> Any:
    return json.loads(_request(urllib.request.Request(url)))


def _request(request: urllib.request.Request) -> bytes:
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise SandboxError(f"{request.full_url} answered {error.code}: {error.read().decode(errors='replace').strip()}") from error
