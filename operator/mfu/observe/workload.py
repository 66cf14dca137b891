"""One workload's share of a snapshot, turned into an observation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mfu.estimate.workload import Inference, Phase, Training, Workload
from mfu.missing import Missing, Reason
from mfu.observe.accounting import accounting_faults
from mfu.observe.devices import device_evidence, hardware_ratio
from mfu.observe.dynamo import preferring_engines
from mfu.observe.flops import decode_flops_per_token, prefill_flops_per_token, training_flops_per_token
from mfu.observe.observation import Evidence, Observation
from mfu.observe.telemetry import PodKey, ServingTelemetry, Snapshot, Source, TelemetryChoice, TrainingTelemetry
from mfu.observe.training import REPORTED
from mfu.observe.triton import NO_TOKENS

__all__ = ["observe"]

_YOUNG_SECONDS = 300.0  # pulling an image, loading weights, compiling
_STALE_SECONDS = 180.0


def observe(
    workload: Workload,
    pods: Sequence[PodKey],
    snapshot: Snapshot,
    *,
    choice: TelemetryChoice | None = None,
    accelerators: int | None = None,
    running_since_seconds: float | None = None,
) -> Observation | Missing:
    """What the snapshot says of the workload whose running pods are `pods`.

    `accelerators`: devices that those pods hold; None: those that the device exporter attributes to them, else the declared count.
    `running_since_seconds`: when the youngest pod started; a young pod without telemetry is warming up rather than lacking an exporter.
    """
    if not pods:
        return Missing(reason=Reason.NOT_RUNNING, message="no pod of this workload is running")
    chosen = choice or TelemetryChoice()
    held = frozenset(pods)
    devices = snapshot.held_by(sorted(held))
    evidence = device_evidence(devices, workload.fabric.accelerator)
    hardware = hardware_ratio(devices, workload.fabric.accelerator)
    young = running_since_seconds is not None and snapshot.at_seconds - running_since_seconds < _YOUNG_SECONDS
    progress: _Progress | Missing
    if chosen.source is Source.DCGM:
        progress = Missing(reason=Reason.NOT_APPLICABLE, message="spec.telemetry.source is dcgm: tokens are not read, so MFU is not known")
    elif isinstance(workload.job, Training):
        progress = _training(workload, workload.job, held, snapshot, chosen, young)
    else:
        progress = _serving(workload, workload.job, held, snapshot, chosen, young)
    if isinstance(progress, Missing):
        if not devices:
            return progress
        return Observation(
            at_seconds=snapshot.at_seconds,
            mfu_ratio=progress,
            hardware_ratio=hardware,
            accelerators=accelerators or len(devices),
            evidence=evidence,
        )
    count = accelerators or len(devices) or workload.fabric.count * (progress.reporting if isinstance(workload.job, Inference) else 1)
    peak = workload.fabric.accelerator.peak(workload.precisions.compute)
    mfu = peak if isinstance(peak, Missing) else progress.flops_per_second / (count * progress.covered_ratio * peak)
    observation = Observation(
        at_seconds=progress.at_seconds,
        mfu_ratio=mfu,
        hardware_ratio=hardware,
        source=progress.source,
        tokens_per_second=progress.tokens_per_second,
        accelerators=count,
        evidence=_joined(evidence, progress.evidence, count),
    )
    return replace(observation, faults=accounting_faults(workload, observation, progress.flops_per_second))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Progress:
    """Application telemetry of the pods whose counters cover the window. `reporting`: how many those are, `covered_ratio`: of all that
    report.
    """

    source: Source
    at_seconds: float
    flops_per_second: float
    tokens_per_second: float
    reporting: int
    covered_ratio: float
    evidence: Evidence


def _training(
    workload: Workload, job: Training, pods: frozenset[PodKey], snapshot: Snapshot, choice: TelemetryChoice, young: bool
) -> _Progress | Missing:
    if choice.training is not None and choice.training in snapshot.unread:
        return Missing(
            reason=Reason.TELEMETRY_UNSUPPORTED,
            message=f"too many different training counters are declared, and {choice.training.tokens_metric} is not read; "
            f"use {REPORTED.tokens_metric}",
        )
    reports: Mapping[PodKey, TrainingTelemetry] = snapshot.training
    name = REPORTED.tokens_metric
    if choice.training is not None and choice.training in snapshot.declared:
        reports, name = snapshot.declared[choice.training], choice.training.tokens_metric
    found = [reports[pod] for pod in sorted(pods) if pod in reports]
    fresh = [each for each in found if _is_fresh(each, snapshot)]
    expected = f"{name} from the training pods; run the reporter in rank 0 or name your counter in spec.telemetry"
    silence = _silence(found, fresh, snapshot, pods, young, expected)
    if silence is not None:
        return silence
    reporting, fresh = len(fresh), [each for each in fresh if each.covers_window]
    whole = [each.tokens_per_second for each in fresh if each.counts_whole_job]
    tokens = max(whole) if whole else sum(each.tokens_per_second for each in fresh)
    pace = max((each.steps_per_second for each in fresh if each.steps_per_second is not None), default=0.0)
    waits = [each.data_wait_ratio for each in fresh if each.data_wait_ratio is not None]
    return _Progress(
        source=Source.TRAINING,
        at_seconds=_sampled_at(fresh, snapshot),
        flops_per_second=tokens * training_flops_per_token(workload, job),
        tokens_per_second=tokens,
        reporting=reporting,
        covered_ratio=len(fresh) / reporting,
        evidence=replace(Evidence(), data_wait_ratio=max(waits) if waits else None, tokens_per_step=tokens / pace if pace > 0.0 else None),
    )


def _serving(
    workload: Workload, job: Inference, pods: frozenset[PodKey], snapshot: Snapshot, choice: TelemetryChoice, young: bool
) -> _Progress | Missing:
    found = [
        snapshot.serving[pod] for pod in sorted(pods) if pod in snapshot.serving and choice.source in (None, snapshot.serving[pod].source)
    ]
    fresh = preferring_engines([each for each in found if _is_fresh(each, snapshot)])
    expected = f"token counters of {choice.source or 'an inference engine'}; scrape the engine's /metrics and turn its metrics on"
    silence = _silence(found, fresh, snapshot, pods, young, expected)
    if silence is not None:
        return silence
    reporting, fresh = len(fresh), [each for each in fresh if each.covers_window]
    generated = sum(each.generation_tokens_per_second for each in fresh)
    computed = sum(each.computed_prompt_tokens_per_second for each in fresh)
    cached = [each.cached_prompt_tokens_per_second for each in fresh if each.cached_prompt_tokens_per_second is not None]
    served = sum(cached)
    hit_ratio = served / (served + computed) if cached and served + computed > 0.0 else job.prefix_hit_ratio
    prompt = _weighted([(each.mean_prompt_tokens, each.requests_per_second) for each in fresh])
    generation = _weighted([(each.mean_generation_tokens, each.requests_per_second) for each in fresh])
    lengths = {"prompt_tokens": prompt if prompt is not None else float(job.input_tokens)}
    each_prefill = prefill_flops_per_token(workload, cached_ratio=min(1.0, hit_ratio), **lengths)
    mean_generation = generation if generation is not None else float(job.output_tokens)
    prefilled = job.phase is not Phase.DECODE
    each_decode = decode_flops_per_token(workload, generation_tokens=mean_generation, prefilled_here=prefilled, **lengths)
    engine = [each.engine_flops_per_second for each in fresh if each.engine_flops_per_second]
    return _Progress(
        source=fresh[0].source,
        at_seconds=_sampled_at(fresh, snapshot),
        flops_per_second=computed * each_prefill + generated * each_decode,
        tokens_per_second=computed if job.phase is Phase.PREFILL else generated,
        reporting=reporting,
        covered_ratio=len(fresh) / reporting,
        evidence=replace(
            Evidence(),
            running_requests=_mean([each.running_requests for each in fresh]),
            waiting_requests=_mean([each.waiting_requests for each in fresh]),
            cache_usage_ratio=_mean([each.cache_usage_ratio for each in fresh]),
            preemptions_per_second=_mean([each.preemptions_per_second for each in fresh]),
            mean_prompt_tokens=prompt,
            mean_generation_tokens=generation,
            prefix_hit_ratio=hit_ratio if cached else None,
            # Counted for each accelerator of the engine; the pods' engines are alike.
            engine_flops_per_second=sum(engine) / len(engine) if engine else None,
        ),
    )


def _is_fresh(each: ServingTelemetry | TrainingTelemetry, snapshot: Snapshot) -> bool:
    return each.sampled_at_seconds is not None and snapshot.at_seconds - each.sampled_at_seconds <= _STALE_SECONDS


def _silence(
    found: Sequence[ServingTelemetry | TrainingTelemetry],
    fresh: Sequence[ServingTelemetry | TrainingTelemetry],
    snapshot: Snapshot,
    pods: frozenset[PodKey],
    young: bool,
    expected: str,
) -> Missing | None:
    """Why no figure can be given, or None when there is one."""
    if fresh:
        if any(each.covers_window for each in fresh):
            return None
        return Missing(
            reason=Reason.WARMING_UP, message="the counters are younger than the window that rates are taken over; wait for it to fill"
        )
    if found:
        return Missing(
            reason=Reason.TELEMETRY_STALE, message="the last scrape of the pods' counters is too long ago; look at the scrape targets"
        )
    if snapshot.problem is not None and snapshot.problem.reason is Reason.PROMETHEUS_UNAVAILABLE:
        return snapshot.problem
    if not snapshot.claimed.isdisjoint(pods):
        return Missing(
            reason=Reason.TELEMETRY_UNATTRIBUTED,
            message="a scrape target in another namespace reports these pods, which is not believed; scrape it with honorLabels: true",
        )
    if not snapshot.countless.isdisjoint(pods):
        return NO_TOKENS
    if young:
        return Missing(reason=Reason.WARMING_UP, message=f"the pods started less than {_YOUNG_SECONDS:.0f} s ago; waiting for {expected}")
    return Missing(reason=Reason.TELEMETRY_MISSING, message=f"Prometheus has no {expected}")


def _sampled_at(fresh: Sequence[ServingTelemetry | TrainingTelemetry], snapshot: Snapshot) -> float:
    return max((each.sampled_at_seconds for each in fresh if each.sampled_at_seconds is not None), default=snapshot.at_seconds)


def _joined(devices: Evidence, application: Evidence, accelerators: int) -> Evidence:
    each = application.engine_flops_per_second
    return replace(
        devices,
        data_wait_ratio=application.data_wait_ratio,
        running_requests=application.running_requests,
        waiting_requests=application.waiting_requests,
        cache_usage_ratio=application.cache_usage_ratio,
        preemptions_per_second=application.preemptions_per_second,
        mean_prompt_tokens=application.mean_prompt_tokens,
        mean_generation_tokens=application.mean_generation_tokens,
        tokens_per_step=application.tokens_per_step,
        prefix_hit_ratio=application.prefix_hit_ratio,
        engine_flops_per_second=None if each is None else each * accelerators,
    )


def _weighted(values: Sequence[tuple[float | None, float | None]]) -> float | None:
    known = [(value, weight if weight else 1.0) for value, weight in values if value is not None]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if known else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
