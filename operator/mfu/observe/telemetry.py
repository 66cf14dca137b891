"""What one tick read from Prometheus: rates and gauges by pod and by device, before anybody judges them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mfu.missing import Missing

__all__ = ["DeviceTelemetry", "PodKey", "ServingTelemetry", "Snapshot", "Source", "TrainingTelemetry"]


class Source(StrEnum):
    """The application exporter that a figure comes from; also the values of `spec.telemetry.source`."""

    VLLM = "vllm"
    SGLANG = "sglang"
    TGI = "tgi"
    TENSORRT_LLM = "tensorrt-llm"
    DYNAMO = "dynamo"
    TRAINING = "training"
    DCGM = "dcgm"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PodKey:
    namespace: str
    pod: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingTelemetry:
    """One pod of an inference engine. Rates are means over the query window; None: the exporter does not give that figure."""

    source: Source
    computed_prompt_tokens_per_second: float  # prefix-cache hits excluded
    generation_tokens_per_second: float
    cached_prompt_tokens_per_second: float | None = None
    requests_per_second: float | None = None
    mean_prompt_tokens: float | None = None
    mean_generation_tokens: float | None = None
    running_requests: float | None = None
    waiting_requests: float | None = None
    cache_usage_ratio: float | None = None
    preemptions_per_second: float | None = None
    engine_flops_per_second: float | None = None  # the engine's own estimate: a second opinion


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTelemetry:
    """One pod that reports training progress."""

    tokens_per_second: float
    steps_per_second: float | None = None
    data_wait_ratio: float | None = None  # share of wall time spent waiting for the data loader


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTelemetry:
    """One accelerator (or MIG instance) as DCGM or AMD's exporter sees it, means over the query window."""

    uuid: str
    node: str
    pod: PodKey | None
    model_name: str = ""
    partition: str = ""  # MIG profile, empty for a whole device
    tensor_active_ratio: float | None = None
    clock_hertz: float | None = None
    busy_ratio: float | None = None  # GPU utilisation: "is it busy"
    multiprocessor_active_ratio: float | None = None
    memory_active_ratio: float | None = None
    link_bytes_per_second: float | None = None
    pcie_bytes_per_second: float | None = None
    power_watts: float | None = None
    memory_used_bytes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything one tick read. `problem` is set when Prometheus (or a part of it) did not answer; what was read is still there."""

    at_seconds: float  # Unix time of the evaluation
    serving: Mapping[PodKey, ServingTelemetry] = field(default_factory=dict)
    training: Mapping[PodKey, TrainingTelemetry] = field(default_factory=dict)
    devices: tuple[DeviceTelemetry, ...] = ()
    problem: Missing | None = None
    queries: int = 0
