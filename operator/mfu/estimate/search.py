"""Searching through the estimator: the best single changes of a workload, and the best layouts of a model on given accelerators."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from mfu.estimate.estimator import estimate
from mfu.estimate.profile import Profile, profile_of
from mfu.estimate.recipe import interleaves, settle
from mfu.estimate.result import Estimate, ServingRates, Term, TrainingRates
from mfu.estimate.variant import Variant, variants
from mfu.estimate.workload import Fabric, Inference, InferenceParallelism, Recompute, Training, TrainingParallelism, Workload
from mfu.hardware.accelerator import Accelerator
from mfu.missing import Missing, Reason

__all__ = ["Candidate", "Change", "Objective", "Variant", "best_changes", "plan", "variants"]

_WORTH_RATIO = 1.01  # a change that gains less is noise
_LARGEST_PIPELINE = 16


class Objective(StrEnum):
    """What `plan` maximises (or, for cost, minimises)."""

    MFU = "mfu"
    THROUGHPUT = "throughput"
    COST = "cost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A single change and what it would reach."""

    field_path: str
    old: str
    new: str
    workload: Workload
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A whole layout. `tokens_per_second` is of all accelerators (training: trained tokens; inference: output tokens); `reason` says why
    it beats the next."""

    workload: Workload
    estimate: Estimate
    tokens_per_second: float
    dollars_per_million_tokens: float | Missing
    summary: str
    reason: str = ""


def best_changes(workload: Workload, base: Estimate, limit: int = 3) -> tuple[Change, ...]:
    """Single changes that fit in memory and give more tokens per second and accelerator (or that fit where `base` does not), best first.

    A field appears once, with its best value.
    """
    found: dict[str, Change] = {}
    for variant in variants(workload):
        result = estimate(variant.workload)
        if isinstance(result, Missing) or not result.memory.fits:
            continue
        if base.memory.fits and rate(result) < _WORTH_RATIO * rate(base):
            continue
        best = found.get(variant.field_path)
        if best is None or rate(result) > rate(best.estimate):
            found[variant.field_path] = Change(
                field_path=variant.field_path, old=variant.old, new=variant.new, workload=variant.workload, estimate=result
            )
    return tuple(sorted(found.values(), key=lambda change: -rate(change.estimate))[:limit])


def rate(result: Estimate) -> float:
    """Tokens per second and accelerator: trained, or output."""
    match result.rates:
        case TrainingRates() as training:
            return training.tokens_per_second_per_accelerator
        case ServingRates() as serving:
            return serving.output_tokens_per_second_per_accelerator or serving.total_tokens_per_second_per_accelerator


def plan(
    workload: Workload, *, objective: Objective = Objective.MFU, accelerators: tuple[Accelerator, ...] = (), limit: int = 5
) -> tuple[Candidate, ...]:
    """The best layouts of `workload` on its own accelerators, or on the same number of each of `accelerators`.

    Tries tensor, pipeline, expert and (serving) attention-data parallelism, interleaving, micro-batch and the least recomputation that
    fits; a layout that does not fit in memory is never returned. Best first; empty where nothing fits.
    """
    places = [_fabric(workload.fabric, accelerator) for accelerator in accelerators] or [workload.fabric]
    candidates = [
        candidate
        for fabric in places
        for layout in _layouts(replace(workload, fabric=fabric))
        if (candidate := _candidate(layout, objective)) is not None
    ]
    candidates.sort(key=lambda candidate: _score(candidate, objective), reverse=True)
    best = candidates[: limit + 1]
    return tuple(replace(first, reason=_reason(first, second)) for first, second in zip(best, [*best[1:], None], strict=False))[:limit]


def _fabric(declared: Fabric, accelerator: Accelerator) -> Fabric:
    if accelerator.name == declared.accelerator.name:
        return declared
    return Fabric(
        accelerator=accelerator,
        count=declared.count,
        per_node=declared.per_node,
        link_domain=accelerator.link_domain(declared.per_node),
        network_bytes_per_second=accelerator.network_bytes_per_second,
    )


def _layouts(workload: Workload) -> Iterator[Workload]:
    profile = profile_of(workload.architecture, workload.adapter)
    match workload.job:
        case Training() as job:
            return (replace(workload, job=tried) for tried in _training_layouts(workload, job, profile))
        case Inference() as job:
            return _serving_layouts(workload, job, profile)


def _training_layouts(workload: Workload, job: Training, profile: Profile) -> Iterator[Training]:
    count, domain = workload.fabric.count, max(1, workload.fabric.link_domain)
    heads = min((op.heads for op in profile.attentions), default=0)
    context = job.parallelism.context
    for tensor in _powers(min(domain, heads or 1)):
        for pipeline in _powers(min(_LARGEST_PIPELINE, profile.layers)):
            data, rest = divmod(count, tensor * pipeline * context)
            if rest or not data or (heads and heads % tensor) or (job.global_batch is not None and job.global_batch % data):
                continue
            each_rank = None if job.global_batch is None else job.global_batch // data
            experts = (
                [e for e in _powers(min(profile.experts, data * context * tensor)) if profile.experts % e == 0] if profile.experts else [1]
            )
            for expert in experts:
                for interleave in _interleaves(job, profile, pipeline):
                    degrees = TrainingParallelism(
                        tensor=tensor,
                        pipeline=pipeline,
                        interleave=interleave,
                        data=data,
                        context=context,
                        expert=expert,
                        expert_tensor=None,
                    )
                    for micro_batch in (1, 2, 4, 8):
                        if each_rank is None or each_rank % micro_batch == 0:
                            yield replace(job, parallelism=degrees, micro_batch=micro_batch, recompute=None, sharding_group=None)


def _interleaves(job: Training, profile: Profile, pipeline: int) -> Iterable[int]:
    if pipeline == 1 or not interleaves(job.framework):
        return (1,)
    return [part for part in (1, 2, 4, 8) if profile.layers % (pipeline * part) == 0] or (1,)


def _serving_layouts(workload: Workload, job: Inference, profile: Profile) -> Iterator[Workload]:
    count, domain = workload.fabric.count, max(1, workload.fabric.link_domain)
    heads = min((op.heads for op in profile.attentions), default=0)
    for tensor in _powers(min(count, domain, heads or 1)):
        if heads and heads % tensor:
            continue
        for data in _powers(min(count, domain) // tensor if profile.experts else 1):
            ranks = tensor * data
            for expert in {1, ranks} if profile.experts and profile.experts % ranks == 0 else {1}:
                degrees = InferenceParallelism(tensor=tensor, pipeline=1, data=data, expert=expert)
                yield replace(workload, job=replace(job, parallelism=degrees), fabric=replace(workload.fabric, count=ranks))


def _candidate(workload: Workload, objective: Objective) -> Candidate | None:
    result = estimate(workload)
    if isinstance(result, Missing) or not result.memory.fits:
        return None
    tokens = rate(result) * workload.fabric.count
    price = workload.fabric.accelerator.price_per_hour
    dollars: float | Missing = (
        Missing(
            reason=Reason.UNKNOWN_PRICE,
            message=f"{workload.fabric.accelerator.name} has no price; set pricePerHour in its AcceleratorClass",
        )
        if price is None
        else price / 3600 / rate(result) * 1e6
    )
    if objective is Objective.COST and isinstance(dollars, Missing):
        return None
    return Candidate(
        workload=workload, estimate=result, tokens_per_second=tokens, dollars_per_million_tokens=dollars, summary=_summary(workload)
    )


def _score(candidate: Candidate, objective: Objective) -> float:
    match objective:
        case Objective.MFU:
            return candidate.estimate.mfu_ratio
        case Objective.THROUGHPUT:
            return rate(candidate.estimate)
        case Objective.COST:
            return 0.0 if isinstance(candidate.dollars_per_million_tokens, Missing) else -candidate.dollars_per_million_tokens


def _summary(workload: Workload) -> str:
    name = workload.fabric.accelerator.name
    match workload.job:
        case Training() as job:
            degrees = job.parallelism
            settled = settle(job, profile_of(workload.architecture, workload.adapter), workload.precisions, workload.fabric).layout
            named = {
                "tensor": degrees.tensor,
                "pipeline": degrees.pipeline,
                "interleave": settled.interleave,
                "data": degrees.data,
                "context": degrees.context,
                "expert": degrees.expert,
            }
            shape = ", ".join(f"{key} {value}" for key, value in named.items() if value > 1) or "one rank"
            recompute = "" if settled.recompute is Recompute.NONE else f", {settled.recompute} recomputation"
            return f"{workload.fabric.count} × {name}: {shape}, micro-batch {settled.micro_batch}, {settled.sharding}{recompute}"
        case Inference() as job:
            serving = job.parallelism
            named = {"tensor": serving.tensor, "pipeline": serving.pipeline, "data": serving.data, "expert": serving.expert}
            shape = ", ".join(f"{key} {value}" for key, value in named.items() if value > 1) or "one accelerator"
            return f"{workload.fabric.count} × {name} a replica: {shape}"


def _reason(first: Candidate, second: Candidate | None) -> str:
    """The term that saves most time for each token against the next best."""
    if second is None:
        return "nothing else fits"
    mine, theirs = _per_token(first), _per_token(second)
    saved = {name: theirs.get(name, 0.0) - mine.get(name, 0.0) for name in mine.keys() | theirs.keys()}
    name = max(sorted(saved), key=lambda key: saved[key])
    total = sum(theirs.values())
    if saved[name] <= 0.002 * total:
        return "on a par with the next"
    return f"saves {saved[name] / total:.1%} of the time in {name} against the next"


def _per_token(candidate: Candidate) -> dict[str, float]:
    """Accelerator-seconds of each term for one token."""
    terms: tuple[Term, ...] = candidate.estimate.terms
    whole = sum(term.seconds for term in terms)
    return {term.name: term.seconds / whole / rate(candidate.estimate) for term in terms}


def _powers(limit: int) -> list[int]:
    return [1 << exponent for exponent in range(max(1, limit).bit_length())]
