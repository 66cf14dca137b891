"""Why the expectation itself is below the peak: causes that lie in the declared intent, from the estimate's own terms."""

from collections.abc import Iterator, Sequence

from mfu.estimate.result import Bound, Estimate, ServingRates, Term
from mfu.estimate.search import Change, rate
from mfu.estimate.workload import AttentionKernel, Framework, Inference, MoeKernel, Training, Workload
from mfu.judge.assessment import Cause, CauseShare
from mfu.judge.wording import percent, term_text

__all__ = ["avoidable", "structural", "unaligned_vocabulary"]

_ROOM_FOR_MORE = 2.0
_LEAST_AVOIDABLE_SHARE = 0.10  # of the step
_LEAST_SERVING_COMMUNICATION = 0.30  # tensor parallelism also buys latency
# Training steps that lose so much are told, whether or not a single change would help.
_REMARKABLE_SHARES = {Cause.COMMUNICATION: 0.35, Cause.PIPELINE_BUBBLE: 0.25, Cause.HOST_BOUND: 0.40}
_WORTH_CHANGING_RATIO = 1.15
_WORTH_MOVING_RATIO = 1.4  # another layout of ranks that talk inside their fast links is a matter of taste below that
_PADDED_RATIO = 0.9
_SMALL_SEQUENCES = 2
# Changes whose gain says that a cause could be avoided.
_REMEDIES: dict[Cause, tuple[str, ...]] = {
    Cause.SMALL_BATCH: (
        "training.microBatchSize",
        "training.globalBatchSize",
        "inference.concurrency",
        "inference.engine.maxSequences",
        "inference.engine.maxBatchTokens",
    ),
    Cause.PIPELINE_BUBBLE: ("training.parallelism.interleave", "training.parallelism.pipeline", "training.globalBatchSize"),
    Cause.COMMUNICATION: (
        "training.parallelism.tensor",
        "training.parallelism.expert",
        "training.sequenceParallel",
        "training.sharding",
        "training.shardingGroup",
        "inference.parallelism.tensor",
        "inference.parallelism.data",
        "inference.parallelism.pipeline",
        "inference.parallelism.expert",
    ),
    Cause.KERNEL_MISMATCH: ("training.attentionKernel", "training.moeKernel"),
    Cause.HOST_BOUND: ("training.microBatchSize", "training.sharding"),
}
_REQUESTS_WORTH_RATIO = 3.0
_ALIGNMENT = 64
_UNALIGNED_HEAD_SHARE = 0.08
_PADS_VOCABULARY = frozenset({Framework.MEGATRON_CORE, Framework.MEGATRON_BRIDGE, Framework.MEGATRON_DEEPSPEED, Framework.NEMO})
_UNALIGNED = "is no multiple of"
_CROSSING = "share the fast links"


def structural(workload: Workload, estimate: Estimate) -> tuple[CauseShare, ...]:
    """Shares of the time that the expectation is above the pure arithmetic."""
    step = estimate.step_seconds
    lost = step * (1.0 - estimate.mfu_ratio)
    if step <= 0.0 or lost <= 0.0:
        return ()
    return tuple(
        CauseShare(cause=cause, share_ratio=min(1.0, excess / lost), evidence=evidence, expected=True)
        for cause, excess, evidence in _causes(workload, estimate)
    )


def avoidable(workload: Workload, estimate: Estimate, changes: Sequence[Change]) -> tuple[CauseShare, ...]:
    """Of the structural causes those that take a good part of the step and that some change of the declaration would do without.

    `changes`: what was tried through the estimator. A change of the precision or of the optimizer's batch alone is no fault of the
    declaration, so these do not count where something else explains the loss.
    """
    step = estimate.step_seconds
    if step <= 0.0:
        return ()
    taken: dict[Cause, float] = {}
    for cause, excess, _ in _causes(workload, estimate):
        taken[cause] = taken.get(cause, 0.0) + excess / step
    serving = isinstance(workload.job, Inference)
    found = []
    for share in structural(workload, estimate):
        least = _LEAST_SERVING_COMMUNICATION if serving and share.cause is Cause.COMMUNICATION else _LEAST_AVOIDABLE_SHARE
        if taken[share.cause] < least:
            continue
        gain = _gain(share, estimate, changes)
        if gain is None and (serving or taken[share.cause] < _REMARKABLE_SHARES.get(share.cause, 1.0)):
            continue
        cause = share.cause
        if cause is Cause.HOST_BOUND and gain is not None and "training.microBatchSize" in gain:
            cause = Cause.SMALL_BATCH  # launches take as long for a larger batch
        evidence = share.evidence if gain is None else f"{share.evidence}; {gain}"
        found.append(CauseShare(cause=cause, share_ratio=share.share_ratio, evidence=evidence, expected=True))
    return tuple(found)


def _gain(share: CauseShare, base: Estimate, changes: Sequence[Change]) -> str | None:
    cause = share.cause
    if cause is Cause.PADDING:
        return "pack sequences"
    if _UNALIGNED in share.evidence:
        return "kernels take a slow path"
    if cause is Cause.ROUTING_IMBALANCE:
        return "balance the router"
    for change in changes:
        worth = _REQUESTS_WORTH_RATIO if change.field_path == "inference.concurrency" else _WORTH_CHANGING_RATIO
        if cause is Cause.COMMUNICATION and _CROSSING not in share.evidence:
            worth = _WORTH_MOVING_RATIO
        if change.field_path in _REMEDIES.get(cause, ()) and rate(base) > 0.0 and rate(change.estimate) >= worth * rate(base):
            return f"{change.field_path} {change.old} → {change.new} would give {rate(change.estimate) / rate(base):.2f} times the tokens"
    return None


def _causes(workload: Workload, estimate: Estimate) -> Iterator[tuple[Cause, float, str]]:
    """Cause, seconds of the step beyond its arithmetic, evidence."""
    step = estimate.step_seconds
    yield from _declared_waste(workload, estimate)
    for term in estimate.terms:
        excess = term.seconds if term.ceiling_mfu_ratio is None else step * (1.0 - estimate.mfu_ratio / term.ceiling_mfu_ratio)
        if term.bound is not Bound.COMPUTE and excess > 0.0 and term.name != "stragglers":
            cause, evidence = _cause(workload, estimate, term)
            yield cause, excess, evidence


def _declared_waste(workload: Workload, estimate: Estimate) -> Iterator[tuple[Cause, float, str]]:
    job, step = workload.job, estimate.step_seconds
    if not isinstance(job, Training):
        return
    if job.token_efficiency_ratio < _PADDED_RATIO:
        padded = 1.0 - job.token_efficiency_ratio
        yield Cause.PADDING, padded * step, f"{percent(padded)} of the declared tokens are padding"
    odd = unaligned_vocabulary(workload, estimate)
    if odd is not None:
        yield Cause.KERNEL_MISMATCH, odd[0], odd[1]
    if job.attention_kernel is AttentionKernel.UNFUSED:
        attention = sum(term.seconds for term in estimate.terms if term.name == "attention")
        yield Cause.KERNEL_MISMATCH, attention, f"unfused attention takes {attention / step:.0%} of the expected step"


def unaligned_vocabulary(workload: Workload, estimate: Estimate) -> tuple[float, str] | None:
    """A vocabulary that matrix units cannot tile, where the head is worth it and the framework does not pad it by itself: seconds of the
    head, evidence."""
    rows, job = workload.architecture.vocabulary, workload.job
    head = sum(term.seconds for term in estimate.terms if term.name == "head")
    padded_anyway = isinstance(job, Training) and job.framework in _PADS_VOCABULARY
    if rows % _ALIGNMENT == 0 or padded_anyway or head < _UNALIGNED_HEAD_SHARE * estimate.step_seconds:
        return None
    wanted = -(-rows // _ALIGNMENT) * _ALIGNMENT
    share = head / estimate.step_seconds
    return head, f"the vocabulary of {rows} {_UNALIGNED} {_ALIGNMENT} (pad it to {wanted}), and the head takes {share:.0%} of the step"


def _cause(workload: Workload, estimate: Estimate, term: Term) -> tuple[Cause, str]:
    evidence = f"{term_text(term)} takes {term.seconds / estimate.step_seconds:.0%} of the expected step"
    job = workload.job
    if term.name == "rankImbalance":
        return Cause.ROUTING_IMBALANCE, evidence
    match term.bound:
        case Bound.COMMUNICATION:
            return Cause.COMMUNICATION, evidence + _crossing(workload, term)
        case Bound.PIPELINE:
            return Cause.PIPELINE_BUBBLE, evidence
        case Bound.HOST:
            if (
                isinstance(job, Training)
                and job.moe_kernel is MoeKernel.LOOP
                and workload.architecture.has_experts
                and term.name == "hostLaunch"
            ):
                return Cause.KERNEL_MISMATCH, f"{evidence}: experts run one after the other"
            held = _held_by_memory(workload, estimate) if term.name == "kernelLatency" else None
            return (Cause.HOST_BOUND, evidence) if held is None else (Cause.SMALL_BATCH, held)
        case _:
            held = _held_by_memory(workload, estimate)
            if held is not None:
                return Cause.SMALL_BATCH, held
            if isinstance(job, Training) and term.name == "optimizer" and (job.global_batch or 0) > 0:
                return Cause.SMALL_BATCH, f"{evidence}: steps are short beside it"
            return Cause.MEMORY_BOUND, evidence


def _crossing(workload: Workload, term: Term) -> str:
    degrees = {"tensorParallel": workload.job.parallelism.tensor, "expertParallel": workload.job.parallelism.expert}
    degree, domain = degrees.get(term.name, 1), workload.fabric.link_domain
    return f": {degree} ranks where {domain} {_CROSSING}" if degree > domain else ""


def _held_by_memory(workload: Workload, estimate: Estimate) -> str | None:
    """Evidence that memory has room for far more requests than are in flight, or None."""
    if not isinstance(workload.job, Inference) or not isinstance(estimate.rates, ServingRates):
        return None
    cache = next((part.required_bytes for part in estimate.memory.parts if part.name == "kvCache"), 0.0)
    if cache <= 0.0:
        return None
    running = estimate.rates.concurrency
    room = running * (1.0 + max(0.0, estimate.memory.capacity_bytes - estimate.memory.required_bytes) / cache)
    return f"{running} requests in flight where memory holds about {room:.0f}" if room >= _ROOM_FOR_MORE * running else None
