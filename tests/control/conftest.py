"""The operator's own resources in the run's control plane, a small fleet, and the operator's processes."""

import json
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfu.api.crds import custom_resource_definitions
from sandbox.cluster import CommandFailed
from sandbox.controlplane import NODE_SELECTOR, ControlPlane
from sandbox.ports import free_ports
from sandbox.processes import Running

SOURCES = Path(__file__).resolve().parents[2] / "operator"
LEAF = "network.topology.nvidia.com/leaf"
NODES = tuple(f"ctl-{leaf}-{number}" for leaf in range(2) for number in range(4))

Json = dict[str, Any]


def node(name: str) -> Json:
    """Eight H100 SXM behind leaf switch 0 or 1."""
    resources = {"cpu": "200", "memory": "2Ti", "pods": "200", "nvidia.com/gpu": "8"}
    labels = {
        **NODE_SELECTOR,
        "kubernetes.io/hostname": name,
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu.count": "8",
        "nvidia.com/gpu.memory": "81559",
        LEAF: f"leaf-{name.split('-')[1]}",
        "network.topology.nvidia.com/spine": "spine-0",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {"capacity": resources, "allocatable": resources},
    }


def workload(name: str, namespace: str, **changes: Any) -> Json:
    """Llama 3.1 8B on 16 H100: a healthy intent. `changes` replace parts of the spec."""
    spec = {
        "model": {"catalog": "llama-3.1-8b"},
        "precision": {"compute": "bf16"},
        "accelerators": {"class": "h100-sxm-80gb", "count": 16, "perNode": 8},
        "training": {
            "sequenceLength": 8192,
            "globalBatchSize": 256,
            "microBatchSize": 1,
            "parallelism": {"tensor": 4, "pipeline": 1, "data": 4},
            "framework": {"name": "megatron-core", "version": "0.8"},
        },
        **changes,
    }
    return {"apiVersion": "mfu.dev/v1alpha1", "kind": "ModelWorkload", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def pod_spec(gpus: int) -> Json:
    resources = {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {}
    return {"containers": [{"name": "main", "image": "example.invalid/main", "resources": resources}]}


def held_job(name: str, namespace: str, *, pods: int = 2, gpus: int = 8, of: str | None = None) -> Json:
    """A Job as the chart's admission policy leaves it at creation."""
    labels = {"mfu.dev/workload": of or name}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": {"mfu.dev/gated": "suspend"}},
        "spec": {
            "suspend": True,
            "parallelism": pods,
            "completions": pods,
            "completionMode": "Indexed",
            "template": {"metadata": {"labels": labels}, "spec": {**pod_spec(gpus), "restartPolicy": "Never"}},
        },
    }


def held_pod(name: str, namespace: str, *, of: str, gpus: int = 8, gates: tuple[str, ...] = ("mfu.dev/admission",)) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"mfu.dev/workload": of}},
        "spec": {**pod_spec(gpus), "schedulingGates": [{"name": gate} for gate in gates]},
    }


def policy(name: str, namespace: str, **spec: Any) -> Json:
    """A policy for one namespace only, so that tests do not meet each other's."""
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return {
        "apiVersion": "mfu.dev/v1alpha1",
        "kind": "MFUPolicy",
        "metadata": {"name": name},
        "spec": {"namespaceSelector": selector, **spec},
    }


def eventually(what: str, ask: Callable[[], Any], *, seconds: float = 30.0) -> Any:
    """The first true answer."""
    ends = time.monotonic() + seconds
    while True:
        try:
            answer = ask()
        except (CommandFailed, OSError):
            answer = None
        if answer:
            return answer
        if time.monotonic() > ends:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A running process of the operator and where its probes answer."""

    running: Running
    url: str

    def metric(self, name: str) -> float:
        """The value of a series as it is written in the exposition, NaN when it is absent."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
            for line in answer.read().decode().splitlines():
                series, _, value = line.rpartition(" ")
                if series == name:
                    return float(value)
        return float("nan")

    def answers(self, path: str) -> bool:
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            return bool(answer.status == 200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """The run's control plane with the custom resources installed."""

    plane: ControlPlane

    def apply(self, *objects: Json) -> None:
        self.plane.apply(yaml.safe_dump_all(objects))

    def get(self, kind: str, name: str, namespace: str = "default") -> Json:
        return dict(json.loads(self.plane.kubectl("get", kind, name, "--namespace", namespace, "--output=json")))

    def items(self, kind: str, namespace: str) -> list[Json]:
        return list(json.loads(self.plane.kubectl("get", kind, "--namespace", namespace, "--output=json"))["items"])

    def status(self, name: str, namespace: str) -> Json:
        return dict(self.get("modelworkload", name, namespace).get("status") or {})

    def judged(self, name: str, namespace: str) -> Json:
        """The status once there is one."""
        return dict(eventually(f"{namespace}/{name} has a status", lambda: self.status(name, namespace)))

    def reasons(self, namespace: str, name: str) -> list[str]:
        """Reasons of the events of one object."""
        return [event["reason"] for event in self.items("events", namespace) if event["involvedObject"]["name"] == name]

    def start(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Process:
        """`mfu run …` as the cluster's administrator; the probes' port is added."""
        (port,) = free_ports(1)
        running = self.plane.supervisor.start(
            name,
            [sys.executable, "-m", "mfu", "run", *arguments, "--bind-address=127.0.0.1", f"--metrics-port={port}", "--log-format=plain"],
            environment={**self.plane.environment, "PYTHONPATH": str(SOURCES), **(environment or {})},
        )
        process = Process(running=running, url=f"http://127.0.0.1:{port}")
        self.plane.supervisor.wait_until(f"{name} is alive", lambda: process.answers("/healthz"), seconds=30, of=running)
        return process

    def start_controller(self, name: str, *arguments: str, lease: str = "ctl") -> Process:
        return self.start(
            name, "controller", f"--identity={name}", f"--lease-name={lease}", "--lease-namespace=default", "--tick-seconds=1", *arguments
        )

    def end(self, process: Process) -> None:
        if process.running.exit_status() is None:
            self.plane.supervisor.end(process.running)


@pytest.fixture(scope="module")
def operator(control_plane: ControlPlane) -> Iterator[Operator]:
    """The custom resources and a fleet of eight nodes; all gone again afterwards, for others install them in their own way."""
    operator = Operator(plane=control_plane)
    definitions = custom_resource_definitions()
    names = [str(definition["metadata"]["name"]) for definition in definitions.values()]
    operator.apply(*definitions.values(), *(node(name) for name in NODES))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in names))
    control_plane.kubectl("wait", "--for=condition=Ready", "--timeout=60s", *(f"node/{name}" for name in NODES))
    yield operator
    control_plane.kubectl("delete", "nodes", *NODES, "--wait=false")
    control_plane.kubectl("delete", "crd", *names, "--timeout=60s")


@pytest.fixture
def clean(operator: Operator, namespace: str) -> Iterator[str]:
    """A namespace whose pods, Jobs, workloads and policies are gone before the next test starts: the fleet is small."""
    yield namespace
    operator.plane.kubectl(
        "delete", "jobs,deployments,pods,modelworkloads", "--all", "--namespace", namespace, "--grace-period=0", "--force"
    )
    operator.plane.kubectl("delete", "mfupolicies", "--all")
