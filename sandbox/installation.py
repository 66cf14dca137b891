"""Installs the chart with the real helm and runs its two processes, with nothing but what the chart gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.controlplane import ControlPlane
from sandbox.kubelet import run_deployment
from sandbox.ports import LOOPBACK, free_ports
from sandbox.processes import Running

__all__ = ["CHART", "NAMESPACE", "RULES", "Installation", "install"]

CHART = Path(__file__).resolve().parents[1] / "charts" / "mfu-operator"
RULES = CHART / "files" / "rules.yaml"
RELEASE = "mfu-operator"
NAMESPACE = "mfu-system"
WEBHOOK_SECRET = "mfu-operator-webhook-certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A running operator. `metrics` are the addresses of its processes' /metrics, by process."""

    controller: Running
    webhook: Running
    metrics: Mapping[str, str]

    @property
    def controller_account(self) -> str:
        return f"system:serviceaccount:{NAMESPACE}:{RELEASE}-controller"

    @property
    def webhook_account(self) -> str:
        return f"system:serviceaccount:{NAMESPACE}:{RELEASE}-webhook"


def install(plane: ControlPlane, *, prometheus_url: str, tick_seconds: int, rate_window_seconds: int) -> Installation:
    """`helm install` into `mfu-system` for processes outside of the cluster, then starts controller and webhook and waits for both.

    Without kube-proxy the API server cannot reach a Service, so the webhook is named by its URL, as in any out-of-cluster run.
    """
    controller_port, webhook_port, webhook_metrics_port = free_ports(3)
    pair = plane.authority.issue_server_certificate("mfu-webhook", dns=["localhost"], ips=[LOOPBACK])
    values = {
        "prometheus": {"url": prometheus_url, "rateWindowSeconds": rate_window_seconds},
        "controller": {"tickSeconds": tick_seconds, "metricsPort": controller_port, "extraArgs": [f"--bind-address={LOOPBACK}"]},
        "webhook": {
            "url": f"https://{LOOPBACK}:{webhook_port}",
            "caBundle": plane.ca_certificate.read_text(),
            "port": webhook_port,
            "metricsPort": webhook_metrics_port,
            "certificate": {"mode": "existingSecret", "existingSecret": WEBHOOK_SECRET},
            "extraArgs": [f"--bind-address={LOOPBACK}"],
        },
        "logFormat": "plain",
    }
    plane.kubectl("create", "namespace", NAMESPACE)
    plane.kubectl("create", "secret", "tls", WEBHOOK_SECRET, "-n", NAMESPACE, f"--cert={pair.certificate}", f"--key={pair.key}")
    file = plane.folder / "values.json"
    file.write_text(json.dumps(values))
    out_of_cluster = CHART / "ci" / "out-of-cluster-values.yaml"
    plane.helm("install", RELEASE, str(CHART), "-n", NAMESPACE, "-f", str(out_of_cluster), "-f", str(file), "--no-hooks")
    plane.kubectl("wait", "crd", "--for=condition=Established", "--timeout=30s", "modelworkloads.mfu.dev", "mfupolicies.mfu.dev")
    return Installation(
        controller=run_deployment(plane, NAMESPACE, f"{RELEASE}-controller"),
        webhook=run_deployment(plane, NAMESPACE, f"{RELEASE}-webhook"),
        metrics={"controller": f"{LOOPBACK}:{controller_port}", "webhook": f"{LOOPBACK}:{webhook_metrics_port}"},
    )
