"""Workloads, estimates and observations with round numbers, for the tests of what is made of them."""

from __future__ import annotations

from dataclasses import replace

from mfu.estimate.result import Bound, Estimate, Interval, MemoryFit, MemoryPart, ServingRates, Term, TrainingRates
from mfu.estimate.search import Change
from mfu.estimate.workload import (
    Engine,
    Fabric,
    Framework,
    Inference,
    InferenceParallelism,
    Phase,
    Precisions,
    Training,
    TrainingParallelism,
    Workload,
)
from mfu.hardware.catalog import accelerator
from mfu.hardware.precision import Precision
from mfu.missing import Missing, Reason
from mfu.model.config import read_config
from mfu.observe.observation import Evidence, Observation

GIB = 2**30
NOW = 1_800_000_000.0

LLAMA_8B = read_config(
    {
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "tie_word_embeddings": False,
        "hidden_act": "silu",
        "torch_dtype": "bfloat16",
    }
)


def fabric(name: str = "h100-sxm-80gb", count: int = 32, *, price: float | None = 3.0) -> Fabric:
    known = replace(accelerator(name), price_per_hour=price)
    return Fabric(
        accelerator=known,
        count=count,
        per_node=8,
        link_domain=known.link_domain(8),
        network_bytes_per_second=known.network_bytes_per_second,
    )


def _workload(job: Training | Inference, on: Fabric, compute: Precision) -> Workload:
    return Workload(
        name="job",
        namespace="team",
        architecture=LLAMA_8B,
        precisions=Precisions(compute=compute, weights=compute, kv_cache=Precision.BF16, attention=Precision.BF16),
        fabric=on,
        job=job,
    )


def training(
    *, tensor: int = 1, pipeline: int = 1, expert: int = 1, on: Fabric | None = None, compute: Precision = Precision.BF16
) -> Workload:
    where = on or fabric()
    return _workload(
        Training(
            sequence_length=8192,
            global_batch=256,
            micro_batch=1,
            parallelism=TrainingParallelism(tensor=tensor, pipeline=pipeline, data=where.count // (tensor * pipeline), expert=expert),
            framework=Framework.MEGATRON_CORE,
        ),
        where,
        compute,
    )


def inference(*, concurrency: int | None = 64, phase: Phase = Phase.MIXED, on: Fabric | None = None) -> Workload:
    return _workload(
        Inference(
            input_tokens=1024,
            output_tokens=256,
            parallelism=InferenceParallelism(),
            engine=Engine.VLLM,
            phase=phase,
            concurrency=concurrency,
        ),
        on or fabric("l40s-48gb", 1),
        Precision.BF16,
    )


def estimate(
    mfu: float = 0.4,
    *,
    low: float | None = None,
    high: float | None = None,
    hfu: float | None = None,
    roofline: float = 0.5,
    needs_gib: float = 40.0,
    has_gib: float = 80.0,
    remedy: str = "",
    terms: tuple[Term, ...] | None = None,
    tokens: float = 1000.0,
    serving: bool = False,
    concurrency: int = 64,
    bound: Bound = Bound.COMPUTE,
) -> Estimate:
    return Estimate(
        mfu_ratio=mfu,
        interval=Interval(low_ratio=mfu * 0.9 if low is None else low, high_ratio=mfu * 1.1 if high is None else high),
        hfu_ratio=mfu if hfu is None else hfu,
        full_attention_mfu_ratio=mfu,
        roofline_ratio=roofline,
        bound=bound,
        model_flops_per_token=5e10,
        peak_flops_per_second=989.4e12,
        memory=MemoryFit(parts=(MemoryPart(name="weights", required_bytes=needs_gib * GIB),), capacity_bytes=has_gib * GIB, remedy=remedy),
        terms=terms
        or (
            Term(name="matmul", seconds=0.5, bound=Bound.COMPUTE),
            Term(name="tensorParallel", seconds=0.46, bound=Bound.COMMUNICATION),
            Term(name="pipelineBubble", seconds=0.04, bound=Bound.PIPELINE),
        ),
        rates=ServingRates(
            output_tokens_per_second_per_accelerator=tokens,
            total_tokens_per_second_per_accelerator=5 * tokens,
            time_to_first_token_seconds=0.1,
            time_per_output_token_seconds=0.02,
            concurrency=concurrency,
        )
        if serving
        else TrainingRates(step_seconds=1.0, tokens_per_second_per_accelerator=tokens, tokens_per_step=1000),
    )


def change(field_path: str, old: str, new: str, reached: Estimate, workload: Workload | None = None) -> Change:
    return Change(field_path=field_path, old=old, new=new, workload=workload or training(), estimate=reached)


def observed(
    mfu: float | Missing,
    *,
    hardware: float | None = None,
    accelerators: int = 32,
    tokens: float | None = None,
    faults: tuple[str, ...] = (),
    evidence: Evidence | None = None,
) -> Observation:
    unknown = Missing(reason=Reason.TELEMETRY_UNATTRIBUTED, message="no device exporter names these pods")
    return Observation(
        at_seconds=NOW,
        mfu_ratio=mfu,
        hardware_ratio=unknown if hardware is None else hardware,
        accelerators=accelerators,
        tokens_per_second=tokens,
        faults=faults,
        evidence=evidence or Evidence(),
    )


def unknown(reason: Reason = Reason.UNKNOWN_TOPOLOGY, message: str = "not known") -> Missing:
    return Missing(reason=reason, message=message)
