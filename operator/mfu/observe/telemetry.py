"""What one tick read from Prometheus: rates and gauges by pod and by device, before anybody judges them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mfu.errors import IntentError
from mfu.missing import Missing

__all__ = [
    "DeviceTelemetry",
    "PodKey",
    "ServingTelemetry",
    "Snapshot",
    "Source",
    "TelemetryChoice",
    "TrainingCounters",
    "TrainingTelemetry",
]

_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,127}")


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
class TrainingCounters:
    """Names of a training job's own counters. Only names: a tenant never hands us an expression.

    Raises `IntentError` for a name that is no Prometheus metric name.
    """

    tokens_metric: str
    steps_metric: str = ""  # empty: none declared

    def __post_init__(self) -> None:
        if not _METRIC_NAME.fullmatch(self.tokens_metric):
            raise IntentError("spec.telemetry.training.tokensMetric", _not_a_name(self.tokens_metric))
        if self.steps_metric and not _METRIC_NAME.fullmatch(self.steps_metric):
            raise IntentError("spec.telemetry.training.stepsMetric", _not_a_name(self.steps_metric))


def _not_a_name(value: str) -> str:
    return f"{value[:60]!r} is no metric name; use letters, digits, underscores and colons, at most 128 of them (no expressions)"


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryChoice:
    """Which exporter a workload says it has; `source` None: whichever reports for its pods."""

    source: Source | None = None
    training: TrainingCounters | None = None


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
    engine_flops_per_second: float | None = None  # the engine's own estimate for each accelerator: a second opinion
    sampled_at_seconds: float | None = None  # Unix time of the last scrape; None: the series has ended
    covers_window: bool = True  # False: the series is younger than the window, so that its rates are too low


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTelemetry:
    """One pod that reports training progress."""

    tokens_per_second: float
    steps_per_second: float | None = None
    data_wait_ratio: float | None = None  # share of wall time spent waiting for the data loader
    counts_whole_job: bool = False  # True: tokens of the whole job, repeated on every pod; False: this pod's share of them
    sampled_at_seconds: float | None = None  # as in ServingTelemetry
    covers_window: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTelemetry:
    """One accelerator (or MIG instance) as DCGM or AMD's exporter sees it, means over the query window."""

    uuid: str
    node: str
    pod: PodKey | None
    model_name: str = ""
    instance: str = ""  # which partition of the device
    partition: str = ""  # MIG profile, empty for a whole device
    sharers: tuple[PodKey, ...] = ()  # several pods hold it at the same time: its figures belong to none of them alone
    tensor_active_ratio: float | None = None
    clock_hertz: float | None = None
    busy_ratio: float | None = None  # GPU utilisation: "is it busy"
    multiprocessor_active_ratio: float | None = None
    memory_active_ratio: float | None = None
    link_bytes_per_second: float | None = None
    pcie_bytes_per_second: float | None = None
    power_watts: float | None = None
    memory_used_bytes: float | None = None
    throttle_reasons: int | None = None  # NVML's bit mask of what lowers the clocks
    link_errors_per_second: float | None = None  # corrupt packets on the fast links
    xid: int | None = None  # the driver's last error; 0: none

    @property
    def key(self) -> tuple[str, str]:
        """What tells devices and partitions apart."""
        return self.uuid, self.instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything one tick read. `problem` is set when Prometheus (or a part of it) did not answer; what was read is still there.

    `declared`: by the counters that some tenant declared, the pods that report them. `claimed`: pods that a target in another
    namespace reports application figures for, which were not believed. `unread`: declared counters beyond the number that is read.
    `countless`: pods of servers that are known to export no token counters.
    """

    at_seconds: float  # Unix time of the evaluation
    serving: Mapping[PodKey, ServingTelemetry] = field(default_factory=dict)
    training: Mapping[PodKey, TrainingTelemetry] = field(default_factory=dict)
    declared: Mapping[TrainingCounters, Mapping[PodKey, TrainingTelemetry]] = field(default_factory=dict)
    devices: tuple[DeviceTelemetry, ...] = ()
    claimed: frozenset[PodKey] = frozenset()
    unread: frozenset[TrainingCounters] = frozenset()
    countless: frozenset[PodKey] = frozenset()
    problem: Missing | None = None
    queries: int = 0
    _held: Mapping[PodKey, tuple[DeviceTelemetry, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        held: dict[PodKey, list[DeviceTelemetry]] = {}
        for device in self.devices:
            for pod in device.sharers or (device.pod,):
                if pod is not None:
                    held.setdefault(pod, []).append(device)
        object.__setattr__(self, "_held", {pod: tuple(devices) for pod, devices in held.items()})

    def held_by(self, pods: Iterable[PodKey]) -> tuple[DeviceTelemetry, ...]:
        """The devices of these pods, each once; looked up, since every workload asks."""
        return tuple({device.key: device for pod in pods for device in self._held.get(pod, ())}.values())
