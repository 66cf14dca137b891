"""The main job, end to end: control plane, fleet, Prometheus and Alertmanager, chart, policies, workloads, and what comes of it.

    python -m sandbox.demo [--keep] [--state FOLDER]

Exits 0 only if what it showed is what the story says.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from sandbox.controlplane import ControlPlane, start_control_plane
from sandbox.errors import SandboxError
from sandbox.fleet import Pool, create_nodes
from sandbox.installation import RULES, Installation, install
from sandbox.monitoring import Alertmanager, Prometheus, ScrapeJob, TargetGroup, start_alertmanager, start_prometheus
from sandbox.ports import LOOPBACK, free_ports
from sandbox.processes import Supervisor
from sandbox.state import default_state_folder
from sandbox.toolchain import Tools, ensure_tools
from sandbox.witness import EXPECTATIONS, Witness

__all__ = ["SCENARIO", "Stage", "main", "raise_stage"]

SCENARIO = Path(__file__).resolve().parent / "scenarios" / "demo"
TICK_SECONDS = 5
RATE_WINDOW_SECONDS = 30


class Stage:
    """Everything that runs for a demonstration or an end-to-end test."""

    def __init__(self, *, plane: ControlPlane, prometheus: Prometheus, alertmanager: Alertmanager, operator: Installation) -> None:
        self.plane = plane
        self.prometheus = prometheus
        self.alertmanager = alertmanager
        self.operator = operator

    def apply(self, file: str) -> str:
        """`kubectl apply` of one file of the scenario."""
        return self.plane.kubectl("apply", "-f", str(SCENARIO / file))

    def mfu(self, *arguments: str) -> str:
        """The CLI against this cluster."""
        done = subprocess.run(
            [sys.executable, "-m", "mfu", *arguments],
            check=False,
            capture_output=True,
            text=True,
            env={**self.plane.environment, "COLUMNS": "150"},
            timeout=60,
        )
        if done.returncode != 0:
            raise SandboxError(f"`mfu {' '.join(arguments)}` ended with status {done.returncode}: {done.stderr.strip()}")
        return done.stdout


def raise_stage(supervisor: Supervisor, tools: Tools, pools: tuple[Pool, ...] | None = None) -> Stage:
    """Starts control plane, fleet, simulator, monitoring and the operator under `supervisor`; nothing is declared yet.

    `pools`: another fleet than the one of `data/fleet.yaml`.
    """
    plane = start_control_plane(supervisor, tools)
    nodes = create_nodes(plane, pools)
    _say(f"{nodes} nodes are Ready at {plane.server}")

    (simulator_port,) = free_ports(1)
    simulator = f"{LOOPBACK}:{simulator_port}"
    command = [sys.executable, "-m", "sandbox.telemetry", "--story", str(SCENARIO / "story.yaml"), "--port", str(simulator_port)]
    supervisor.start("telemetry", command, environment=plane.environment, cwd=Path(__file__).resolve().parents[1])
    alertmanager = start_alertmanager(supervisor, tools)
    prometheus = start_prometheus(
        supervisor,
        tools,
        [ScrapeJob(name="exporters", discovery_url=f"http://{simulator}/targets"), ScrapeJob(name="mfu-operator", honor_labels=True)],
        alertmanager=alertmanager,
        scrape_interval="2s",
        evaluation_interval="2s",
    )
    prometheus.write_rules("mfu-operator", RULES.read_text())
    _say(f"Prometheus at {prometheus.url}, Alertmanager at {alertmanager.url}")

    operator = install(plane, prometheus_url=prometheus.url, tick_seconds=TICK_SECONDS, rate_window_seconds=RATE_WINDOW_SECONDS)
    prometheus.set_targets("mfu-operator", [TargetGroup(targets=list(operator.metrics.values()))])
    _say("the chart is installed; controller and webhook run with its ServiceAccounts' tokens")
    return Stage(plane=plane, prometheus=prometheus, alertmanager=alertmanager, operator=operator)


def perform(stage: Stage, witness: Witness) -> None:
    """Applies the scenario as its tenants would."""
    for file in sorted(path.name for path in SCENARIO.glob("[0-9]*.yaml")):
        _say(f"kubectl apply -f {file}")
        witness.applied[file] = stage.apply(file)
    refused = "refused-llama-405b-one-node.yaml"
    _say(f"kubectl apply -f {refused}")
    witness.apply_refused(refused)


def show(stage: Stage) -> None:
    """What a person would ask for, in the order they would."""
    kubectl = stage.plane.kubectl
    _heading("kubectl get mw -A")
    print(kubectl("get", "mw", "-A"))
    for namespace, name in (("research", "llama-70b-pretrain"), ("research", "llama-8b-overscaled"), ("science", "llama-8b-finetune")):
        _heading(f"kubectl describe mw {name} -n {namespace}")
        print(kubectl("describe", "mw", name, "-n", namespace))
    _heading("kubectl get events -A --field-selector involvedObject.kind=ModelWorkload")
    print(kubectl("get", "events", "-A", "--field-selector", "involvedObject.kind=ModelWorkload", "--sort-by=.lastTimestamp"))
    _heading("the alert as Alertmanager holds it")
    for alert in stage.alertmanager.alerts():
        labels = alert["labels"]
        print(f"{labels['alertname']}  {labels.get('namespace', '')}/{labels.get('workload', '')}  {alert['status']['state']}")
        print(f"  {alert['annotations'].get('summary', '')}\n  {alert['annotations'].get('description', '')}")
    _heading("mfu fleet")
    print(stage.mfu("fleet"))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.demo", description="Runs the main job end to end on a real local control plane."
    )
    parser.add_argument("--keep", action="store_true", help="leave everything running; end it with `make demo-down`")
    parser.add_argument("--state", type=Path, default=default_state_folder(), help="state folder (default: %(default)s)")
    arguments = parser.parse_args(argv)
    started = time.monotonic()
    try:
        tools = ensure_tools()
        with Supervisor(arguments.state, keep=arguments.keep) as supervisor:
            stage = raise_stage(supervisor, tools)
            witness = Witness(stage.plane, stage.alertmanager, stage.prometheus, stage.operator, SCENARIO)
            perform(stage, witness)
            _say("watching the story unfold (the data loader of science/llama-8b-finetune starves after a minute)")
            results = witness.wait_for(EXPECTATIONS)
            show(stage)
            _heading("what the story says")
            for expectation, reason in results:
                print(f"{'✗' if reason else '✓'} {expectation.says}{f' — {reason}' if reason else ''}")
            failed = sum(bool(reason) for _, reason in results)
            print(f"\n{len(results) - failed} of {len(results)} hold, after {time.monotonic() - started:.0f} s")
            if arguments.keep:
                print(f"\nexport KUBECONFIG={stage.plane.kubeconfig}")
                print(f"Prometheus    {stage.prometheus.url}")
                print(f"Alertmanager  {stage.alertmanager.url}")
                print("End it with `make demo-down`.")
            return 1 if failed else 0
    except SandboxError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; everything it started has been ended", file=sys.stderr)
        return 130


def _say(line: str) -> None:
    print(f"› {line}", flush=True)


def _heading(text: str) -> None:
    print(f"\n$ {text}\n{'─' * min(100, len(text) + 2)}", flush=True)


if __name__ == "__main__":
    # A closed pipe (`make demo | head`) is no error of ours.
    try:
        sys.exit(main())
    except BrokenPipeError:
        os._exit(141)
