"""The one line, and how figures are worded."""

from __future__ import annotations

import pytest

from mfu.estimate.result import Bound, Estimate, Term
from mfu.judge.assessment import Cause, CauseShare, Cost, Drift
from mfu.judge.summary import summarize
from mfu.judge.verdict import Decision, Verdict, VerdictReason
from mfu.judge.wording import dollars, gibibytes, main_cause, percent, spoken
from mfu.missing import Missing, Reason
from mfu.observe.observation import Observation
from tests.judge.cases import estimate, observed, unknown

ADMITTED = Verdict(decision=Decision.ADMITTED, reason=VerdictReason.ADMITTED, message="fine")
CROSSES = CauseShare(cause=Cause.COMMUNICATION, share_ratio=0.6, evidence="tensor parallelism crosses nodes")


def line(
    *,
    expected: Estimate | Missing | None = None,
    verdict: Verdict = ADMITTED,
    seen: Observation | Missing | None = None,
    diagnosis: tuple[CauseShare, ...] = (),
    gap: float | Missing = 112.3,
) -> str:
    return summarize(
        estimate=expected or estimate(0.431, low=0.390, high=0.462),
        verdict=verdict,
        observation=seen or observed(0.312),
        drift=Drift(ratio=-0.2, drifting=False, since_seconds=None, baseline="Expected"),
        diagnosis=diagnosis,
        cost=Cost(per_hour=400.0, per_million_tokens=0.4, gap_per_hour=gap),
    )


def test_observed_against_expected_with_the_first_cause_and_the_money() -> None:
    assert line(diagnosis=(CROSSES,)) == (
        "31.2% observed vs 43.1% expected [39.0–46.2]; communication: tensor parallelism crosses nodes; $112/h lost"
    )


def test_what_the_declaration_itself_costs_is_no_loss_against_the_expectation() -> None:
    declared = CauseShare(cause=Cause.SMALL_BATCH, share_ratio=0.6, evidence="2 requests in flight", expected=True)
    said = line(diagnosis=(declared,))
    assert said.endswith("; as declared; limited by small batch: 2 requests in flight")


def test_an_unknown_price_leaves_out_the_money() -> None:
    assert line(diagnosis=(CROSSES,), gap=unknown(Reason.UNKNOWN_PRICE)).endswith("crosses nodes")


def test_a_healthy_workload_is_as_expected_and_loses_nothing() -> None:
    assert line(seen=observed(0.42), gap=5.0) == "42.0% observed vs 43.1% expected [39.0–46.2]; as expected"


def test_a_held_workload_says_first_why_it_is_held() -> None:
    held = Verdict(decision=Decision.HELD, reason=VerdictReason.BELOW_EXPECTED_MFU_FLOOR, message="expected MFU 11.8% is under …")
    assert line(verdict=held) == "held: expected MFU 11.8% is under …"


def test_without_an_observation_the_line_says_why() -> None:
    assert line(seen=unknown(Reason.NOT_RUNNING, "no pod is running")) == "43.1% expected [39.0–46.2]; no pod is running"
    blind = observed(unknown(Reason.TELEMETRY_MISSING, "Prometheus has no tokens"))
    assert line(seen=blind) == "43.1% expected [39.0–46.2]; MFU not observed: Prometheus has no tokens"


def test_without_an_expectation_the_line_says_why() -> None:
    gone = unknown(Reason.UNKNOWN_ACCELERATOR, "no class h999")
    assert line(expected=gone, seen=observed(0.3)) == "30.0% observed; no expectation: no class h999"
    assert line(expected=gone, seen=unknown(Reason.NOT_RUNNING, "x")) == "no expectation: no class h999"


@pytest.mark.parametrize(("ratio", "text"), [(0.118, "11.8%"), (0.3, "30%"), (0.0, "0%"), (0.9999, "100%"), (1.0, "100%")])
def test_percentages(ratio: float, text: str) -> None:
    assert percent(ratio) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(112.3, "$112"), (1204.0, "$1,204"), (9.837, "$9.84"), (0.42, "$0.42"), (0.0042, "$0.0042"), (0.0, "$0.00")]
)
def test_money(amount: float, text: str) -> None:
    assert dollars(amount) == text


@pytest.mark.parametrize(("size", "text"), [(412 * 2**30, "412 GiB"), (79.6 * 2**30, "79.6 GiB")])
def test_memory(size: float, text: str) -> None:
    assert gibibytes(size) == text


@pytest.mark.parametrize(
    ("name", "text"), [("tensorParallel", "tensor parallel"), ("DataStarvation", "data starvation"), ("matmul", "matmul")]
)
def test_names_are_spoken(name: str, text: str) -> None:
    assert spoken(name) == text


def test_the_main_cause_is_the_largest_part_that_is_not_arithmetic() -> None:
    assert main_cause(estimate()) == "tensor parallel communication (46% of the step)"
    bubble = (Term(name="matmul", seconds=3.0, bound=Bound.COMPUTE), Term(name="pipelineBubble", seconds=1.0, bound=Bound.PIPELINE))
    assert main_cause(estimate(terms=bubble)) == "pipeline bubble (25% of the step)"
    assert main_cause(estimate(terms=bubble[:1])) == "matmul (100% of the step)"
