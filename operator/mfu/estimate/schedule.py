"""The steps that a replica takes at its steady state: decode steps, some of which carry a chunk of prefill."""

from dataclasses import dataclass

from mfu.estimate.breakdown import Part
from mfu.estimate.coefficients import InferenceCoefficients
from mfu.estimate.occupancy import Occupancy
from mfu.estimate.profile import Profile
from mfu.estimate.result import Bound
from mfu.estimate.serving_kernels import Batch, Rank, step_seconds
from mfu.estimate.speculation import Speculation, draft_seconds
from mfu.estimate.workload import Inference, Phase

__all__ = ["Schedule", "schedule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One mean step of a pipeline stage, and how many requests a second one attention rank completes."""

    parts: tuple[Part, ...]
    ideal_seconds: float
    requests_per_second: float
    period_seconds: float  # from the first token of a request to its last
    own_prefill_seconds: float


def schedule(job: Inference, profile: Profile, rank: Rank, load: Occupancy, guess: Speculation, known: InferenceCoefficients) -> Schedule:
    """Mean step of continuous batching with chunked prefill (Sarathi-Serve, arXiv:2403.02310): the prompts of the requests that enter are
    spread over steps."""
    sequences = load.sequences / rank.pipeline
    cached = job.input_tokens * job.prefix_hit_ratio
    prompt = max(1.0, job.input_tokens - cached)
    outputs = max(1, job.output_tokens)
    context = job.input_tokens + outputs / 2
    steps = outputs / guess.tokens_per_step
    chunk_limit = max(1.0, float(rank.behaviour.chunk_tokens))
    alone = Batch(decoding=0.0, context=context, chunk=min(prompt, chunk_limit), prompt=float(job.input_tokens), cached_prompt=cached)
    own = step_seconds(profile, rank, alone, known).total * max(1.0, prompt / chunk_limit) * rank.pipeline
    if job.phase is Phase.PREFILL:
        chunk = min(chunk_limit, max(prompt, sequences * prompt))
        step = step_seconds(
            profile, rank, Batch(decoding=0.0, context=context, chunk=chunk, prompt=float(job.input_tokens), cached_prompt=cached), known
        )
        parts = tuple(Part(name=name, seconds=seconds, bound=bound) for name, seconds, bound in step.parts() if seconds)
        return Schedule(
            parts=parts,
            ideal_seconds=step.ideal,
            requests_per_second=chunk / prompt / step.total,
            period_seconds=0.0,
            own_prefill_seconds=own,
        )
    decode = step_seconds(profile, rank, Batch(decoding=sequences, context=context, tokens_each=guess.verified), known)
    weighted = [(decode, 1.0)]
    if job.phase is Phase.MIXED:
        chunk = min(max(sequences * prompt / steps, min(prompt, chunk_limit)), chunk_limit)
        chunks = sequences * prompt / chunk / steps
        mixed_batch = Batch(
            decoding=sequences,
            context=context,
            tokens_each=guess.verified,
            chunk=chunk,
            prompt=float(job.input_tokens),
            cached_prompt=cached,
        )
        mixed = step_seconds(profile, rank, mixed_batch, known)
        if chunks <= 1.0:
            weighted = [(decode, 1.0 - chunks), (mixed, chunks)]
        else:
            only = Batch(decoding=0.0, context=context, chunk=chunk, prompt=float(job.input_tokens), cached_prompt=cached)
            weighted = [(mixed, 1.0), (step_seconds(profile, rank, only, known), chunks - 1.0)]
    seconds: dict[str, Part] = {}
    for step, weight in weighted:
        for name, took, bound in step.parts():
            before = seconds[name].seconds if name in seconds else 0.0
            seconds[name] = Part(name=name, seconds=before + weight * took, bound=bound)
    drafting = draft_seconds(job, profile, rank, Batch(decoding=sequences, context=context), decode.total, known)
    seconds["draft"] = Part(name="draft", seconds=drafting, bound=Bound.MEMORY)
    parts = tuple(part for part in seconds.values() if part.seconds)
    period = sum(part.seconds for part in parts) * steps
    return Schedule(
        parts=parts,
        ideal_seconds=sum(step.ideal * weight for step, weight in weighted),
        requests_per_second=sequences / period,
        period_seconds=max(0.0, period * rank.pipeline - (own if job.phase is Phase.MIXED else 0.0)),
        own_prefill_seconds=own if job.phase is Phase.MIXED else 0.0,
    )
