"""From a serving workload to its estimate: occupancy, steady-state schedule, throughput, latencies and ratios."""

from mfu.estimate.breakdown import dominant, terms
from mfu.estimate.coefficients import Calibration, InferenceCoefficients, keyed
from mfu.estimate.engine import Behaviour, behaviour
from mfu.estimate.interval import inference_kind, interval
from mfu.estimate.occupancy import Occupancy, occupancy
from mfu.estimate.profile import profile_of
from mfu.estimate.replica import rank_of
from mfu.estimate.requests import request_flops
from mfu.estimate.result import Estimate, ServingRates
from mfu.estimate.schedule import Schedule, schedule
from mfu.estimate.speculation import speculation
from mfu.estimate.workload import Engine, Inference, Phase, Workload
from mfu.missing import Missing

__all__ = ["estimate_inference"]


def estimate_inference(workload: Workload, job: Inference, known: Calibration) -> Estimate | Missing:
    """Expected throughput, latencies and MFU of one serving replica at its steady state."""
    accelerator = workload.fabric.accelerator
    coefficients = known.inference
    profile = profile_of(workload.architecture, workload.adapter)
    how = behaviour(job, workload.precisions, accelerator)
    rank = rank_of(workload, job, profile, how, coefficients)
    if isinstance(rank, Missing):
        return rank
    load = occupancy(workload, job, profile, rank, coefficients)
    guess = speculation(job)
    steps = schedule(job, profile, rank, load, guess, coefficients)
    degrees = job.parallelism
    ranks = degrees.tensor * degrees.pipeline * degrees.data
    requests = steps.requests_per_second * degrees.data / ranks
    output = requests * (1 if job.phase is Phase.PREFILL else job.output_tokens)
    computed = job.input_tokens * (1.0 - job.prefix_hit_ratio) if job.phase is not Phase.DECODE else 0.0
    flops = request_flops(workload.architecture, workload.adapter, job.input_tokens, job.output_tokens, job.prefix_hit_ratio, job.phase)
    peak = rank.peak_flops_per_second
    mfu = requests * flops.visible / peak
    arithmetic = sum(part.seconds for part in steps.parts)
    concurrency = max(1, round(load.sequences * degrees.data))
    per_token = steps.period_seconds / max(1, job.output_tokens - 1) if job.phase is not Phase.PREFILL else 0.0
    return Estimate(
        mfu_ratio=mfu,
        interval=interval(mfu, inference_kind(profile), accelerator, known.widths),
        hfu_ratio=min(1.0, mfu * guess.executed_ratio),
        full_attention_mfu_ratio=min(1.0, requests * flops.full / peak),
        roofline_ratio=min(1.0, steps.ideal_seconds / arithmetic),
        bound=dominant(steps.parts),
        model_flops_per_token=flops.visible / max(1.0, computed + (output / requests if requests else 1.0)),
        peak_flops_per_second=peak,
        memory=load.memory,
        terms=terms(steps.parts, mfu),
        rates=ServingRates(
            output_tokens_per_second_per_accelerator=output,
            total_tokens_per_second_per_accelerator=output + requests * computed,
            time_to_first_token_seconds=_first_token(steps, load, requests * ranks, how, coefficients),
            time_per_output_token_seconds=per_token,
            concurrency=concurrency,
        ),
        assumptions=(*workload.assumptions, *_assumptions(workload, job, how, load, concurrency)),
    )


def _first_token(steps: Schedule, load: Occupancy, requests_per_second: float, how: Behaviour, known: InferenceCoefficients) -> float:
    """Own prefill, a share of the prefills of everybody else who is running, and the wait for memory (Little's law)."""
    queue = keyed(known.first_token_queue_ratio, how.flavour, how.engine) * load.sequences
    waiting = load.waiting / requests_per_second if requests_per_second > 0 else 0.0
    return steps.own_prefill_seconds * (1.0 + queue) + waiting


def _assumptions(workload: Workload, job: Inference, how: Behaviour, load: Occupancy, concurrency: int) -> tuple[str, ...]:
    said = []
    if workload.precisions.kv_cache is None:
        said.append(f"cache precision not declared: {how.cache_precision} as {job.engine} usually keeps it")
    if job.concurrency is None:
        said.append(f"concurrency not declared: {concurrency} sequences, as many as memory or the engine's limit allow")
    elif load.waiting >= 1:
        said.append(f"memory and the engine's limit hold {concurrency} of the {job.concurrency} declared sequences; the others wait")
    if job.engine is Engine.OTHER:
        said.append("engine not known: mean overheads of the known engines")
    return tuple(said)
