"""The steps that a replica takes at its steady state: decode steps, some of which carry a chunk of prefill."""

from collections.abc import Sequence
from dataclasses import dataclass

from mfu.estimate.breakdown import Part
from mfu.estimate.coefficients import InferenceCoefficients
from mfu.estimate.occupancy import Occupancy
from mfu.estimate.profile import Profile
from mfu.estimate.result import Bound
from mfu.estimate.serving_kernels import Batch, Rank, StepSeconds, step_seconds
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Requests:
    """Mean request of a pipeline micro-batch: `prompt` tokens to compute after `cached` ones, `steps` decode steps at `context` tokens."""

    sequences: float
    prompt: float
    cached: float
    context: float
    steps: float
    verified: float
    chunk_limit: float

    def batch(self, *, decodes: bool, chunk: float = 0.0) -> Batch:
        """A step with or without the running sequences and a prefill chunk."""
        return Batch(
            decoding=self.sequences if decodes else 0.0,
            context=self.context,
            tokens_each=self.verified,
            chunk=chunk,
            prompt=self.prompt + self.cached,
            cached_prompt=self.cached,
        )


def schedule(job: Inference, profile: Profile, rank: Rank, load: Occupancy, guess: Speculation, known: InferenceCoefficients) -> Schedule:
    """Mean step of continuous batching with chunked prefill: the prompts of entering requests are spread over steps (arXiv:2403.02310)."""
    cached = min(job.input_tokens - 1.0, job.input_tokens * job.prefix_hit_ratio)
    requests = _Requests(
        sequences=load.sequences / rank.pipeline,
        prompt=job.input_tokens - cached,
        cached=cached,
        context=job.input_tokens + job.output_tokens / 2,
        steps=max(1, job.output_tokens) / guess.tokens_per_step,
        verified=guess.verified,
        chunk_limit=max(1.0, float(rank.behaviour.chunk_tokens)),
    )

    def step(*, decodes: bool, chunk: float = 0.0) -> StepSeconds:
        return step_seconds(profile, rank, requests.batch(decodes=decodes, chunk=chunk), known)

    first_chunk = min(requests.prompt, requests.chunk_limit)
    own = step(decodes=False, chunk=first_chunk).total * requests.prompt / first_chunk * rank.pipeline
    if job.phase is Phase.PREFILL:
        chunk = min(requests.chunk_limit, max(1.0, requests.sequences) * requests.prompt)
        prefill = step(decodes=False, chunk=chunk)
        return Schedule(
            parts=_mean([(prefill, 1.0)]),
            ideal_seconds=prefill.ideal,
            requests_per_second=chunk / requests.prompt / prefill.total,
            period_seconds=0.0,
            own_prefill_seconds=own,
        )
    decode = step(decodes=True)
    weighted = [(decode, 1.0)]
    if job.phase is Phase.MIXED:
        entering = requests.sequences * requests.prompt / requests.steps  # prompt tokens for each decode step
        chunk = min(max(entering, first_chunk), requests.chunk_limit)
        mixed, chunks = step(decodes=True, chunk=chunk), entering / chunk
        weighted = [(decode, 1.0 - chunks), (mixed, chunks)]
        if chunks > 1.0:  # prefill comes faster than decode steps can carry it: steps of prefill alone in between
            weighted = [(mixed, 1.0), (step(decodes=False, chunk=chunk), chunks - 1.0)]
    drafting = draft_seconds(job, profile, rank, requests.batch(decodes=True), decode.total, known)
    draft = (Part(name="draft", seconds=drafting, bound=Bound.MEMORY),) if drafting else ()
    parts = (*_mean(weighted), *draft)
    period = sum(part.seconds for part in parts) * requests.steps
    waited = own if job.phase is Phase.MIXED else 0.0
    return Schedule(
        parts=parts,
        ideal_seconds=sum(each.ideal * weight for each, weight in weighted),
        requests_per_second=requests.sequences / period,
        period_seconds=max(0.0, period * rank.pipeline - waited),
        own_prefill_seconds=waited,
    )


def _mean(weighted: Sequence[tuple[StepSeconds, float]]) -> tuple[Part, ...]:
    """Terms of the mean step; those without time are left out."""
    seconds: dict[str, float] = {}
    bounds: dict[str, Bound] = {}
    for step, weight in weighted:
        for name, took, bound in step.parts():
            seconds[name] = seconds.get(name, 0.0) + weight * took
            bounds[name] = bound
    return tuple(Part(name=name, seconds=took, bound=bounds[name]) for name, took in seconds.items() if took)
