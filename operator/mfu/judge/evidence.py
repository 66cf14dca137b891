"""Rules from evidence to causes whose effect can be put in numbers: each says how much speed its cause takes by itself, or nothing."""

from collections.abc import Iterator

from mfu.estimate.result import Bound, Estimate, ServingRates
from mfu.estimate.workload import Inference, Training, Workload
from mfu.hardware.partition import partition_name
from mfu.hardware.product import identify_product
from mfu.judge.assessment import Cause
from mfu.judge.baseline import at_placement, is_below_load, with_load
from mfu.judge.counters import Departure, loaded_clock_ratio, stated_clock_ratio
from mfu.judge.hypotheses import smaller_steps, with_lengths
from mfu.judge.waterfall import Loss
from mfu.judge.work import excess_work
from mfu.missing import Missing
from mfu.observe.observation import Evidence, Observation
from mfu.place.assess import Spread

__all__ = ["cache_is_full", "cache_text", "losses"]

_DATA_WAIT = 0.05
_IDLE = 0.08  # beyond what every job has
_IDLE_ENGINE = 0.10  # the same of an engine that is as fast as expected: engines differ in what the host does between steps
_AS_EXPECTED_RATIO = 0.93
_THROTTLED_RATIO = 0.9  # of the clock that loaded parts hold
_REPORTED_THROTTLING_RATIO = 0.97
_WORKING_RATIO = 0.5  # of GPU utilisation: an idle device lowers its clock by itself
_IDLE_ENGINE_BUSY_RATIO = 0.6
_FULL_CACHE_RATIO = 0.9
_PREEMPTIONS_PER_SECOND = 0.01
_PREFILL_RATIO = 0.6  # of the peak that prefill reaches
_UNEVEN_RATIO = 1.15
_UNEVEN_EXPERTS_RATIO = 1.1
_FEWER_TOKENS_RATIO = 0.93
_MORE_DEVICES_RATIO = 1.05


def losses(
    workload: Workload, estimate: Estimate, observation: Observation, spread: Spread | Missing, departed: Departure
) -> tuple[Loss, ...]:
    """Causes whose effect can be put in numbers."""
    evidence = observation.evidence
    return tuple(
        loss
        for rule in (
            _data_starvation(evidence),
            _straggler(evidence),
            _throttling(workload, evidence),
            _sharing(workload, evidence),
            _other_accelerators(workload, observation),
            _uneven(workload, evidence),
            _idle(workload, estimate, observation, departed),
            _placement(workload, estimate, spread),
            _load(workload, estimate, observation),
            _lengths(workload, estimate, observation),
            _smaller_steps(workload, estimate, evidence, departed),
            excess_work(workload, estimate, observation, departed),
        )
        for loss in rule
    )


def _data_starvation(evidence: Evidence) -> Iterator[Loss]:
    wait = evidence.data_wait_ratio
    if wait is not None and wait >= _DATA_WAIT:
        yield Loss(
            cause=Cause.DATA_STARVATION,
            lost_ratio=wait,
            evidence=f"the training loop waits {wait:.0%} of the time for its data",
            measured=True,
        )


def _straggler(evidence: Evidence) -> Iterator[Loss]:
    if evidence.slowest_node is None or evidence.slowest_node_ratio is None:
        return
    reasons = f" ({', '.join(evidence.slowest_node_reasons)})" if evidence.slowest_node_reasons else ""
    yield Loss(
        cause=Cause.STRAGGLER,
        lost_ratio=1.0 - evidence.slowest_node_ratio,
        evidence=f"node {evidence.slowest_node} runs at {evidence.slowest_node_ratio:.0%} of the median node{reasons}, and all wait for it",
        measured=True,
    )


def _throttling(workload: Workload, evidence: Evidence) -> Iterator[Loss]:
    """Against the stated clock where the devices report a fault, else against the lowest clock of a healthy part under load."""
    clock, busy = evidence.clock_ratio, evidence.busy_ratio
    if clock is None or evidence.slowest_node is not None or (busy is not None and busy < _WORKING_RATIO):
        return
    accelerator = workload.fabric.accelerator
    reported = any("thermal" in reason or "hardware" in reason for reason in evidence.throttle_reasons)
    left = clock / (stated_clock_ratio(accelerator) if reported else loaded_clock_ratio(accelerator))
    if left >= (_REPORTED_THROTTLING_RATIO if reported else _THROTTLED_RATIO):
        return
    reasons = " and ".join(evidence.throttle_reasons)
    why = f"the devices report {reasons}" if reasons else "look at power caps and temperatures"
    yield Loss(
        cause=Cause.THROTTLING,
        lost_ratio=1.0 - left,
        evidence=f"SM clocks are at {clock:.0%} of their maximum under load: {why}",
        measured=reported,
    )


def _sharing(workload: Workload, evidence: Evidence) -> Iterator[Loss]:
    if evidence.shared_devices:
        yield Loss(
            cause=Cause.SHARING,
            lost_ratio=1.0 - 1.0 / max(2, evidence.sharers),
            evidence=f"{evidence.shared_devices} devices are time-sliced between {max(2, evidence.sharers)} pods",
            measured=True,
        )
    accelerator = workload.fabric.accelerator
    for label in evidence.partitions:
        name = partition_name(accelerator, label)
        part = None if isinstance(name, Missing) else next((each for each in accelerator.partitions if each.name == name), None)
        if part is not None and part.compute_ratio < 1.0:
            yield Loss(
                cause=Cause.SHARING,
                lost_ratio=1.0 - part.compute_ratio,
                evidence=f"the pods hold the MIG slice {part.name} where whole devices of {accelerator.name} are declared",
                measured=True,
            )
            return


def _other_accelerators(workload: Workload, observation: Observation) -> Iterator[Loss]:
    """Devices that are not those that were declared."""
    declared = workload.fabric
    for product in observation.evidence.products:
        found = identify_product(product)
        if (
            not isinstance(found, Missing)
            and found != declared.accelerator.name.partition("/")[0]
            and _is_catalogued(declared.accelerator.name)
        ):
            yield Loss(
                cause=Cause.WRONG_DECLARATION,
                lost_ratio=0.99,
                evidence=f"the devices call themselves {product} ({found}) where {declared.accelerator.name} is declared",
                measured=True,
            )
            return
    if isinstance(workload.job, Training) and observation.accelerators > _MORE_DEVICES_RATIO * declared.count:
        yield Loss(
            cause=Cause.WRONG_DECLARATION,
            lost_ratio=1.0 - declared.count / observation.accelerators,
            evidence=f"the pods hold {observation.accelerators} accelerators where {declared.count} are declared",
        )


def _is_catalogued(name: str) -> bool:
    return "/" not in name


def _uneven(workload: Workload, evidence: Evidence) -> Iterator[Loss]:
    """Some devices have more to do than others, and collectives wait for them."""
    ratio = evidence.hottest_device_ratio
    if ratio is None or ratio < _UNEVEN_EXPERTS_RATIO or evidence.slowest_node is not None:
        return
    parallel = workload.job.parallelism
    figures = f"the busiest devices do {ratio:.2f} times the mean work"
    if workload.architecture.has_experts and parallel.expert > 1:
        yield Loss(
            cause=Cause.ROUTING_IMBALANCE,
            lost_ratio=1.0 - 1.0 / ratio,
            evidence=f"{figures}: experts get uneven numbers of tokens",
            measured=True,
        )
    elif isinstance(workload.job, Training) and parallel.pipeline > 1 and ratio >= _UNEVEN_RATIO:
        yield Loss(
            cause=Cause.PIPELINE_BUBBLE,
            lost_ratio=1.0 - 1.0 / ratio,
            evidence=f"{figures}: the pipeline's stages are uneven",
            measured=True,
        )


def _idle(workload: Workload, estimate: Estimate, observation: Observation, departed: Departure) -> Iterator[Loss]:
    """No kernel runs, and nobody said that data or requests are missing: the host is late."""
    evidence, idle = observation.evidence, departed.idle_ratio
    if idle is None or evidence.shared_devices:
        return
    serving = isinstance(workload.job, Inference)
    if serving and is_below_load(estimate, observation) and not evidence.waiting_requests:
        return  # without requests there is nothing to run
    bubble = sum(term.seconds for term in estimate.terms if term.name == "pipelineBubble") / estimate.step_seconds
    host = sum(term.seconds for term in estimate.terms if term.bound is Bound.HOST) / estimate.step_seconds
    lost = idle - (evidence.data_wait_ratio or 0.0) - bubble - (host if serving else 0.0)
    if lost < (_IDLE_ENGINE if serving and departed.speed_ratio >= _AS_EXPECTED_RATIO else _IDLE):
        return
    tensor = "" if evidence.tensor_active_ratio is None else f" with tensor pipes active {evidence.tensor_active_ratio:.0%}"
    unknown = "" if evidence.data_wait_ratio is not None or serving else " or its data (no counter tells)"
    yield Loss(
        cause=Cause.HOST_BOUND,
        lost_ratio=lost,
        evidence=f"devices are busy only {evidence.busy_ratio or 0.0:.0%} of the time{tensor}: they wait for the host{unknown}",
        measured=True,
    )


def _placement(workload: Workload, estimate: Estimate, spread: Spread | Missing) -> Iterator[Loss]:
    placed = at_placement(workload, spread)
    if placed is not None and not isinstance(spread, Missing) and placed.mfu_ratio < estimate.mfu_ratio:
        lost = 1.0 - placed.mfu_ratio / estimate.mfu_ratio
        yield Loss(cause=Cause.TOPOLOGY, lost_ratio=lost, evidence=spread.message, measured=True)


def _load(workload: Workload, estimate: Estimate, observation: Observation) -> Iterator[Loss]:
    """A batch below the expected one: nobody asks, a limit keeps requests waiting, or the cache has no room for them."""
    evidence = observation.evidence
    again = _computed_again(workload, estimate, observation)
    if again is not None:
        yield again
    if not isinstance(estimate.rates, ServingRates) or not is_below_load(estimate, observation):
        return
    loaded = with_load(workload, observation, evidence.running_requests or 0.0)
    if loaded is None:
        return
    running = evidence.running_requests or 0.0
    figures = f"{running:.0f} requests in flight on average where {estimate.rates.concurrency} are expected"
    idle = running < 1.0 or (evidence.busy_ratio is not None and evidence.busy_ratio < _IDLE_ENGINE_BUSY_RATIO)
    queue = "" if evidence.waiting_requests is None else f", {evidence.waiting_requests:.0f} waiting"
    lost = 1.0 - loaded.mfu_ratio / estimate.mfu_ratio
    if cache_is_full(evidence):
        yield Loss(cause=Cause.CACHE_PRESSURE, lost_ratio=lost, evidence=f"{cache_text(evidence)}; {figures}", measured=True)
        return
    cause = Cause.LOW_DEMAND if idle and not evidence.waiting_requests else Cause.SMALL_BATCH
    yield Loss(cause=cause, lost_ratio=lost, evidence=figures + queue, measured=True)


def _computed_again(workload: Workload, estimate: Estimate, observation: Observation) -> Loss | None:
    """Requests that were thrown out of the cache are prefilled again."""
    job, evidence = workload.job, observation.evidence
    evicted = evidence.preemptions_per_second
    if not evicted or not isinstance(job, Inference):
        return None
    prompt = evidence.mean_prompt_tokens or job.input_tokens
    answer = evidence.mean_generation_tokens or job.output_tokens
    flops = evicted * (prompt + answer / 2.0) * estimate.model_flops_per_token
    lost = flops / (_PREFILL_RATIO * estimate.peak_flops_per_second * workload.fabric.count)
    text = f"{cache_text(evidence)}: {evicted * (prompt + answer / 2.0):,.0f} tokens a second are computed again"
    return Loss(cause=Cause.CACHE_PRESSURE, lost_ratio=min(0.95, lost), evidence=text, measured=True)


def _lengths(workload: Workload, estimate: Estimate, observation: Observation) -> Iterator[Loss]:
    """Requests of other lengths than declared."""
    job, evidence = workload.job, observation.evidence
    if not isinstance(job, Inference) or (isinstance(estimate.rates, ServingRates) and is_below_load(estimate, observation)):
        return
    found = with_lengths(workload, observation)
    if found is not None and found.mfu_ratio < estimate.mfu_ratio:
        yield Loss(
            cause=Cause.WRONG_DECLARATION,
            lost_ratio=1.0 - found.mfu_ratio / estimate.mfu_ratio,
            evidence=f"requests bring {evidence.mean_prompt_tokens or 0:.0f} tokens and get {evidence.mean_generation_tokens or 0:.0f}"
            f" where {job.input_tokens} and {job.output_tokens} are declared",
        )


def _smaller_steps(workload: Workload, estimate: Estimate, evidence: Evidence, departed: Departure) -> Iterator[Loss]:
    """Steps of fewer tokens than declared, where the pipes do no work beyond these: the batch is smaller."""
    job = workload.job
    if not isinstance(job, Training) or job.global_batch is None or evidence.tokens_per_step is None:
        return
    ratio = evidence.tokens_per_step / (job.global_batch * job.sequence_length)
    excess = departed.excess_work_ratio
    if ratio >= _FEWER_TOKENS_RATIO or (excess is not None and excess * ratio > 0.5 * (1.0 + ratio)):
        return
    found = smaller_steps(workload, estimate, ratio)
    if found is None:
        return
    speed, grown = found
    yield Loss(
        cause=Cause.PIPELINE_BUBBLE if grown == "pipelineBubble" else Cause.SMALL_BATCH,
        lost_ratio=1.0 - speed,
        evidence=f"a step takes {evidence.tokens_per_step:,.0f} tokens where {job.global_batch * job.sequence_length:,} are declared",
    )


def cache_is_full(evidence: Evidence) -> bool:
    """Whether the KV cache keeps requests out or throws them out."""
    full = (evidence.cache_usage_ratio or 0.0) >= _FULL_CACHE_RATIO and (evidence.waiting_requests or 0.0) >= 1.0
    return full or (evidence.preemptions_per_second or 0.0) > _PREEMPTIONS_PER_SECOND


def cache_text(evidence: Evidence) -> str:
    usage = "" if evidence.cache_usage_ratio is None else f"KV cache {evidence.cache_usage_ratio:.0%} full"
    waiting = "" if evidence.waiting_requests is None else f"{evidence.waiting_requests:.0f} requests waiting"
    evicted = "" if not evidence.preemptions_per_second else f"{evidence.preemptions_per_second:.2f} preemptions a second"
    return ", ".join(part for part in (usage, waiting, evicted) if part)
