"""One run of the operator over a big fleet, and what it cost."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from sandbox.controlplane import ControlPlane
from sandbox.monitoring import Prometheus, start_prometheus
from sandbox.ports import LOOPBACK, free_ports
from sandbox.processes import Running, Supervisor
from sandbox.scale import ScaledFleet, scrape_jobs
from sandbox.scale_cluster import OPERATOR_NAMESPACE, create_fleet, start_api
from sandbox.toolchain import Tools

__all__ = ["Operator", "Scene", "Tick", "scene"]

SCRAPE_SECONDS = 15
TICK_SECONDS = 30.0
WINDOW_SECONDS = 120.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One tick of the operator. `cpu_seconds`: of the whole process, from the end of the tick before to the end of this one."""

    wall_seconds: float
    cpu_seconds: float
    store_seconds: float
    """That Prometheus spent on the operator's queries, from parsing to the last byte of the answer."""
    evaluation_seconds: float
    """That Prometheus's engine spent on them."""
    queries: int
    writes: int
    """Status writes of workloads."""
    memory_bytes: int


class Operator:
    """A running controller process."""

    def __init__(self, running: Running, port: int, prometheus: Prometheus) -> None:
        self.running = running
        self._url = f"http://{LOOPBACK}:{port}/metrics"
        self._prometheus = prometheus

    def ticks(self, count: int, *, seconds: float) -> Iterator[Tick]:
        """The next `count` ticks as they end; TimeoutError when that takes longer than `seconds`."""
        ends = time.monotonic() + seconds
        before = self._look()
        for _ in range(count):
            after = self._look()
            while after.ended == before.ended:
                if time.monotonic() > ends:
                    raise TimeoutError(f"no tick ended within {seconds:.0f} s; the log ends with\n{self.running.log_tail(15)}")
                time.sleep(POLL_SECONDS)
                after = self._look()
            yield Tick(
                wall_seconds=after.wall - before.wall,
                cpu_seconds=after.cpu - before.cpu,
                store_seconds=after.store - before.store,
                evaluation_seconds=after.evaluation - before.evaluation,
                queries=round(after.queries - before.queries),
                writes=round(after.writes - before.writes),
                memory_bytes=self.memory_bytes(),
            )
            before = after

    def memory_bytes(self, *, peak: bool = False) -> int:
        """Resident memory now, or the most there ever was."""
        name = "VmHWM:" if peak else "VmRSS:"
        status = Path(f"/proc/{self.running.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(name))

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.running.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def writes(self) -> int:
        """Status writes of workloads since the start."""
        return round(self._look().writes)

    def _look(self) -> _Figures:
        try:
            own = _scrape(self._url)
        except OSError:
            own = {}
        theirs = _scrape(f"{self._prometheus.url}/metrics")
        return _Figures(
            ended=own.get("mfu_operator_tick_duration_seconds_count", 0.0),
            wall=own.get("mfu_operator_tick_duration_seconds_sum", 0.0),
            queries=own.get("mfu_operator_queries_total", 0.0),
            writes=own.get('mfu_operator_patches_total{kind="ModelWorkload",result="written"}', 0.0),
            cpu=self.cpu_seconds(),
            store=theirs.get('prometheus_http_request_duration_seconds_sum{handler="/api/v1/query"}', 0.0),
            evaluation=theirs.get('prometheus_engine_query_duration_seconds_sum{slice="inner_eval"}', 0.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    ended: float
    wall: float
    queries: float
    writes: float
    cpu: float
    store: float
    evaluation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A fleet whose objects are in an API server and whose series are in a Prometheus."""

    fleet: ScaledFleet
    plane: ControlPlane
    prometheus: Prometheus

    def start_operator(self, name: str = "operator", *, tick_seconds: float = TICK_SECONDS) -> Operator:
        (port,) = free_ports(1)
        kubeconfig = self.plane.kubeconfig_for_service_account(OPERATOR_NAMESPACE, "mfu-operator")
        command = [
            *(sys.executable, "-m", "mfu", "run", "controller"),
            f"--prometheus-url={self.prometheus.url}",
            f"--tick-seconds={tick_seconds:g}",
            f"--rate-window-seconds={WINDOW_SECONDS:g}",
            "--query-timeout-seconds=30",
            f"--bind-address={LOOPBACK}",
            f"--metrics-port={port}",
            f"--lease-namespace={OPERATOR_NAMESPACE}",
            "--lease-seconds=60",
            "--log-format=plain",
        ]
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.plane.folder), "KUBECONFIG": str(kubeconfig)}
        return Operator(self.plane.supervisor.start(name, command, environment=environment), port, self.prometheus)

    def written(self) -> int:
        """How many workloads have a status that says what was observed."""
        items = json.loads(self.plane.kubectl("get", "--raw", "/apis/mfu.dev/v1alpha1/modelworkloads"))["items"]
        return sum("%" in ((item.get("status") or {}).get("observed") or {}).get("mfu", "") for item in items)


@contextmanager
def scene(state_dir: Path, tools: Tools, workloads: int, *, keep: bool = False) -> Iterator[Scene]:
    """Everything but the operator, once the rate window is filled."""
    fleet = ScaledFleet(workloads)
    with Supervisor(state_dir, keep=keep) as supervisor:
        (port,) = free_ports(1)
        supervisor.start("exporters", [sys.executable, "-m", "sandbox.scale", f"--workloads={workloads}", f"--port={port}"])
        prometheus = start_prometheus(supervisor, tools, scrape_jobs(fleet, port), scrape_interval=f"{SCRAPE_SECONDS}s")
        started = time.monotonic()
        plane = start_api(supervisor, tools)
        create_fleet(plane, fleet)
        filled = WINDOW_SECONDS + 2 * SCRAPE_SECONDS
        supervisor.wait_until(
            "the rate window is filled", lambda: time.monotonic() - started > filled, seconds=2 * filled, interval_seconds=1.0
        )
        yield Scene(fleet=fleet, plane=plane, prometheus=prometheus)


def _scrape(url: str) -> Mapping[str, float]:
    """Series (name, and labels in braces) to value."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found
