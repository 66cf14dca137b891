"""ModelWorkload, the intent of a tenant: what is run, in which precision, on what, and how it is laid out."""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, Strict, model_validator

from mfu.api.rules import SPEC_RULES
from mfu.api.wire import AcceleratorName, Count, Degree, Flag, MetricName, Name, Ratio, Version, Wire, cel
from mfu.estimate.workload import AttentionKernel, Engine, Framework, MoeKernel, Phase, Recompute, Sharding
from mfu.hardware.precision import Precision

__all__ = [
    "AcceleratorsSpec",
    "AdapterSpec",
    "ConfigMapRef",
    "EngineSpec",
    "FrameworkSpec",
    "InferenceParallelismSpec",
    "InferenceSpec",
    "ModelSource",
    "ModelSpec",
    "ModelWorkloadSpec",
    "Optimizer",
    "PrecisionSpec",
    "SpeculativeSpec",
    "TargetSpec",
    "TelemetrySource",
    "TelemetrySpec",
    "TrainingCountersSpec",
    "TrainingParallelismSpec",
    "TrainingSpec",
]


class Optimizer(StrEnum):
    ADAM = "adam"
    MUON = "muon"
    SGD = "sgd"


class TelemetrySource(StrEnum):
    AUTO = "auto"
    VLLM = "vllm"
    SGLANG = "sglang"
    TGI = "tgi"
    TENSORRT_LLM = "tensorrt-llm"
    DYNAMO = "dynamo"
    TRAINING = "training"
    DCGM = "dcgm"


_ONE_SOURCE = cel(
    "[has(self.config), has(self.configMapRef), has(self.catalog)].exists_one(given, given)",
    "give exactly one of config, configMapRef, catalog",
)
_Token = Annotated[int, Strict(), Field(ge=1, le=16_777_216)]
_Zeroable = Annotated[int, Strict(), Field(ge=0, le=4096)]
_DataDegree = Annotated[int, Strict(), Field(ge=1, le=1_048_576)]


class ConfigMapRef(Wire):
    """A key of a ConfigMap in the namespace of the workload that holds the model's config.json."""

    name: Name = Field(description="Name of the ConfigMap.")
    key: Annotated[str, Strict(), Field(min_length=1, max_length=253)] = Field(
        default="config.json", description="Key of the ConfigMap whose value is the config.json; config.json when omitted."
    )


class ModelSource(Wire):
    """Where the model's architecture is read from: exactly one of config, configMapRef, catalog."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [_ONE_SOURCE]})

    config: Annotated[dict[str, Any], Field(min_length=1, max_length=512)] | None = Field(
        default=None,
        description="A Hugging Face config.json, verbatim. All its fields are kept, also those that are not used.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )
    config_map_ref: ConfigMapRef | None = Field(default=None, description="A ConfigMap that holds the config.json.")
    catalog: Annotated[str, Strict(), Field(min_length=1, max_length=96)] | None = Field(
        default=None, description="Name of a model of the built-in catalog, like llama-3.1-70b."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if [self.config is None, self.config_map_ref is None, self.catalog is None].count(False) != 1:
            raise ValueError(_ONE_SOURCE["message"])
        return self


class AdapterSpec(Wire):
    """A low-rank adapter that is trained or served beside the frozen base model."""

    type: Literal["lora"] = Field(default="lora", description="Kind of adapter.")
    rank: Annotated[int, Strict(), Field(ge=1, le=65_536)] = Field(description="Rank of the update matrices.")
    target_modules: (
        Annotated[list[Annotated[str, Strict(), Field(min_length=1, max_length=128)]], Field(min_length=1, max_length=64)] | None
    ) = Field(
        default=None,
        description="Linear layers that get an adapter, by name (q_proj, v_proj), or all-linear; all-linear when omitted.",
    )


class ModelSpec(ModelSource):
    """The model: its architecture from exactly one of config, configMapRef, catalog, and an adapter where one is trained or served."""

    adapter: AdapterSpec | None = Field(default=None, description="A LoRA adapter; the base model is then frozen.")


class PrecisionSpec(Wire):
    """Number formats. What is omitted follows from what is given."""

    compute: Precision | None = Field(
        default=None,
        description="Format of the matrix products; it decides which peak counts. The config's own, else bf16, when omitted.",
    )
    weights: Precision | None = Field(default=None, description="Format in which the weights are stored; as compute when omitted.")
    kv_cache: Precision | None = Field(
        default=None, description="Inference: format of the key-value cache; what the engine usually keeps, mostly bf16, when omitted."
    )
    attention: Precision | None = Field(
        default=None, description="Format of the attention products; bf16 when compute has 8 or 4 bits, else as compute, when omitted."
    )


class AcceleratorsSpec(Wire):
    """The accelerators that the parallelism spans."""

    class_name: AcceleratorName | None = Field(
        default=None,
        alias="class",
        description="AcceleratorClass, like h100-sxm-80gb; when omitted, what the nodes of the workload's pods have.",
    )
    count: Annotated[int, Strict(), Field(ge=1, le=1_048_576)] | None = Field(
        default=None, description="GPUs that the parallelism spans: the whole job (training) or one replica (inference)."
    )
    per_node: Annotated[int, Strict(), Field(ge=1, le=1024)] | None = Field(default=None, description="GPUs of one node.")
    nvlink_domain: Annotated[int, Strict(), Field(ge=1, le=9216)] | None = Field(
        default=None, description="GPUs that share NVLink (or its kin); from the class when omitted."
    )
    network_gbps: Annotated[int, Strict(), Field(ge=1, le=100_000)] | None = Field(
        default=None, description="Network bandwidth in Gbit/s for each GPU between NVLink domains; from the class when omitted."
    )


class TrainingParallelismSpec(Wire):
    """Degrees of parallelism; a degree that is omitted is 1, and data follows from the number of accelerators.

    tensor × pipeline × data × context must be accelerators.count.
    """

    tensor: Degree | None = Field(default=None, description="Tensor parallelism: ranks that share each layer's matrices.")
    pipeline: Degree | None = Field(default=None, description="Pipeline parallelism: stages that the layers are spread over.")
    interleave: Degree | None = Field(default=None, description="Virtual pipeline stages on each rank (interleaved schedule).")
    data: _DataDegree | None = Field(
        default=None, description="Data parallelism, context parallelism not counted; derived from accelerators.count when omitted."
    )
    context: Degree | None = Field(default=None, description="Context parallelism: ranks that share one sequence.")
    expert: Degree | None = Field(
        default=None, description="Expert parallelism: ranks that the experts are spread over; lives inside data × context."
    )
    expert_tensor: Degree | None = Field(default=None, description="Tensor parallelism inside the experts; as tensor when omitted.")


class FrameworkSpec(Wire):
    """The training framework and its release."""

    name: Framework = Field(description="Framework.")
    version: Version | None = Field(
        default=None, description='Release, in quotes, like "0.8": the same job runs 30 to 57 % differently between releases.'
    )


class TrainingSpec(Wire):
    """A training job."""

    sequence_length: _Token = Field(description="Tokens of one sequence.")
    global_batch_size: Count | None = Field(default=None, description="Sequences of one optimizer step over the whole job.")
    micro_batch_size: Annotated[int, Strict(), Field(ge=1, le=65_536)] | None = Field(
        default=None, description="Sequences of one forward pass of one data-parallel rank."
    )
    parallelism: TrainingParallelismSpec | None = Field(default=None, description="How the job is laid out over the accelerators.")
    sequence_parallel: Flag | None = Field(
        default=None, description="Whether the activations outside the tensor-parallel products are sharded too."
    )
    sharding: Sharding | None = Field(
        default=None,
        description="What data-parallel ranks shard: none, optimizer state (zero1), gradients too (zero2), parameters too (zero3, FSDP).",
    )
    sharding_group: _DataDegree | None = Field(
        default=None, description="Ranks that share one sharded copy (hybrid sharding); as data when omitted."
    )
    activation_recompute: Recompute | None = Field(default=None, description="Activations that are computed again in the backward pass.")
    attention_kernel: AttentionKernel | None = Field(
        default=None, description="Attention kernel; what the framework's release uses when omitted."
    )
    moe_kernel: MoeKernel | None = Field(
        default=None, description="How expert layers run: grouped (default), or a loop over the experts, which is about ten times slower."
    )
    framework: FrameworkSpec | None = Field(default=None, description="Training framework.")
    optimizer: Optimizer | None = Field(default=None, description="Optimizer; adam when omitted.")
    token_efficiency: Annotated[float, Strict(), Field(ge=0.01, le=1.0)] | None = Field(
        default=None, description="Share of the tokens that are not padding, from 0.01 to 1; 1 when omitted."
    )
    balanced_routing: Flag | None = Field(
        default=None, description="Mixture of experts: whether the load of the experts is balanced; true when omitted."
    )


class EngineSpec(Wire):
    """The inference engine, its release and the settings that decide what fits and how it batches."""

    name: Engine = Field(description="Engine.")
    version: Version | None = Field(default=None, description='Release, in quotes, like "0.11".')
    memory_fraction: Annotated[float, Strict(), Field(ge=0.05, le=1.0)] | None = Field(
        default=None, description="Share of device memory that the engine may take, from 0.05 to 1."
    )
    max_sequences: Count | None = Field(default=None, description="Most sequences in one batch.")
    max_batch_tokens: Count | None = Field(default=None, description="Most tokens in one scheduler step.")


class InferenceParallelismSpec(Wire):
    """Degrees of parallelism inside one replica; a degree that is omitted is 1. tensor × pipeline × data must be accelerators.count."""

    tensor: Degree | None = Field(default=None, description="Tensor parallelism.")
    pipeline: Degree | None = Field(default=None, description="Pipeline parallelism.")
    data: _Zeroable | None = Field(default=None, description="Attention data parallelism inside the replica; 0 and 1 both mean none.")
    expert: _Zeroable | None = Field(default=None, description="Expert parallelism, at most tensor × data; 0 and 1 both mean none.")


class SpeculativeSpec(Wire):
    """Speculative decoding."""

    method: Literal["draft", "ngram", "eagle", "medusa", "mtp", "suffix", "other"] = Field(description="How tokens are proposed.")
    tokens: Annotated[int, Strict(), Field(ge=1, le=64)] = Field(description="Tokens proposed in each step.")
    acceptance_rate: Ratio | None = Field(
        default=None, description="Share of the proposed tokens that are accepted, from 0 to 1; 0.7 when omitted."
    )
    draft_model: ModelSource | None = Field(default=None, description="The draft model, where it is a model of its own.")


class InferenceSpec(Wire):
    """An inference service; figures are those of one replica."""

    engine: EngineSpec | None = Field(default=None, description="Inference engine.")
    phase: Phase | None = Field(
        default=None, description="mixed (default), or prefill or decode: disaggregated serving declares one workload for each phase."
    )
    input_tokens: _Token = Field(description="Mean input tokens of a request.")
    output_tokens: _Token = Field(description="Mean output tokens of a request.")
    concurrency: Count | None = Field(default=None, description="Sequences in flight in one replica; as many as memory holds when omitted.")
    parallelism: InferenceParallelismSpec | None = Field(default=None, description="How one replica is laid out over its accelerators.")
    prefix_cache_hit_rate: Ratio | None = Field(
        default=None, description="Share of the input tokens that the prefix cache serves, from 0 to 1: not computed, so not counted."
    )
    speculative: SpeculativeSpec | None = Field(default=None, description="Speculative decoding, where it is used.")


class TargetSpec(Wire):
    """The object that runs the workload."""

    api_version: Annotated[str, Strict(), Field(min_length=1, max_length=128)] = Field(
        description="apiVersion of the object, like batch/v1."
    )
    kind: Annotated[str, Strict(), Field(min_length=1, max_length=63)] = Field(description="Kind of the object, like Job.")
    name: Name = Field(description="Name of the object, in the namespace of the workload.")


class TrainingCountersSpec(Wire):
    """Names of the counters that the training job exports."""

    tokens_metric: MetricName = Field(description="Counter of trained tokens.")
    steps_metric: MetricName | None = Field(default=None, description="Counter of optimizer steps.")


class TelemetrySpec(Wire):
    """Where the observed figures come from."""

    source: TelemetrySource | None = Field(default=None, description="Exporter to read; auto (default) takes what the pods export.")
    training: TrainingCountersSpec | None = Field(
        default=None, description="Names of the training counters, where they are not the usual ones."
    )


class ModelWorkloadSpec(Wire):
    """What a tenant intends to run. What is omitted and had to be assumed is listed in status.expected.assumptions."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": SPEC_RULES})

    model: ModelSpec = Field(description="The model.")
    precision: PrecisionSpec | None = Field(default=None, description="Number formats of the computation and of what is stored.")
    accelerators: AcceleratorsSpec = Field(description="The accelerators.")
    training: TrainingSpec | None = Field(default=None, description="Set for a training job; exactly one of training, inference.")
    inference: InferenceSpec | None = Field(default=None, description="Set for an inference service; exactly one of training, inference.")
    target: TargetSpec | None = Field(
        default=None, description="The object that runs the workload; pods are found by the label mfu.dev/workload either way."
    )
    telemetry: TelemetrySpec | None = Field(default=None, description="Where the observed figures come from; found out when omitted.")

    @model_validator(mode="after")
    def _one_mode(self) -> Self:
        if (self.training is None) == (self.inference is None):
            raise ValueError("give exactly one of training, inference")
        return self
