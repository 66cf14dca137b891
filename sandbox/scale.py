"""A big fleet at little cost: which jobs run where, and what their exporters would serve, as exposition text.

    python -m sandbox.scale --workloads 5000 --port 9400

serves `/devices/<block>` (dcgm-exporter of the nodes of a block) and `/applications/<block>` (vLLM and the training reporter of the
block's pods). What does not count upwards is rendered once, in a few variants with noise; a scrape of a block is then one write.
"""

from __future__ import annotations

import argparse
import math
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sandbox.exporters import DRIVER, device_uuid
from sandbox.monitoring import ScrapeJob, TargetGroup
from sandbox.ports import LOOPBACK

__all__ = ["ACCELERATORS_EACH", "GPUS_PER_NODE", "ScaledFleet", "ScaledJob", "ScaledPod", "Shape", "scrape_jobs"]

GPUS_PER_NODE = 8
ACCELERATORS_EACH = 8
"""Accelerators of the fleet for each workload, on average."""

NAMESPACES = 20
NODES_PER_BLOCK = 50
VARIANTS = 3
# The mean of a rate over two minutes moves by at most this: 2 × amplitude ÷ window.
NOISE_SECONDS, NOISE_PERIOD_SECONDS = 0.3, 47.0
MODEL_NAME = "NVIDIA H100 80GB HBM3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One kind of job. `share`: how many of a hundred workloads are of it; rates are those of the whole job."""

    name: str
    share: int
    accelerators: int
    accelerators_per_pod: int
    tensor_active_ratio: float
    tokens_per_second: float
    prompt_tokens_per_second: float = 0.0  # inference only
    pipeline: int = 1
    tensor: int = 1

    @property
    def trains(self) -> bool:
        return self.prompt_tokens_per_second == 0.0


SHAPES = (
    Shape(
        name="pretrain",
        share=1,
        accelerators=128,
        accelerators_per_pod=8,
        tensor_active_ratio=0.50,
        tokens_per_second=1.13e6,
        tensor=2,
    ),
    Shape(name="tune", share=10, accelerators=16, accelerators_per_pod=8, tensor_active_ratio=0.51, tokens_per_second=1.43e5, tensor=2),
    Shape(name="adapt", share=39, accelerators=8, accelerators_per_pod=8, tensor_active_ratio=0.52, tokens_per_second=7.2e4, tensor=2),
    Shape(
        name="chat",
        share=50,
        accelerators=4,
        accelerators_per_pod=4,
        tensor_active_ratio=0.16,
        tokens_per_second=7000.0,
        prompt_tokens_per_second=28000.0,
        tensor=4,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledPod:
    name: str
    namespace: str
    node: int
    first_device: int
    devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledJob:
    number: int
    name: str
    namespace: str
    shape: Shape
    pods: tuple[ScaledPod, ...]

    @property
    def speed_ratio(self) -> float:
        """One job in fifty is slow, as in a real fleet: it drifts."""
        return 0.7 if self.number % 50 == 7 else 1.0


@dataclass(frozen=True)
class ScaledFleet:
    """`workloads` jobs, whose pods fill nodes of eight devices one after the other."""

    workloads: int

    @cached_property
    def jobs(self) -> tuple[ScaledJob, ...]:
        mix = [shape for shape in SHAPES for _ in range(shape.share)]
        # Strides through the hundred, so that a small fleet has the same mix; 37 and 100 have no common divisor.
        chosen = [mix[37 * number % len(mix)] for number in range(self.workloads)]
        nodes, jobs = 0, []
        half_full: int | None = None
        for number, shape in enumerate(chosen):
            name, namespace = f"{shape.name}-{number:05d}", f"team-{number % NAMESPACES:02d}"
            pods = []
            for rank in range(shape.accelerators // shape.accelerators_per_pod):
                devices = shape.accelerators_per_pod
                if devices < GPUS_PER_NODE and half_full is not None:
                    node, half_full, first = half_full, None, GPUS_PER_NODE - devices
                else:
                    node, nodes, first = nodes, nodes + 1, 0
                    half_full = node if devices < GPUS_PER_NODE else half_full
                pods.append(ScaledPod(name=f"{name}-{rank}", namespace=namespace, node=node, first_device=first, devices=devices))
            jobs.append(ScaledJob(number=number, name=name, namespace=namespace, shape=shape, pods=tuple(pods)))
        return tuple(jobs)

    @cached_property
    def nodes(self) -> int:
        return max(pod.node for job in self.jobs for pod in job.pods) + 1

    @property
    def blocks(self) -> int:
        return math.ceil(self.nodes / NODES_PER_BLOCK)

    @property
    def accelerators(self) -> int:
        """Those that pods hold."""
        return sum(pod.devices for job in self.jobs for pod in job.pods)


def node_name(index: int) -> str:
    return f"h100-{index:04d}"


def scrape_jobs(fleet: ScaledFleet, port: int) -> list[ScrapeJob]:
    """One target for each block and kind of exporter."""
    return [
        ScrapeJob(
            name=name,
            honor_labels=True,
            groups=[
                TargetGroup(targets=[f"{LOOPBACK}:{port}"], labels={"__metrics_path__": f"/{name}/{block}"})
                for block in range(fleet.blocks)
            ],
        )
        for name in ("devices", "applications")
    ]


class Exposition:
    """The text of every block; device figures are rendered once in `VARIANTS` variants."""

    def __init__(self, fleet: ScaledFleet) -> None:
        self._blocks: list[list[tuple[ScaledJob, ScaledPod, int]]] = [[] for _ in range(fleet.blocks)]
        for job in fleet.jobs:
            for rank, pod in enumerate(job.pods):
                self._blocks[pod.node // NODES_PER_BLOCK].append((job, pod, rank))
        self._devices = [[_text(_device_lines(entries, variant)) for variant in range(VARIANTS)] for entries in self._blocks]
        self._started = time.monotonic()

    def devices(self, block: int) -> bytes:
        return self._devices[block][int(time.monotonic() - self._started) // 15 % VARIANTS]

    def applications(self, block: int) -> bytes:
        now = time.monotonic() - self._started + 3600.0
        lines: list[str] = []
        for job, pod, rank in self._blocks[block]:
            if job.shape.trains:
                if rank == 0:
                    lines += _training_lines(job, pod, now)
            else:
                lines += _engine_lines(job, pod, now)
        return _text(lines)


def _text(lines: Iterator[str] | list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def _device_lines(entries: list[tuple[ScaledJob, ScaledPod, int]], variant: int) -> Iterator[str]:
    for job, pod, _ in entries:
        wobble = 1.0 + 0.01 * math.sin(job.number + 2.1 * variant)
        active = job.shape.tensor_active_ratio * job.speed_ratio * wobble
        figures = (
            ("DCGM_FI_DEV_SM_CLOCK", 1755.0),
            ("DCGM_FI_DEV_POWER_USAGE", 560.0 * wobble),
            ("DCGM_FI_DEV_GPU_UTIL", 98.0),
            ("DCGM_FI_DEV_FB_USED", 71000.0),
            ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", active),
            ("DCGM_FI_PROF_DRAM_ACTIVE", 0.4 * wobble),
            ("DCGM_FI_PROF_PCIE_TX_BYTES", 2.0e9 * wobble),
            ("DCGM_FI_PROF_PCIE_RX_BYTES", 2.1e9 * wobble),
        )
        node = node_name(pod.node)
        for device in range(pod.first_device, pod.first_device + pod.devices):
            labels = (
                f'gpu="{device}",UUID="{device_uuid(node, device)}",pci_bus_id="00000000:{0x10 + device:02X}:00.0",device="nvidia{device}",'
                f'modelName="{MODEL_NAME}",Hostname="{node}",DCGM_FI_DRIVER_VERSION="{DRIVER}",container="main",'
                f'namespace="{pod.namespace}",pod="{pod.name}"'
            )
            for name, value in figures:
                yield f"{name}{{{labels}}} {value:.6g}"


def _counted(job: ScaledJob, now: float, per_second: float) -> float:
    return job.speed_ratio * per_second * (now + NOISE_SECONDS * math.sin(now / NOISE_PERIOD_SECONDS + job.number))


def _training_lines(job: ScaledJob, pod: ScaledPod, now: float) -> list[str]:
    labels = f'namespace="{pod.namespace}",pod="{pod.name}"'
    tokens = _counted(job, now, job.shape.tokens_per_second)
    return [
        f"mfu_training_tokens_total{{{labels}}} {tokens:.0f}",
        f"mfu_training_steps_total{{{labels}}} {now / 4.0:.2f}",
        f"mfu_training_data_wait_seconds_total{{{labels}}} {0.01 * now:.3f}",
    ]


def _engine_lines(job: ScaledJob, pod: ScaledPod, now: float) -> list[str]:
    labels = f'namespace="{pod.namespace}",pod="{pod.name}",model_name="m",engine="0"'
    prompt = _counted(job, now, job.shape.prompt_tokens_per_second)
    generated = _counted(job, now, job.shape.tokens_per_second)
    requests = generated / 256.0
    lines = [
        f"vllm:prompt_tokens_total{{{labels}}} {prompt:.0f}",
        f"vllm:generation_tokens_total{{{labels}}} {generated:.0f}",
        f"vllm:num_preemptions_total{{{labels}}} 0",
        f'vllm:prompt_tokens_by_source_total{{{labels},source="local_compute"}} {prompt:.0f}',
        f'vllm:prompt_tokens_by_source_total{{{labels},source="local_cache_hit"}} 0',
        f'vllm:prompt_tokens_by_source_total{{{labels},source="external_kv_transfer"}} 0',
        f'vllm:request_success_total{{{labels},finished_reason="stop"}} {requests:.1f}',
        f"vllm:num_requests_running{{{labels}}} 64",
        f"vllm:num_requests_waiting{{{labels}}} 0",
        f"vllm:kv_cache_usage_perc{{{labels}}} 0.35",
    ]
    for name, tokens in (("prompt", prompt), ("generation", generated)):
        lines += [
            f'vllm:request_{name}_tokens_bucket{{{labels},le="+Inf"}} {requests:.1f}',
            f"vllm:request_{name}_tokens_count{{{labels}}} {requests:.1f}",
            f"vllm:request_{name}_tokens_sum{{{labels}}} {tokens:.0f}",
        ]
    return lines


def _handler(exposition: Exposition) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _, kind, block = self.path.split("/")
            body = exposition.devices(int(block)) if kind == "devices" else exposition.applications(int(block))
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    return Handler


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.scale", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workloads", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = ThreadingHTTPServer((LOOPBACK, arguments.port), _handler(Exposition(ScaledFleet(arguments.workloads))))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop.wait()
    server.shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
