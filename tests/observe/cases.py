"""Workloads, samples and a fake metrics store for the tests of what is observed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mfu.errors import MetricsError
from mfu.estimate.workload import (
    Engine,
    Fabric,
    Inference,
    InferenceParallelism,
    Precisions,
    Training,
    TrainingParallelism,
    Workload,
)
from mfu.hardware.accelerator import Accelerator, Vendor
from mfu.hardware.precision import Precision
from mfu.model.architecture import Architecture, Attention, Layer, Mlp
from mfu.observe.port import Sample
from mfu.observe.telemetry import PodKey, ServingTelemetry, Snapshot, Source, TrainingTelemetry

NOW = 1_800_000_000.0
PEAK = 1e15

ACCELERATOR = Accelerator(
    name="test-gpu",
    vendor=Vendor.NVIDIA,
    architecture="hopper",
    peak_flops_per_second={"bf16": PEAK, "fp8": 2 * PEAK, "fp32": PEAK / 16},
    memory_bytes=80e9,
    memory_bytes_per_second=3e12,
    l2_bytes=50e6,
    multiprocessors=132,
    max_clock_hertz=2.0e9,
    power_watts=700.0,
    link_bytes_per_second=450e9,
    link_is_switched=True,
    domain_size=8,
    network_bytes_per_second=50e9,
    price_per_hour=3.0,
)

ARCHITECTURE = Architecture(
    family="llama",
    hidden=1024,
    vocabulary=32000,
    layers=(
        Layer(
            mixers=(Attention(query_heads=16, key_value_heads=4, head_dim=64, value_head_dim=64),),
            feed_forward=(Mlp(intermediate=4096, gated=True),),
            norm_parameters=2048,
            count=8,
        ),
    ),
)


def workload(job: Training | Inference, *, count: int = 8, compute: Precision = Precision.BF16) -> Workload:
    return Workload(
        name="job",
        namespace="team",
        architecture=ARCHITECTURE,
        precisions=Precisions(compute=compute, weights=compute, kv_cache=Precision.BF16, attention=Precision.BF16),
        fabric=Fabric(accelerator=ACCELERATOR, count=count, per_node=8, link_domain=8, network_bytes_per_second=50e9),
        job=job,
    )


def training(*, sequence_length: int = 4096, token_efficiency: float = 1.0) -> Training:
    return Training(
        sequence_length=sequence_length,
        global_batch=64,
        micro_batch=1,
        parallelism=TrainingParallelism(data=8),
        token_efficiency_ratio=token_efficiency,
    )


def inference(*, concurrency: int | None = 64, prefix_hit_ratio: float = 0.0) -> Inference:
    return Inference(
        input_tokens=1000,
        output_tokens=200,
        parallelism=InferenceParallelism(),
        engine=Engine.VLLM,
        concurrency=concurrency,
        prefix_hit_ratio=prefix_hit_ratio,
    )


def pod(number: int = 0) -> PodKey:
    return PodKey(namespace="team", pod=f"job-{number}")


def trains(tokens_per_second: float, *, whole_job: bool = False, age_seconds: float = 5.0, wait: float | None = None) -> TrainingTelemetry:
    return TrainingTelemetry(
        tokens_per_second=tokens_per_second,
        counts_whole_job=whole_job,
        data_wait_ratio=wait,
        sampled_at_seconds=NOW - age_seconds,
    )


def serves(computed: float, generated: float, *, source: Source = Source.VLLM, age_seconds: float = 5.0) -> ServingTelemetry:
    return ServingTelemetry(
        source=source,
        computed_prompt_tokens_per_second=computed,
        generation_tokens_per_second=generated,
        sampled_at_seconds=NOW - age_seconds,
    )


def snapshot(
    *, trained: Mapping[PodKey, TrainingTelemetry] | None = None, served: Mapping[PodKey, ServingTelemetry] | None = None
) -> Snapshot:
    return Snapshot(at_seconds=NOW, training=trained or {}, serving=served or {})


def sample(figure: str, value: float, **labels: str) -> Sample:
    return Sample(labels={"figure": figure, **labels}, value=value, at_seconds=NOW)


@dataclass
class FakeMetrics:
    """Answers every query with what `answer` gives, and remembers what was asked."""

    answer: Callable[[str], Sequence[Sample]] = lambda promql: ()
    broken: Callable[[str], bool] = lambda promql: False
    asked: list[str] = field(default_factory=list)

    def query(self, promql: str) -> tuple[Sample, ...]:
        self.asked.append(promql)
        if self.broken(promql):
            raise MetricsError("http://prometheus answered status 503: check its health and its log")
        return tuple(self.answer(promql))
