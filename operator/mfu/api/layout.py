"""How the declared degrees of parallelism cover the accelerators: what follows from what, and what cannot be."""

from collections.abc import Iterator

from mfu.api.modelworkload import InferenceParallelismSpec, InferenceSpec, ModelWorkloadSpec, TrainingParallelismSpec, TrainingSpec
from mfu.api.problem import Problem
from mfu.estimate.workload import InferenceParallelism, TrainingParallelism

__all__ = ["accelerator_count", "inference_degrees", "layout_problems", "training_degrees"]

_TRAINING = "spec.training.parallelism"
_INFERENCE = "spec.inference.parallelism"
_COUNT = "spec.accelerators.count"


def accelerator_count(spec: ModelWorkloadSpec) -> int:
    """Accelerators that the parallelism spans; where they are not declared, what the degrees multiply to."""
    if spec.accelerators.count is not None:
        return spec.accelerators.count
    if spec.training is not None:
        degrees = _declared(spec.training)
        return (degrees.tensor or 1) * (degrees.pipeline or 1) * (degrees.context or 1) * (degrees.data or 1)
    serving = _serving(spec.inference)
    return (serving.tensor or 1) * (serving.pipeline or 1) * (serving.data or 1)


def training_degrees(training: TrainingSpec, count: int) -> TrainingParallelism:
    """The degrees with `data` derived. Without expertTensor, experts are split over tensor ranks, or whole where only that fits."""
    degrees = _declared(training)
    tensor, pipeline, context, expert = degrees.tensor or 1, degrees.pipeline or 1, degrees.context or 1, degrees.expert or 1
    data = degrees.data or count // (tensor * pipeline * context)
    expert_tensor = degrees.expert_tensor
    if expert_tensor is None and (data * context) % expert:
        expert_tensor = 1
    return TrainingParallelism(
        tensor=tensor,
        pipeline=pipeline,
        interleave=degrees.interleave,
        data=data,
        context=context,
        expert=expert,
        expert_tensor=expert_tensor,
    )


def inference_degrees(inference: InferenceSpec, count: int) -> InferenceParallelism:
    """The degrees with `data` derived; 0, which engines write for "none", is 1."""
    degrees = _serving(inference)
    tensor, pipeline = degrees.tensor or 1, degrees.pipeline or 1
    data = count // (tensor * pipeline) if degrees.data is None else degrees.data or 1
    return InferenceParallelism(tensor=tensor, pipeline=pipeline, data=data, expert=degrees.expert or 1)


def layout_problems(spec: ModelWorkloadSpec) -> Iterator[Problem]:
    """What is wrong with the degrees, the batch and the sequence, whatever the model."""
    if spec.training is not None:
        yield from _training_problems(spec.training, spec.accelerators.count)
    if spec.inference is not None:
        yield from _inference_problems(spec.inference, spec.accelerators.count)


def _training_problems(training: TrainingSpec, count: int | None) -> Iterator[Problem]:
    degrees = _declared(training)
    fixed = (degrees.tensor or 1) * (degrees.pipeline or 1) * (degrees.context or 1)
    if count is None:
        if degrees.data is None:
            yield Problem(path=_COUNT, message="is needed (or training.parallelism.data, from which it follows)")
            return
        count = fixed * degrees.data
    if degrees.data is not None and fixed * degrees.data != count:
        yield Problem(
            path=_TRAINING,
            message=f"tensor × pipeline × data × context is {fixed * degrees.data}, but accelerators.count is {count}",
        )
        return
    if count % fixed:
        yield Problem(path=_COUNT, message=f"{count} is not a multiple of tensor × pipeline × context, which is {fixed}")
        return
    data = degrees.data or count // fixed
    yield from _expert_problems(degrees, data)
    yield from _batch_problems(training, data)


def _expert_problems(degrees: TrainingParallelismSpec, data: int) -> Iterator[Problem]:
    mesh = (degrees.tensor or 1) * (degrees.context or 1) * data
    expert, expert_tensor = degrees.expert or 1, degrees.expert_tensor or 1
    if mesh % (expert * expert_tensor):
        yield Problem(
            path=f"{_TRAINING}.expert",
            message=f"expert × expertTensor is {expert * expert_tensor} and does not divide tensor × data × context, which is {mesh}",
        )


def _batch_problems(training: TrainingSpec, data: int) -> Iterator[Problem]:
    micro, batch = training.micro_batch_size or 1, training.global_batch_size
    if batch is not None and batch < data * micro:
        yield Problem(
            path="spec.training.globalBatchSize",
            message=f"{batch} sequences are too few for {data} data-parallel ranks of {micro} sequences each",
        )
    context = _declared(training).context or 1
    if training.sequence_length % context:
        yield Problem(
            path="spec.training.sequenceLength",
            message=f"{training.sequence_length} tokens cannot be split evenly over context parallelism {context}",
        )


def _inference_problems(inference: InferenceSpec, count: int | None) -> Iterator[Problem]:
    degrees = _serving(inference)
    fixed = (degrees.tensor or 1) * (degrees.pipeline or 1)
    if degrees.data is None:
        if count is not None and count % fixed:
            yield Problem(path=_COUNT, message=f"{count} is not a multiple of tensor × pipeline, which is {fixed}")
            return
        data = 1 if count is None else count // fixed
    else:
        data = degrees.data or 1
        if count is not None and fixed * data != count:
            yield Problem(path=_INFERENCE, message=f"tensor × pipeline × data is {fixed * data}, but accelerators.count is {count}")
            return
    mesh = (degrees.tensor or 1) * data
    if mesh % (degrees.expert or 1):
        yield Problem(path=f"{_INFERENCE}.expert", message=f"{degrees.expert} does not divide tensor × data, which is {mesh}")
    engine = inference.engine
    if engine is not None and engine.max_sequences is not None and (inference.concurrency or 0) > engine.max_sequences * data:
        yield Problem(
            path="spec.inference.concurrency",
            message=f"{inference.concurrency} is more than engine.maxSequences allows ({engine.max_sequences} × data {data})",
        )


def _declared(training: TrainingSpec) -> TrainingParallelismSpec:
    return training.parallelism or TrainingParallelismSpec()


def _serving(inference: InferenceSpec | None) -> InferenceParallelismSpec:
    return (inference.parallelism if inference is not None else None) or InferenceParallelismSpec()
