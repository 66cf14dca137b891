"""What the workload would reach if something else ran than was declared: told by the estimator, not by a rule of thumb."""

from dataclasses import replace

from mfu.estimate.estimator import estimate as estimated
from mfu.estimate.result import Estimate
from mfu.estimate.search import rate
from mfu.estimate.workload import AttentionKernel, Inference, Recompute, Training, Workload
from mfu.hardware.precision import Precision
from mfu.missing import Missing
from mfu.model.operations import Pass
from mfu.model.totals import count
from mfu.observe.observation import Observation

__all__ = ["smaller_steps", "unfused_attention", "unfused_work", "wide_kernels", "with_lengths", "with_recomputation"]

_OTHER_LENGTH_RATIO = 1.3


def unfused_attention(workload: Workload, estimate: Estimate) -> float | None:
    """Speed left if attention were not fused; None where that is declared, or makes no difference."""
    job = workload.job
    if not isinstance(job, Training) or job.attention_kernel is AttentionKernel.UNFUSED:
        return None
    return _slower(replace(workload, job=replace(job, attention_kernel=AttentionKernel.UNFUSED)), estimate)


def unfused_work(workload: Workload) -> float:
    """Tensor work of a training pass whose attention computes the whole square, over that of one that computes the visible part."""
    job = workload.job
    if not isinstance(job, Training):
        return 1.0
    counted = count(workload.architecture, Pass(batch=1, new_tokens=job.sequence_length), workload.adapter).training
    return counted.total_full / counted.total_visible


def wide_kernels(workload: Workload, estimate: Estimate) -> float | None:
    """Speed left if kernels ran in 16 bits (32 where 16 are declared)."""
    declared = workload.precisions
    wide = Precision.BF16 if declared.compute.is_narrow else Precision.TF32
    weights = declared.weights if not declared.weights.is_narrow or isinstance(workload.job, Training) else Precision.BF16
    return _slower(replace(workload, precisions=replace(declared, compute=wide, weights=weights)), estimate)


def with_recomputation(workload: Workload, estimate: Estimate) -> float | None:
    """Speed left if all activations were recomputed."""
    job = workload.job
    if not isinstance(job, Training) or job.recompute is Recompute.FULL:
        return None
    return _slower(replace(workload, job=replace(job, recompute=Recompute.FULL)), estimate)


def smaller_steps(workload: Workload, estimate: Estimate, ratio: float) -> tuple[float, str] | None:
    """Speed left if a step took `ratio` of the declared sequences, and the term that grows most."""
    job = workload.job
    if not isinstance(job, Training) or job.global_batch is None:
        return None
    fewer = max(job.parallelism.data, round(job.global_batch * ratio))
    found = estimated(replace(workload, job=replace(job, global_batch=fewer, micro_batch=None if job.micro_batch is None else 1)))
    if isinstance(found, Missing) or rate(found) >= rate(estimate):
        return None
    before = {term.name: term.seconds / estimate.step_seconds for term in estimate.terms}
    grown = max(found.terms, key=lambda term: term.seconds / found.step_seconds - before.get(term.name, 0.0))
    return rate(found) / rate(estimate), grown.name


def with_lengths(workload: Workload, observation: Observation) -> Estimate | None:
    """The estimate for requests of the observed lengths at the declared load; None where they are about as declared."""
    job, evidence = workload.job, observation.evidence
    if not isinstance(job, Inference):
        return None
    prompt = evidence.mean_prompt_tokens or job.input_tokens
    generated = evidence.mean_generation_tokens or job.output_tokens
    apart = max(_apart(prompt, job.input_tokens), _apart(generated, job.output_tokens))
    if apart < _OTHER_LENGTH_RATIO:
        return None
    found = estimated(replace(workload, job=replace(job, input_tokens=max(1, round(prompt)), output_tokens=max(1, round(generated)))))
    return None if isinstance(found, Missing) else found


def _slower(workload: Workload, base: Estimate) -> float | None:
    found = estimated(workload)
    if isinstance(found, Missing) or rate(base) <= 0.0 or rate(found) >= rate(base):
        return None
    return rate(found) / rate(base)


def _apart(first: float, second: float) -> float:
    low, high = sorted((max(1.0, first), max(1.0, second)))
    return high / low
