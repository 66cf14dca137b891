"""The declared intent in domain terms: what to run, in which precision, on what, and how it is laid out.

None means "not declared": the estimator then takes the framework's usual choice, says so in `Estimate.assumptions`, and widens the
interval.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from mfu.hardware.accelerator import Accelerator
from mfu.hardware.precision import Precision
from mfu.model.architecture import Adapter, Architecture

__all__ = [
    "AttentionKernel",
    "Engine",
    "Fabric",
    "Framework",
    "Inference",
    "InferenceParallelism",
    "MoeKernel",
    "Phase",
    "Precisions",
    "Recompute",
    "Sharding",
    "Software",
    "Speculative",
    "Training",
    "TrainingParallelism",
    "Workload",
]


class Recompute(StrEnum):
    NONE = "none"
    SELECTIVE = "selective"
    FULL = "full"


class Sharding(StrEnum):
    NONE = "none"
    ZERO1 = "zero1"
    ZERO2 = "zero2"
    ZERO3 = "zero3"


class AttentionKernel(StrEnum):
    UNFUSED = "unfused"
    FLASH1 = "flash1"
    FLASH2 = "flash2"
    FLASH3 = "flash3"
    CUDNN = "cudnn"


class MoeKernel(StrEnum):
    GROUPED = "grouped"
    LOOP = "loop"


class Framework(StrEnum):
    MEGATRON_CORE = "megatron-core"
    MEGATRON_BRIDGE = "megatron-bridge"
    MEGATRON_DEEPSPEED = "megatron-deepspeed"
    NEMO = "nemo"
    NEMO_AUTOMODEL = "nemo-automodel"
    FSDP = "fsdp"
    TORCHTITAN = "torchtitan"
    DEEPSPEED = "deepspeed"
    COMPOSER = "composer"
    NANOTRON = "nanotron"
    PRIMUS = "primus"
    MAXTEXT = "maxtext"
    OTHER = "other"


class Engine(StrEnum):
    VLLM = "vllm"
    SGLANG = "sglang"
    TENSORRT_LLM = "tensorrt-llm"
    TGI = "tgi"
    DYNAMO = "dynamo"
    OTHER = "other"


class Phase(StrEnum):
    MIXED = "mixed"
    PREFILL = "prefill"
    DECODE = "decode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Precisions:
    """`compute`: matrix products; `weights`: storage; `kv_cache`: inference; `attention`: the attention core."""

    compute: Precision
    weights: Precision
    kv_cache: Precision | None
    attention: Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """The accelerators that the parallelism spans and what links them."""

    accelerator: Accelerator
    count: int
    per_node: int
    link_domain: int  # accelerators that share the fast links
    network_bytes_per_second: float  # for each accelerator, between domains


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """Framework or engine release; `version` as declared ("0.11", "25.04")."""

    name: str
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingParallelism:
    """Degrees. `data` excludes `context`; `expert` lives inside data × context; tensor × pipeline × data × context = accelerators."""

    tensor: int = 1
    pipeline: int = 1
    interleave: int | None = None
    data: int = 1
    context: int = 1
    expert: int = 1
    expert_tensor: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    sequence_length: int
    global_batch: int | None  # sequences per optimizer step
    micro_batch: int | None  # sequences per forward of one data-parallel rank
    parallelism: TrainingParallelism
    framework: Framework = Framework.OTHER
    framework_version: str | None = None
    sequence_parallel: bool | None = None
    sharding: Sharding | None = None
    sharding_group: int | None = None
    recompute: Recompute | None = None
    attention_kernel: AttentionKernel | None = None
    moe_kernel: MoeKernel = MoeKernel.GROUPED
    optimizer: str = "adam"  # adam muon sgd
    token_efficiency_ratio: float = 1.0  # share of tokens that are not padding
    balanced_routing: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Speculative:
    """`method`: draft, ngram, eagle, mtp…; `draft`: the draft model's architecture where it is a model."""

    method: str
    tokens: int
    acceptance_ratio: float
    draft: Architecture | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceParallelism:
    """`data` = attention data parallelism inside the replica; `expert` ≤ tensor × data."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    input_tokens: int  # mean of a request
    output_tokens: int
    parallelism: InferenceParallelism
    engine: Engine = Engine.OTHER
    engine_version: str | None = None
    memory_ratio: float | None = None  # share of device memory the engine may take
    max_sequences: int | None = None
    max_batch_tokens: int | None = None
    phase: Phase = Phase.MIXED
    concurrency: int | None = None  # sequences in flight per replica; None: as many as memory holds
    prefix_hit_ratio: float = 0.0
    speculative: Speculative | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One ModelWorkload, resolved: names are looked up, defaults that are definitions are filled in, and the rules have been checked."""

    name: str
    namespace: str
    architecture: Architecture
    precisions: Precisions
    fabric: Fabric
    job: Training | Inference
    adapter: Adapter | None = None
    assumptions: tuple[str, ...] = field(default=())  # what resolving had to assume
