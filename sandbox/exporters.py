"""The shapes of the real exporters: metric families with their names and labels, for values that the simulator fills in.

Names and labels as dcgm-exporter 4.x (etc/default-counters.csv), vLLM 0.33 (vllm/v1/metrics) and the project's own training reporter
publish them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

__all__ = ["DcgmDevice", "EngineCounters", "TrainingCounters", "dcgm_families", "device_uuid", "training_families", "vllm_families"]

NAMESPACE = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")  # RFC 4122's for names
DRIVER = "570.172.08"


@dataclass(frozen=True, slots=True, kw_only=True)
class DcgmDevice:
    """One device (or MIG instance) at one moment. Ratios 0–1; the pod fields are empty while it is idle."""

    node: str
    index: int
    model_name: str
    namespace: str = ""
    pod: str = ""
    container: str = ""
    partition: str = ""
    partition_id: str = ""
    tensor_active_ratio: float = 0.0
    memory_active_ratio: float = 0.0
    busy_ratio: float = 0.0
    clock_megahertz: float = 345.0
    power_watts: float = 60.0
    memory_used_mebibytes: float = 4.0

    @property
    def labels(self) -> dict[str, str]:
        labels = {
            "gpu": str(self.index),
            "UUID": device_uuid(self.node, self.index),
            "pci_bus_id": f"00000000:{0x10 + self.index:02X}:00.0",
            "device": f"nvidia{self.index}",
            "modelName": self.model_name,
            "Hostname": self.node,
            "DCGM_FI_DRIVER_VERSION": DRIVER,
            "container": self.container,
            "namespace": self.namespace,
            "pod": self.pod,
        }
        if self.partition:
            labels |= {"GPU_I_PROFILE": self.partition, "GPU_I_ID": self.partition_id}
        return labels


def device_uuid(node: str, index: int) -> str:
    """A stable UUID for device `index` of a node."""
    return f"GPU-{uuid.uuid5(NAMESPACE, f'{node}/{index}')}"


DCGM_GAUGES: tuple[tuple[str, str, Callable[[DcgmDevice], float]], ...] = (
    ("DCGM_FI_DEV_SM_CLOCK", "SM clock frequency (in MHz).", lambda device: device.clock_megahertz),
    ("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).", lambda device: device.power_watts),
    ("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).", lambda device: round(100 * device.busy_ratio)),
    ("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB).", lambda device: device.memory_used_mebibytes),
    ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "Ratio of time the graphics engine is active.", lambda device: device.busy_ratio),
    ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "Ratio of cycles the tensor (HMMA) pipe is active.", lambda device: device.tensor_active_ratio),
    ("DCGM_FI_PROF_DRAM_ACTIVE", "Ratio of cycles the device memory interface is active.", lambda device: device.memory_active_ratio),
)
WHOLE_DEVICE_ONLY = frozenset({"DCGM_FI_DEV_GPU_UTIL"})  # not supported on MIG instances


def dcgm_families(devices: Iterable[DcgmDevice]) -> Iterator[Metric]:
    """What one node's dcgm-exporter serves."""
    listed = list(devices)
    for name, text, figure in DCGM_GAUGES:
        family = GaugeMetricFamily(name, text)
        for device in listed:
            if not (device.partition and name in WHOLE_DEVICE_ONLY):
                family.add_sample(name, device.labels, float(figure(device)))
        yield family


@dataclass(slots=True, kw_only=True)
class TrainingCounters:
    """What rank 0 of a training job has counted, for the whole job."""

    tokens: float = 0.0
    steps: float = 0.0
    data_wait_seconds: float = 0.0


def training_families(counters: TrainingCounters) -> Iterator[Metric]:
    """What the training reporter of one pod serves."""
    yield CounterMetricFamily("mfu_training_tokens", "Tokens trained on, padding included.", value=counters.tokens)
    yield CounterMetricFamily("mfu_training_steps", "Optimizer steps.", value=counters.steps)
    yield CounterMetricFamily(
        "mfu_training_data_wait_seconds", "Seconds that the training loop waited for its data.", value=counters.data_wait_seconds
    )


@dataclass(slots=True, kw_only=True)
class EngineCounters:
    """What one vLLM engine has counted, and its gauges."""

    model: str
    prompt_tokens: float = 0.0
    generation_tokens: float = 0.0
    requests: float = 0.0
    running: float = 0.0
    waiting: float = 0.0
    cache_usage_ratio: float = 0.0
    prompt_tokens_each: float = 0.0
    generation_tokens_each: float = 0.0
    labels: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.labels = {"model_name": self.model, "engine": "0"}


def vllm_families(engine: EngineCounters) -> Iterator[Metric]:
    """What one vLLM server serves."""
    for name, text, value in (
        ("vllm:prompt_tokens", "Number of prefill tokens processed.", engine.prompt_tokens),
        ("vllm:generation_tokens", "Number of generation tokens processed.", engine.generation_tokens),
        ("vllm:num_preemptions", "Cumulative number of preemptions from the engine.", 0.0),
    ):
        counter = CounterMetricFamily(name, text)
        counter.add_sample(f"{name}_total", engine.labels, value)
        yield counter
    by_source = CounterMetricFamily("vllm:prompt_tokens_by_source", "Number of prompt tokens by source.")
    for source, value in (("local_compute", engine.prompt_tokens), ("local_cache_hit", 0.0), ("external_kv_transfer", 0.0)):
        by_source.add_sample("vllm:prompt_tokens_by_source_total", engine.labels | {"source": source}, value)
    yield by_source
    finished = CounterMetricFamily("vllm:request_success", "Count of successfully processed requests.")
    finished.add_sample("vllm:request_success_total", engine.labels | {"finished_reason": "stop"}, engine.requests)
    yield finished
    for name, text, value in (
        ("vllm:num_requests_running", "Number of requests in model execution batches.", engine.running),
        ("vllm:num_requests_waiting", "Number of requests waiting to be processed.", engine.waiting),
        ("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", engine.cache_usage_ratio),
    ):
        gauge = GaugeMetricFamily(name, text)
        gauge.add_sample(name, engine.labels, value)
        yield gauge
    for name, text, each in (
        ("vllm:request_prompt_tokens", "Number of prefill tokens processed.", engine.prompt_tokens_each),
        ("vllm:request_generation_tokens", "Number of generation tokens processed.", engine.generation_tokens_each),
    ):
        histogram = HistogramMetricFamily(name, text)
        histogram.add_sample(f"{name}_bucket", engine.labels | {"le": "+Inf"}, engine.requests)
        histogram.add_sample(f"{name}_count", engine.labels, engine.requests)
        histogram.add_sample(f"{name}_sum", engine.labels, engine.requests * each)
        yield histogram
