"""Wire → domain: a ModelWorkload as the `Workload` that the estimator takes, names looked up and what follows filled in."""

from collections.abc import Mapping
from types import MappingProxyType

from mfu.api.fitness import fitness_problems
from mfu.api.layout import accelerator_count, inference_degrees, layout_problems, training_degrees
from mfu.api.modelworkload import (
    AcceleratorsSpec,
    AdapterSpec,
    InferenceSpec,
    ModelWorkloadSpec,
    PrecisionSpec,
    SpeculativeSpec,
    TrainingSpec,
)
from mfu.api.parse import envelope_problems, parse_spec
from mfu.api.problem import raise_first
from mfu.api.source import ConfigMaps, architecture_of
from mfu.errors import ConfigError, IntentError, UnknownName
from mfu.estimate.workload import (
    Engine,
    Fabric,
    Framework,
    Inference,
    MoeKernel,
    Phase,
    Precisions,
    Speculative,
    Training,
    Workload,
)
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.catalog import accelerator
from mfu.hardware.precision import Precision
from mfu.missing import Missing, Reason
from mfu.model.architecture import Adapter, Architecture

__all__ = ["ConfigMaps", "missing_of", "resolve"]

_NO_CLASSES: Mapping[str, Accelerator] = MappingProxyType({})
_CLASS = "spec.accelerators.class"
_ACCEPTANCE_RATIO = 0.7


def resolve(
    body: Mapping[str, object],
    *,
    classes: Mapping[str, Accelerator] = _NO_CLASSES,
    config_maps: ConfigMaps | None = None,
    detected_class: str | None = None,
) -> Workload:
    """The workload that the object `body` declares.

    `classes`: what a provider's AcceleratorClass objects say, before the built-in catalogue. `detected_class`: the class of the nodes that
    the workload's pods are on, used where none is declared.
    Raises IntentError (ConfigError, UnknownName) with the field path; several problems are in one message.
    """
    raise_first(envelope_problems(body))
    spec = parse_spec(ModelWorkloadSpec, body.get("spec"))
    raise_first(list(layout_problems(spec)))
    name, namespace = _identity(body)
    architecture = architecture_of(spec.model, "spec.model", namespace, config_maps)
    raise_first(fitness_problems(spec, architecture))
    assumptions: list[str] = []
    fabric = _fabric(spec, classes, detected_class, assumptions)
    precisions = _precisions(spec, architecture, assumptions)
    job: Training | Inference
    if spec.training is not None:
        job = _training(spec.training, fabric.count, assumptions)
    else:
        assert spec.inference is not None  # the wire model takes exactly one of the two
        job = _inference(spec.inference, fabric.count, namespace, config_maps, assumptions)
    return Workload(
        name=name,
        namespace=namespace,
        architecture=architecture,
        precisions=precisions,
        fabric=fabric,
        job=job,
        adapter=_adapter(spec.model.adapter, assumptions),
        assumptions=(*architecture.assumptions, *assumptions),
    )


def missing_of(error: IntentError) -> Missing:
    """The reason for which there is no workload, from why `resolve` refused."""
    match error:
        case UnknownName() if error.path.startswith("spec.accelerators"):
            reason = Reason.UNKNOWN_ACCELERATOR
        case UnknownName() | ConfigError():
            reason = Reason.UNKNOWN_MODEL
        case _:
            reason = Reason.INTENT_INVALID
    return Missing(reason=reason, message=str(error))


def _identity(body: Mapping[str, object]) -> tuple[str, str]:
    metadata = body["metadata"]
    assert isinstance(metadata, Mapping)  # envelope_problems
    return str(metadata["name"]), str(metadata.get("namespace") or "default")


def _fabric(spec: ModelWorkloadSpec, classes: Mapping[str, Accelerator], detected_class: str | None, assumptions: list[str]) -> Fabric:
    declared: AcceleratorsSpec = spec.accelerators
    if declared.class_name is not None:
        device = accelerator(declared.class_name, classes, _CLASS)
    elif detected_class is not None:
        device = accelerator(detected_class, classes, _CLASS)
        assumptions.append(f"accelerators.class: {device.name}, as the nodes of the workload's pods have")
    else:
        raise UnknownName(
            _CLASS, "is not declared and no pod of the workload is on a node yet; declare it, like h100-sxm-80gb, or start the pods"
        )
    count = accelerator_count(spec)
    usual = 4 if device.domain_spans_nodes else 8
    per_node = min(declared.per_node or usual, count)
    if declared.per_node is None and count > usual:
        assumptions.append(f"accelerators.perNode: {per_node}")
    network = device.network_bytes_per_second if declared.network_gbps is None else declared.network_gbps * 1e9 / 8
    return Fabric(
        accelerator=device,
        count=count,
        per_node=per_node,
        link_domain=declared.nvlink_domain or device.link_domain(per_node),
        network_bytes_per_second=network,
    )


def _precisions(spec: ModelWorkloadSpec, architecture: Architecture, assumptions: list[str]) -> Precisions:
    declared = spec.precision or PrecisionSpec()
    compute = declared.compute
    if compute is None:
        native = architecture.native_precision
        compute = Precision(native) if native in set(Precision) else Precision.BF16
        assumptions.append(f"precision.compute: {compute}" + (", as the config states" if native == compute else ""))
    return Precisions(
        compute=compute,
        weights=declared.weights or compute,
        # Undeclared it is the engine's usual format, which the estimator knows and says.
        kv_cache=None if spec.inference is None else declared.kv_cache,
        attention=declared.attention or (Precision.BF16 if compute.is_narrow else compute),
    )


def _adapter(declared: AdapterSpec | None, assumptions: list[str]) -> Adapter | None:
    if declared is None:
        return None
    if declared.target_modules is None:
        assumptions.append("model.adapter.targetModules: all-linear")
    return Adapter(rank=declared.rank, targets=tuple(declared.target_modules or ("all-linear",)))


def _training(declared: TrainingSpec, count: int, assumptions: list[str]) -> Training:
    parallelism = training_degrees(declared, count)
    if declared.parallelism is None or declared.parallelism.data is None:
        assumptions.append(f"training.parallelism.data: {parallelism.data}, from accelerators.count")
    if parallelism.expert_tensor is not None and (declared.parallelism is None or declared.parallelism.expert_tensor is None):
        assumptions.append("training.parallelism.expertTensor: 1, the only degree with which the experts fit into data × context")
    return Training(
        sequence_length=declared.sequence_length,
        global_batch=declared.global_batch_size,
        micro_batch=declared.micro_batch_size,
        parallelism=parallelism,
        framework=declared.framework.name if declared.framework else Framework.OTHER,
        framework_version=declared.framework.version if declared.framework else None,
        sequence_parallel=declared.sequence_parallel,
        sharding=declared.sharding,
        sharding_group=declared.sharding_group,
        recompute=declared.activation_recompute,
        attention_kernel=declared.attention_kernel,
        moe_kernel=declared.moe_kernel or MoeKernel.GROUPED,
        optimizer=str(declared.optimizer or "adam"),
        token_efficiency_ratio=1.0 if declared.token_efficiency is None else declared.token_efficiency,
        balanced_routing=declared.balanced_routing is not False,
    )


def _inference(declared: InferenceSpec, count: int, namespace: str, config_maps: ConfigMaps | None, assumptions: list[str]) -> Inference:
    parallelism = inference_degrees(declared, count)
    if parallelism.data > 1 and (declared.parallelism is None or declared.parallelism.data is None):
        assumptions.append(f"inference.parallelism.data: {parallelism.data}, from accelerators.count")
    engine = declared.engine
    return Inference(
        input_tokens=declared.input_tokens,
        output_tokens=declared.output_tokens,
        parallelism=parallelism,
        engine=engine.name if engine else Engine.OTHER,
        engine_version=engine.version if engine else None,
        memory_ratio=engine.memory_fraction if engine else None,
        max_sequences=engine.max_sequences if engine else None,
        max_batch_tokens=engine.max_batch_tokens if engine else None,
        phase=declared.phase or Phase.MIXED,
        concurrency=declared.concurrency,
        prefix_hit_ratio=declared.prefix_cache_hit_rate or 0.0,
        speculative=_speculative(declared.speculative, namespace, config_maps, assumptions),
    )


def _speculative(
    declared: SpeculativeSpec | None, namespace: str, config_maps: ConfigMaps | None, assumptions: list[str]
) -> Speculative | None:
    if declared is None:
        return None
    if declared.acceptance_rate is None:
        assumptions.append(f"inference.speculative.acceptanceRate: {_ACCEPTANCE_RATIO}")
    draft = declared.draft_model
    return Speculative(
        method=declared.method,
        tokens=declared.tokens,
        acceptance_ratio=_ACCEPTANCE_RATIO if declared.acceptance_rate is None else declared.acceptance_rate,
        draft=None if draft is None else architecture_of(draft, "spec.inference.speculative.draftModel", namespace, config_maps),
    )
