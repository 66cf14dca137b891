"""The telemetry simulator: watches which labelled pods really run, plays the story on them, and serves what exporters would.

    python -m sandbox.telemetry --story FILE --port PORT        (the cluster is the one of KUBECONFIG)

`/targets` is a Prometheus HTTP service-discovery list: one target for each node's dcgm-exporter and one for each pod that serves metrics,
with the labels that the operator's Prometheus would attach (so dcgm-exporter's own pod labels arrive as `exported_pod`, as they do with
the default ServiceMonitor).
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric

from sandbox.exporters import DcgmDevice, EngineCounters, TrainingCounters, dcgm_families, training_families, vllm_families
from sandbox.ports import LOOPBACK
from sandbox.story import Tale, read_story

__all__ = ["Node", "Pod", "Simulation", "main"]

DEVICES = Path(__file__).resolve().parent / "data" / "devices.yaml"
WORKLOAD_LABEL = "mfu.dev/workload"
INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
DEVICE_RESOURCE = "nvidia.com/gpu"
TICK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    name: str
    labels: Mapping[str, str]
    devices: int

    @property
    def product(self) -> str:
        return self.labels.get("nvidia.com/gpu.product", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A running pod of a workload."""

    namespace: str
    name: str
    workload: str
    node: str
    devices: int
    index: int  # completion index of an indexed Job, else 0
    container: str

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name


@dataclass(slots=True, kw_only=True)
class Simulation:
    """All state between two looks at the cluster. `advance` moves the story on; the rest reads."""

    story: Mapping[tuple[str, str], Tale]
    products: Mapping[str, Mapping[str, Any]]
    nodes: dict[str, Node] = field(default_factory=dict)
    pods: dict[tuple[str, str], Pod] = field(default_factory=dict)
    running_seconds: dict[tuple[str, str], float] = field(default_factory=dict)  # by workload, since all its pods run
    training: dict[tuple[str, str], TrainingCounters] = field(default_factory=dict)  # by pod
    serving: dict[tuple[str, str], EngineCounters] = field(default_factory=dict)  # by pod
    lock: threading.Lock = field(default_factory=threading.Lock)

    def advance(self, seconds: float, pods: Mapping[tuple[str, str], Pod]) -> None:
        """The cluster now runs `pods`, and `seconds` went by since the last look."""
        with self.lock:
            self.pods = dict(pods)
            for gone in set(self.training) - set(pods):
                del self.training[gone]
            for gone in set(self.serving) - set(pods):
                del self.serving[gone]
            gangs = self.gangs()
            self.running_seconds = {key: self.running_seconds.get(key, 0.0) + seconds for key in gangs}
            for key, gang in gangs.items():
                if tale := self.story.get(key):
                    self._count(tale, gang, self.running_seconds[key], seconds)

    def gangs(self) -> dict[tuple[str, str], list[Pod]]:
        """Running pods by (namespace, workload)."""
        gangs: dict[tuple[str, str], list[Pod]] = {}
        for pod in self.pods.values():
            gangs.setdefault((pod.namespace, pod.workload), []).append(pod)
        return gangs

    def _count(self, tale: Tale, gang: list[Pod], elapsed: float, seconds: float) -> None:
        if tale.training is not None:
            first = min(gang, key=lambda pod: (pod.index, pod.name))
            rates = tale.training_rates(sum(pod.devices for pod in gang), elapsed, self._labels(gang))
            counters = self.training.setdefault(first.key, TrainingCounters())
            counters.tokens += rates.tokens_per_second * seconds
            counters.steps += rates.steps_per_second * seconds
            counters.data_wait_seconds += rates.data_wait_ratio * seconds
        elif tale.serving is not None:
            replica = tale.serving_rates()
            for pod in gang:
                engine = self.serving.setdefault(pod.key, EngineCounters(model=tale.serving.model))
                engine.prompt_tokens += replica.prompt_tokens_per_second * seconds
                engine.generation_tokens += replica.generation_tokens_per_second * seconds
                engine.requests += replica.requests_per_second * seconds
                engine.running, engine.waiting = tale.serving.running, tale.serving.waiting
                engine.cache_usage_ratio = tale.serving.cache_usage_ratio
                engine.prompt_tokens_each, engine.generation_tokens_each = tale.serving.prompt_tokens, tale.serving.generation_tokens

    def _labels(self, gang: list[Pod]) -> list[Mapping[str, str]]:
        return [self.nodes[pod.node].labels for pod in gang if pod.node in self.nodes]

    def devices(self, node: Node) -> Iterator[DcgmDevice]:
        """Every device of a node: the running pods' ones first, in the order of the pods' names, then the idle ones."""
        product = self.products.get(node.product)
        if product is None:
            return
        index = 0
        clock_ratio = product["loadClock"] / product["maxClock"]
        gangs = self.gangs()
        for pod in sorted((pod for pod in self.pods.values() if pod.node == node.name), key=lambda pod: pod.key):
            key = (pod.namespace, pod.workload)
            tale = self.story.get(key)
            for _ in range(pod.devices):
                if tale is None:
                    yield DcgmDevice(node=node.name, index=index, model_name=product["name"], namespace=pod.namespace, pod=pod.name)
                else:
                    load = tale.device_load(self.running_seconds.get(key, 0.0), self._labels(gangs[key]), clock_ratio)
                    yield DcgmDevice(
                        node=node.name,
                        index=index,
                        model_name=product["name"],
                        namespace=pod.namespace,
                        pod=pod.name,
                        container=pod.container,
                        tensor_active_ratio=load.tensor_active_ratio,
                        memory_active_ratio=load.memory_active_ratio,
                        busy_ratio=load.busy_ratio,
                        clock_megahertz=product["loadClock"],
                        power_watts=product["idleWatts"] + load.load_ratio * (product["loadWatts"] - product["idleWatts"]),
                        memory_used_mebibytes=60000.0,
                    )
                index += 1
        for idle in range(index, node.devices):
            yield DcgmDevice(node=node.name, index=idle, model_name=product["name"], power_watts=product["idleWatts"])

    def targets(self, address: str) -> list[dict[str, object]]:
        """Prometheus HTTP service discovery: what can be scraped now."""
        with self.lock:
            exporters: list[dict[str, object]] = [
                {
                    "targets": [address],
                    "labels": {
                        "__metrics_path__": f"/dcgm/{node.name}",
                        "job": "nvidia-dcgm-exporter",
                        "namespace": "gpu-operator",
                        "pod": f"nvidia-dcgm-exporter-{node.name}",
                        "container": "nvidia-dcgm-exporter",
                        "instance": f"{node.name}:9400",
                    },
                }
                for node in self.nodes.values()
                if node.product in self.products
            ]
            pods: list[dict[str, object]] = [
                {
                    "targets": [address],
                    "labels": {
                        "__metrics_path__": f"/pods/{namespace}/{name}",
                        "job": "workloads",
                        "namespace": namespace,
                        "pod": name,
                        "instance": name,
                    },
                }
                for namespace, name in [*self.training, *self.serving]
            ]
            return [*exporters, *pods]

    def families(self, path: str) -> list[Metric] | None:
        """The metric families behind a target's path; None where there is no such target."""
        with self.lock:
            match path.strip("/").split("/"):
                case ["dcgm", name] if name in self.nodes:
                    return list(dcgm_families(self.devices(self.nodes[name])))
                case ["pods", namespace, name] if (namespace, name) in self.training:
                    return list(training_families(self.training[namespace, name]))
                case ["pods", namespace, name] if (namespace, name) in self.serving:
                    return list(vllm_families(self.serving[namespace, name]))
                case _:
                    return None


class _Families:
    """A collector of ready families."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _handler(simulation: Simulation) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/targets":
                self._answer(200, "application/json", json.dumps(simulation.targets(self.headers["Host"])).encode())
            elif (families := simulation.families(self.path)) is not None:
                registry = CollectorRegistry(auto_describe=False)
                registry.register(_Families(families))
                self._answer(200, "text/plain; version=0.0.4", generate_latest(registry))
            else:
                self._answer(404, "text/plain", b"no such exporter\n")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class names it so
            """Scrapes are not worth a line each."""

    return Handler


def _items(response: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(response.data)["items"]
    return items


def _read_nodes(api: client.CoreV1Api) -> dict[str, Node]:
    nodes = {}
    for item in _items(api.list_node(_preload_content=False, _request_timeout=10)):
        name = item["metadata"]["name"]
        count = int(item["status"].get("capacity", {}).get(DEVICE_RESOURCE, 0))
        nodes[name] = Node(name=name, labels=item["metadata"].get("labels", {}), devices=count)
    return nodes


def _read_pods(api: client.CoreV1Api) -> dict[tuple[str, str], Pod]:
    pods = {}
    for item in _items(api.list_pod_for_all_namespaces(label_selector=WORKLOAD_LABEL, _preload_content=False, _request_timeout=10)):
        metadata, spec = item["metadata"], item["spec"]
        if item["status"].get("phase") != "Running" or "deletionTimestamp" in metadata:
            continue
        pod = Pod(
            namespace=metadata["namespace"],
            name=metadata["name"],
            workload=metadata["labels"][WORKLOAD_LABEL],
            node=spec["nodeName"],
            devices=sum(int(container.get("resources", {}).get("limits", {}).get(DEVICE_RESOURCE, 0)) for container in spec["containers"]),
            index=int(metadata.get("annotations", {}).get(INDEX_ANNOTATION, 0)),
            container=spec["containers"][0]["name"],
        )
        pods[pod.key] = pod
    return pods


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.telemetry", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--story", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args(argv)

    config.load_kube_config()  # type: ignore[no-untyped-call]
    api = client.CoreV1Api()
    simulation = Simulation(story=read_story(arguments.story), products=yaml.safe_load(DEVICES.read_text()))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = ThreadingHTTPServer((LOOPBACK, arguments.port), _handler(simulation))
    threading.Thread(target=server.serve_forever, daemon=True).start()

    looked = time.monotonic()
    while not stop.wait(TICK_SECONDS):
        try:
            nodes, pods = _read_nodes(api), _read_pods(api)
        except (client.ApiException, OSError) as error:
            # A restarted API server is part of some scenarios: keep serving what was seen last.
            print(f"the API server did not answer: {error}", flush=True)
            continue
        now = time.monotonic()
        simulation.nodes = nodes
        simulation.advance(now - looked, pods)
        looked = now
    server.shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
