"""Workloads to estimate: published shapes on catalogued accelerators."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mfu.estimate.workload import (
    Engine,
    Fabric,
    Framework,
    Inference,
    InferenceParallelism,
    Precisions,
    Training,
    TrainingParallelism,
    Workload,
)
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.catalog import accelerator
from mfu.hardware.precision import Precision
from mfu.model.architecture import Architecture
from mfu.model.config import read_config

_LLAMA: dict[str, object] = {
    "model_type": "llama",
    "hidden_size": 8192,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "intermediate_size": 28672,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}
_CONFIGS: dict[str, dict[str, object]] = {
    "llama-70b": _LLAMA,
    "llama-8b": {
        **_LLAMA,
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "intermediate_size": 14336,
    },
    "multi-head-7b": {
        **_LLAMA,
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "intermediate_size": 11008,
    },
    "mixtral": {
        **_LLAMA,
        "model_type": "mixtral",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "intermediate_size": 14336,
        "vocab_size": 32000,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "sliding_window": None,
    },
    "deepseek-v3": {
        "model_type": "deepseek_v3",
        "hidden_size": 7168,
        "num_hidden_layers": 61,
        "num_attention_heads": 128,
        "num_key_value_heads": 128,
        "intermediate_size": 18432,
        "vocab_size": 129280,
        "q_lora_rank": 1536,
        "kv_lora_rank": 512,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "n_routed_experts": 256,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 2048,
        "n_shared_experts": 1,
        "first_k_dense_replace": 3,
        "moe_layer_freq": 1,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": False,
    },
}

Architectures = Callable[[str], Architecture]
Fabrics = Callable[..., Fabric]
Workloads = Callable[..., Workload]


def _precisions(compute: str, kv_cache: str | None = None) -> Precisions:
    narrow = Precision(compute).is_narrow
    return Precisions(
        compute=Precision(compute),
        weights=Precision(compute),
        kv_cache=None if kv_cache is None else Precision(kv_cache),
        attention=Precision.BF16 if narrow else Precision(compute),
    )


def _fabric(device: str | Accelerator, count: int, per_node: int = 8) -> Fabric:
    known = accelerator(device) if isinstance(device, str) else device
    return Fabric(
        accelerator=known,
        count=count,
        per_node=per_node,
        link_domain=known.link_domain(per_node),
        network_bytes_per_second=known.network_bytes_per_second,
    )


@pytest.fixture(scope="session")
def architecture() -> Architectures:
    """Architectures by a short name."""
    return lambda name: read_config(_CONFIGS[name])


@pytest.fixture(scope="session")
def fabric() -> Fabrics:
    """A number of accelerators of a class in nodes of eight."""
    return _fabric


@pytest.fixture(scope="session")
def training() -> Workloads:
    """A training job; keywords go to `Training`, degrees to `TrainingParallelism`; data parallelism follows from the count."""

    def make(
        model: str = "llama-70b",
        device: str | Accelerator = "h100-sxm-80gb",
        count: int = 256,
        compute: str = "bf16",
        tensor: int = 8,
        pipeline: int = 4,
        context: int = 1,
        expert: int = 1,
        interleave: int | None = None,
        **job: object,
    ) -> Workload:
        degrees = TrainingParallelism(
            tensor=tensor,
            pipeline=pipeline,
            interleave=interleave,
            data=count // (tensor * pipeline * context),
            context=context,
            expert=expert,
        )
        declared = Training(sequence_length=8192, global_batch=1024, micro_batch=1, parallelism=degrees, framework=Framework.MEGATRON_CORE)
        return Workload(
            name="job",
            namespace="team",
            architecture=read_config(_CONFIGS[model]),
            precisions=_precisions(compute),
            fabric=_fabric(device, count),
            job=replace(declared, **job),  # type: ignore[arg-type]  # tests pass fields of Training
        )

    return make


@pytest.fixture(scope="session")
def serving() -> Workloads:
    """One serving replica; keywords go to `Inference`, degrees to `InferenceParallelism`."""

    def make(
        model: str = "llama-70b",
        device: str | Accelerator = "h100-sxm-80gb",
        compute: str = "fp8",
        kv_cache: str | None = None,
        tensor: int = 4,
        pipeline: int = 1,
        data: int = 1,
        expert: int = 1,
        **job: object,
    ) -> Workload:
        declared = Inference(
            input_tokens=1024,
            output_tokens=256,
            parallelism=InferenceParallelism(tensor=tensor, pipeline=pipeline, data=data, expert=expert),
            engine=Engine.VLLM,
            concurrency=64,
        )
        return Workload(
            name="server",
            namespace="team",
            architecture=read_config(_CONFIGS[model]),
            precisions=_precisions(compute, kv_cache),
            fabric=_fabric(device, tensor * pipeline * data),
            job=replace(declared, **job),  # type: ignore[arg-type]  # tests pass fields of Inference
        )

    return make
