"""What would be expected of the workload as it really runs: at the load that it gets, and where it was placed."""

from dataclasses import replace

from mfu.estimate.estimator import estimate as estimated
from mfu.estimate.result import Estimate, ServingRates
from mfu.estimate.workload import Inference, Workload
from mfu.missing import Missing
from mfu.observe.observation import Observation
from mfu.place.assess import Spread, placed_fabric

__all__ = ["at_load", "at_placement", "is_below_load", "with_load"]

# A replica with at least this share of the expected requests in flight is loaded as declared.
_LOADED_RATIO = 0.85


def is_below_load(estimate: Estimate, observation: Observation) -> bool:
    """Whether clearly fewer requests are in flight than the estimate stands for."""
    running = observation.evidence.running_requests
    return isinstance(estimate.rates, ServingRates) and running is not None and running < _LOADED_RATIO * estimate.rates.concurrency


def at_load(workload: Workload, estimate: Estimate, observation: Observation) -> Estimate | None:
    """The estimate at the observed number of requests in flight and their lengths; None where the load is as declared, or is not known.

    An engine cannot run requests that nobody sends: at night it is not slower than expected, it is emptier. While requests wait, it is not.
    """
    waiting = observation.evidence.waiting_requests or 0.0
    if waiting >= 1.0 or not is_below_load(estimate, observation):
        return None
    return with_load(workload, observation, observation.evidence.running_requests or 0.0)


def with_load(workload: Workload, observation: Observation, requests: float) -> Estimate | None:
    """The estimate of a replica with `requests` in flight of the lengths that are observed."""
    if not isinstance(workload.job, Inference):
        return None
    job = replace(
        workload.job,
        concurrency=max(1, round(requests)),
        input_tokens=max(1, round(observation.evidence.mean_prompt_tokens or workload.job.input_tokens)),
        output_tokens=max(1, round(observation.evidence.mean_generation_tokens or workload.job.output_tokens)),
    )
    found = estimated(replace(workload, job=job))
    return None if isinstance(found, Missing) else found


def at_placement(workload: Workload, spread: Spread | Missing) -> Estimate | None:
    """The estimate with the fast-link domain that the placement really gives; None where that is as declared, or is not known."""
    if isinstance(spread, Missing):
        return None
    fabric = placed_fabric(workload.fabric, spread)
    if fabric.link_domain >= workload.fabric.link_domain:
        return None
    found = estimated(replace(workload, fabric=fabric))
    return None if isinstance(found, Missing) else found
