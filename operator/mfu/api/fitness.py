"""Whether a model can be cut the way the parallelism says: heads over tensor ranks, experts over expert ranks, layers over stages."""

from collections.abc import Iterator

from mfu.api.layout import accelerator_count, inference_degrees, training_degrees
from mfu.api.modelworkload import ModelWorkloadSpec
from mfu.api.problem import Problem
from mfu.estimate.workload import TrainingParallelism
from mfu.model import warnings as model
from mfu.model.architecture import Architecture, Attention, DeltaNet, Experts, LatentAttention, StateSpace

__all__ = ["fitness_problems", "fitness_warnings"]


def fitness_problems(spec: ModelWorkloadSpec, architecture: Architecture) -> list[Problem]:
    """What makes the declared cut impossible; each once."""
    return list(dict.fromkeys(_problems(spec, architecture)))


def fitness_warnings(spec: ModelWorkloadSpec, architecture: Architecture) -> list[Problem]:
    """What is possible but slow or odd."""
    degrees, where = _degrees(spec)
    found = [
        Problem(path="spec.model", message=text) for text in model.warnings(architecture, tensor=degrees.tensor, expert=degrees.expert)
    ]
    if degrees.expert > 1 and not architecture.has_experts:
        found.append(Problem(path=f"{where}.expert", message="has no effect: the model has no experts"))
    domain = spec.accelerators.nvlink_domain
    if domain is not None and degrees.tensor > domain:
        found.append(
            Problem(
                path=f"{where}.tensor",
                message=f"{degrees.tensor} ranks are more than one NVLink domain of {domain}; every layer waits for the network",
            )
        )
    training = spec.training
    if training is not None and training.global_batch_size and training.micro_batch_size:
        step = degrees.data * training.micro_batch_size
        if training.global_batch_size % step:
            found.append(
                Problem(
                    path="spec.training.globalBatchSize",
                    message=f"{training.global_batch_size} is not a multiple of data × microBatchSize, which is {step}",
                )
            )
    return found


def _degrees(spec: ModelWorkloadSpec) -> tuple[TrainingParallelism, str]:
    """Training and serving degrees in one shape, with the path they are declared at."""
    count = accelerator_count(spec)
    if spec.training is not None:
        return training_degrees(spec.training, count), "spec.training.parallelism"
    if spec.inference is None:
        return TrainingParallelism(), "spec"
    serving = inference_degrees(spec.inference, count)
    return (
        TrainingParallelism(tensor=serving.tensor, pipeline=serving.pipeline, data=serving.data, expert=serving.expert),
        "spec.inference.parallelism",
    )


def _problems(spec: ModelWorkloadSpec, architecture: Architecture) -> Iterator[Problem]:
    degrees, where = _degrees(spec)
    for mixer, _ in architecture.mixers():
        match mixer:
            case Attention():
                yield from _head_problems(f"{where}.tensor", mixer.query_heads, mixer.key_value_heads, degrees.tensor)
            case LatentAttention() | StateSpace():
                yield from _head_problems(f"{where}.tensor", mixer.heads, mixer.heads, degrees.tensor)
            case DeltaNet():
                yield from _head_problems(f"{where}.tensor", mixer.value_heads, mixer.value_heads, degrees.tensor)
    layers = architecture.layer_count
    if degrees.pipeline > layers:
        yield Problem(path=f"{where}.pipeline", message=f"{degrees.pipeline} stages are more than the model's {layers} layers")
    # A rank may hold an empty stage beside the embedding and one beside the head.
    elif degrees.pipeline * (degrees.interleave or 1) > layers + 2:
        yield Problem(
            path=f"{where}.interleave",
            message=f"{degrees.pipeline} × {degrees.interleave} virtual stages are more than the model's {layers} layers",
        )
    if spec.training is not None:
        yield from _expert_problems(f"{where}.expert", architecture, degrees.expert)


def _head_problems(path: str, heads: int, key_value_heads: int, tensor: int) -> Iterator[Problem]:
    if heads % tensor:
        yield Problem(path=path, message=f"the model's {heads} attention heads do not divide by tensor parallelism {tensor}")
    elif key_value_heads % tensor and tensor % key_value_heads:
        yield Problem(
            path=path,
            message=f"the model's {key_value_heads} key-value heads can neither be split over nor copied to tensor parallelism {tensor}",
        )


def _expert_problems(path: str, architecture: Architecture, expert: int) -> Iterator[Problem]:
    for layer in architecture.layers:
        for part in layer.feed_forward:
            if isinstance(part, Experts) and part.count % expert:
                yield Problem(path=path, message=f"the model's {part.count} experts do not divide by expert parallelism {expert}")
