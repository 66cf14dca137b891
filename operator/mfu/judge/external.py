"""Signals for other controllers: the replicas that an inference workload needs at its expected efficiency. Nothing here acts."""

from dataclasses import dataclass
from math import ceil

from mfu.estimate.result import Estimate, ServingRates
from mfu.estimate.workload import Inference, Workload
from mfu.judge.economics import expected_tokens_per_second
from mfu.missing import Missing, Reason
from mfu.observe.observation import Observation

__all__ = ["Replicas", "replicas_needed"]

_SLACK = 1e-9  # 3.0000000001 replicas are three


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """`needed`: at the expected efficiency, at least 1; `running`: whole replicas whose accelerators are held now."""

    needed: int
    running: int
    reason: str


def replicas_needed(
    workload: Workload, estimate: Estimate | Missing, observation: Observation | Missing, *, headroom_ratio: float = 0.0
) -> Replicas | Missing:
    """Replicas for the requests that come now, had each the expected rate and concurrency.

    Two demands, the larger counts: requests in flight and waiting over the expected concurrency of a replica (Little's law: both are rate ×
    time), and tokens produced over the expected rate of a replica, which is only the demand where nothing waits. `headroom_ratio` is kept
    free. Missing(NOT_APPLICABLE) for training, and the observation's reason where nothing is known of the demand.
    """
    if not 0.0 <= headroom_ratio < 1.0:
        return Missing(reason=Reason.INTENT_INVALID, message=f"headroom must be a ratio from 0 to below 1, not {headroom_ratio}")
    if not isinstance(workload.job, Inference):
        return Missing(reason=Reason.NOT_APPLICABLE, message="a training job has no replicas to scale")
    if isinstance(estimate, Missing):
        return estimate
    if isinstance(observation, Missing):
        return observation
    rate = expected_tokens_per_second(workload, estimate)
    if not isinstance(estimate.rates, ServingRates) or rate <= 0.0:
        return Missing(reason=Reason.NOT_APPLICABLE, message="no tokens are expected of a replica")
    running = observation.accelerators // max(1, workload.fabric.count)
    free = 1.0 - headroom_ratio
    demands = []
    in_flight = observation.evidence.running_requests
    if in_flight is not None and running:
        asked = (in_flight + (observation.evidence.waiting_requests or 0.0)) * running
        demands.append(
            (
                asked / (estimate.rates.concurrency * free),
                f"{asked:.0f} requests in flight or waiting, {estimate.rates.concurrency} a replica",
            )
        )
    if observation.tokens_per_second is not None:
        demands.append(
            (
                observation.tokens_per_second / (rate * free),
                f"{observation.tokens_per_second:,.0f} tokens/s, {rate:,.0f} a replica expected",
            )
        )
    if not demands:
        return Missing(
            reason=Reason.TELEMETRY_MISSING, message="neither requests in flight nor tokens are observed, so the demand is not known"
        )
    largest, reason = max(demands)
    return Replicas(needed=max(1, ceil(largest - _SLACK)), running=running, reason=reason)
