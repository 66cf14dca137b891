"""What the record takes in: the observation beside the expectation at the load of the moment."""

from __future__ import annotations

import pytest

from mfu.estimate.workload import Workload
from mfu.judge.assessment import Cost, Drift
from mfu.judge.history_look import LoadedEstimates, look_of
from mfu.judge.summary import summarize
from mfu.judge.verdict import Decision, Verdict, VerdictReason
from mfu.missing import Reason
from mfu.observe.observation import Evidence, Observation
from tests.judge.cases import estimate, inference, observed, training, unknown

SERVED = estimate(0.2, serving=True, concurrency=64)


def at_load(workload: Workload, observation: Observation, requests: float) -> float | None:
    return 0.2 * requests / 64


def test_training_is_held_to_the_declared_expectation() -> None:
    look = look_of(training(), estimate(0.4), observed(0.36), at_load)
    assert look is not None
    assert (look.observed_ratio, look.expected_ratio, look.declared_ratio, look.load_ratio) == (0.36, 0.4, 0.4, 1.0)


@pytest.mark.parametrize(
    ("running", "waiting", "expected", "load"),
    [(60.0, 0.0, 0.2, 1.0), (16.0, 0.0, 0.05, 0.25), (16.0, 5.0, 0.2, 1.0), (None, None, 0.2, 1.0)],
    ids=["full", "a quarter", "requests wait", "not reported"],
)
def test_a_replica_is_held_to_what_its_load_allows(running: float | None, waiting: float | None, expected: float, load: float) -> None:
    seen = observed(0.1, evidence=Evidence(running_requests=running, waiting_requests=waiting))
    look = look_of(inference(), SERVED, seen, at_load)
    assert look is not None and (look.expected_ratio, look.load_ratio) == (expected, load)


def test_what_is_not_known_is_no_look() -> None:
    missing = unknown(Reason.TELEMETRY_MISSING)
    assert look_of(training(), estimate(0.4), missing, at_load) is None
    assert look_of(training(), missing, observed(0.3), at_load) is None
    assert look_of(training(), estimate(0.4), observed(missing), at_load) is None


def test_loads_that_are_near_are_estimated_once() -> None:
    loaded, workload = LoadedEstimates(), inference()
    seen = observed(0.1, evidence=Evidence(running_requests=16.0, mean_prompt_tokens=1000.0, mean_generation_tokens=250.0))
    first = loaded(workload, seen, 16.0)
    assert first is not None and loaded(workload, seen, 16.1) == first
    assert loaded(workload, seen, 4.0) != first


def test_the_summary_says_that_it_was_better_before() -> None:
    drift = Drift(ratio=-0.12, drifting=True, since_seconds=1.0, baseline="OwnLevel", change="image a → b")
    verdict = Verdict(decision=Decision.ADMITTED, reason=VerdictReason.ADMITTED, message="fine")
    cost = unknown(Reason.UNKNOWN_PRICE)
    line = summarize(
        estimate=estimate(0.4),
        verdict=verdict,
        observation=observed(0.38),
        drift=drift,
        diagnosis=(),
        cost=Cost(per_hour=cost, per_million_tokens=cost, gap_per_hour=cost),
    )
    assert "-12.0% from its own best level since image a → b" in line and "as expected" not in line
