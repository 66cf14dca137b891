"""Replicas for the requests that come, and which replicas could share a device."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mfu.estimate.result import Bound, Estimate, MemoryFit, MemoryPart, Term
from mfu.judge.external import Replicas, replicas_needed
from mfu.judge.external_sharing import Candidate, oversubscription
from mfu.missing import Missing, Reason
from mfu.observe.observation import Evidence
from tests.judge.cases import GIB, estimate, inference, observed, training, unknown

SERVING = estimate(0.3, serving=True, concurrency=64, tokens=1000.0)


def evidence(running: float, waiting: float | None = None) -> Evidence:
    return Evidence(running_requests=running, waiting_requests=waiting)


@pytest.mark.parametrize(
    ("running", "waiting", "tokens", "replicas", "headroom", "needed"),
    [
        pytest.param(64.0, 0.0, 4000.0, 4, 0.0, 4, id="loaded as expected"),
        pytest.param(64.0, 64.0, 4000.0, 4, 0.0, 8, id="as many wait as run"),
        pytest.param(8.0, 0.0, 500.0, 4, 0.0, 1, id="an eighth of the load"),
        pytest.param(8.0, 0.0, 2100.0, 4, 0.0, 3, id="few in flight but many tokens"),
        pytest.param(64.0, 0.0, 4000.0, 4, 0.2, 5, id="with headroom"),
        pytest.param(0.0, 0.0, 0.0, 4, 0.0, 1, id="never none"),
    ],
)
def test_replicas_follow_the_larger_of_both_demands(
    running: float, waiting: float, tokens: float, replicas: int, headroom: float, needed: int
) -> None:
    seen = observed(0.1, accelerators=replicas, tokens=tokens, evidence=evidence(running, waiting))
    found = replicas_needed(inference(), SERVING, seen, headroom_ratio=headroom)
    assert isinstance(found, Replicas) and (found.needed, found.running) == (needed, replicas)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(replicas_needed(training(), SERVING, observed(0.1)), Reason.NOT_APPLICABLE, id="training"),
        pytest.param(replicas_needed(inference(), SERVING, unknown(Reason.TELEMETRY_STALE)), Reason.TELEMETRY_STALE, id="not observed"),
        pytest.param(replicas_needed(inference(), unknown(Reason.UNKNOWN_MODEL), observed(0.1)), Reason.UNKNOWN_MODEL, id="not expected"),
        pytest.param(replicas_needed(inference(), SERVING, observed(0.1)), Reason.TELEMETRY_MISSING, id="no demand observed"),
        pytest.param(replicas_needed(inference(), SERVING, observed(0.1), headroom_ratio=1.0), Reason.INTENT_INVALID, id="all headroom"),
    ],
)
def test_a_demand_that_is_not_known_asks_for_nothing(found: Replicas | Missing, reason: Reason) -> None:
    assert isinstance(found, Missing) and found.reason is reason


def candidate(name: str, *, compute: float, memory: float, gib: float = 20.0, load: float = 1.0) -> Candidate:
    terms = (
        Term(name="matmul", seconds=compute, bound=Bound.COMPUTE),
        Term(name="weightStreaming", seconds=memory, bound=Bound.MEMORY),
        Term(name="hostScheduling", seconds=1.0 - compute - memory, bound=Bound.HOST),
    )
    fit = MemoryFit(parts=(MemoryPart(name="weights", required_bytes=gib * GIB),), capacity_bytes=48 * GIB)
    expected: Estimate = replace(SERVING, terms=terms, memory=fit)
    return Candidate(namespace="chat", name=name, workload=inference(), estimate=expected, load_ratio=load)


def test_a_decode_and_a_prefill_replica_fit_on_one_device() -> None:
    found = oversubscription([candidate("decode", compute=0.1, memory=0.7), candidate("prefill", compute=0.8, memory=0.1)])
    assert len(found) == 1
    pair = found[0]
    assert (pair.compute_ratio, pair.bandwidth_ratio, pair.memory_ratio, pair.loss_ratio) == pytest.approx((0.9, 0.8, 40 / 48, 0.0))
    assert pair.frees_accelerators == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"compute": 0.1, "memory": 0.8}, {"compute": 0.1, "memory": 0.8}, id="both need the bandwidth"),
        pytest.param({"compute": 0.1, "memory": 0.4, "gib": 30.0}, {"compute": 0.1, "memory": 0.4, "gib": 20.0}, id="too large together"),
        pytest.param({"compute": 0.8, "memory": 0.1}, {"compute": 0.8, "memory": 0.1}, id="neither leaves compute idle"),
    ],
)
def test_pairs_that_do_not_fit_are_not_named(first: dict[str, float], second: dict[str, float]) -> None:
    assert oversubscription([candidate("a", **first), candidate("b", **second)]) == ()


def test_a_pair_at_part_load_asks_for_less() -> None:
    full = oversubscription([candidate("a", compute=0.1, memory=0.6), candidate("b", compute=0.1, memory=0.55)])
    half = oversubscription([candidate("a", compute=0.1, memory=0.6, load=0.5), candidate("b", compute=0.1, memory=0.55, load=0.5)])
    assert full[0].loss_ratio == pytest.approx(1 - 1 / 1.15) and half[0].loss_ratio == 0.0


def test_no_workload_is_in_two_pairs() -> None:
    found = oversubscription([candidate(name, compute=0.1, memory=0.3) for name in "abcde"])
    names = [name for pair in found for name in (pair.first, pair.second)]
    assert len(found) == 2 and len(set(names)) == 4
