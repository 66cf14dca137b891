"""One observation beside what would be expected at the load of the moment: what the record of a workload takes in."""

from collections.abc import Callable
from math import log

from mfu.estimate.result import Estimate, ServingRates
from mfu.estimate.workload import Workload
from mfu.judge.baseline import is_below_load, with_load
from mfu.judge.history import Look
from mfu.missing import Missing
from mfu.observe.observation import Observation

__all__ = ["ExpectedAt", "LoadedEstimates", "look_of"]

ExpectedAt = Callable[[Workload, Observation, float], float | None]

# Loads and lengths nearer to each other than this are estimated once.
_SAME_LOAD_LOG = 0.04
_SAME_LENGTH_LOG = 0.10
_KEPT = 256


class LoadedEstimates:
    """Expectations of one workload at the loads that came; the same load is estimated once."""

    def __init__(self) -> None:
        self._workload: Workload | None = None
        self._known: dict[tuple[int, int, int], float | None] = {}

    def __call__(self, workload: Workload, observation: Observation, requests: float) -> float | None:
        evidence = observation.evidence
        if workload is not self._workload or len(self._known) >= _KEPT:
            self._workload, self._known = workload, {}
        load = (
            round(log(max(1.0, requests)) / _SAME_LOAD_LOG),
            round(log(max(1.0, evidence.mean_prompt_tokens or 1.0)) / _SAME_LENGTH_LOG),
            round(log(max(1.0, evidence.mean_generation_tokens or 1.0)) / _SAME_LENGTH_LOG),
        )
        if load not in self._known:
            found = with_load(workload, observation, requests)
            self._known[load] = None if found is None else found.mfu_ratio
        return self._known[load]


def look_of(
    workload: Workload | Missing, estimate: Estimate | Missing, observation: Observation | Missing, expected_at: ExpectedAt
) -> Look | None:
    """None where the observed or the expected MFU is not known."""
    if isinstance(workload, Missing) or isinstance(estimate, Missing) or isinstance(observation, Missing):
        return None
    observed = observation.mfu_ratio
    if isinstance(observed, Missing) or estimate.mfu_ratio <= 0.0:
        return None
    expected, load = estimate.mfu_ratio, 1.0
    if (observation.evidence.waiting_requests or 0.0) < 1.0 and is_below_load(estimate, observation):
        requests = observation.evidence.running_requests or 0.0
        loaded = expected_at(workload, observation, requests)
        if loaded is None or not isinstance(estimate.rates, ServingRates):
            return None
        expected, load = loaded, requests / estimate.rates.concurrency
    return Look(
        at_seconds=observation.at_seconds,
        observed_ratio=observed,
        expected_ratio=expected,
        declared_ratio=estimate.mfu_ratio,
        load_ratio=load,
    )
