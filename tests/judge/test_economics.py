"""Money: hand-worked figures, and unknown prices that stay unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.estimate.workload import Phase
from mfu.judge.economics import cost, expected_dollars_per_million_tokens, gap_ratio
from mfu.judge.recommend import recommend
from mfu.missing import Missing, Reason
from tests.judge.cases import change, estimate, fabric, inference, observed, training, unknown

IDLE = unknown(Reason.NOT_RUNNING, "no pod runs")


def test_before_anything_runs_the_declared_accelerators_and_the_expected_tokens_are_priced() -> None:
    # 32 × $3 = $96 an hour; 32 × 1000 tokens a second are 115.2 million an hour.
    found = cost(training(), estimate(tokens=1000.0), IDLE)
    assert found.per_hour == pytest.approx(96.0)
    assert found.per_million_tokens == pytest.approx(96.0 / 115.2)
    assert found.gap_per_hour == IDLE


def test_what_runs_is_priced_by_what_it_holds_and_does() -> None:
    # 16 accelerators are $48 an hour; 20 000 tokens a second are 72 million; 0.3 of an expected 0.4 leaves a quarter unused.
    found = cost(training(), estimate(0.4), observed(0.3, accelerators=16, tokens=20000.0))
    assert (found.per_hour, found.per_million_tokens, found.gap_per_hour) == pytest.approx((48.0, 48.0 / 72.0, 12.0))


def test_better_than_expected_is_no_negative_gap() -> None:
    assert cost(training(), estimate(0.4), observed(0.5)).gap_per_hour == 0.0


def test_an_unknown_price_is_unknown_and_not_zero() -> None:
    found = cost(training(on=fabric(price=None)), estimate(), observed(0.3, tokens=1.0))
    for amount in (found.per_hour, found.per_million_tokens, found.gap_per_hour):
        assert isinstance(amount, Missing) and amount.reason is Reason.UNKNOWN_PRICE and "pricePerHour" in amount.message


def test_a_prefill_replica_is_priced_by_the_prompt_tokens_it_computes() -> None:
    serving = estimate(tokens=100.0, serving=True)
    mixed = expected_dollars_per_million_tokens(inference(), serving)
    prefill = expected_dollars_per_million_tokens(inference(phase=Phase.PREFILL), serving)
    assert isinstance(mixed, float) and isinstance(prefill, float)
    assert mixed == pytest.approx(5 * prefill)


def test_no_tokens_cost_nothing_known() -> None:
    found = cost(training(), estimate(tokens=0.0), IDLE)
    assert isinstance(found.per_million_tokens, Missing)


@given(expected=st.floats(0.01, 1.0), seen=st.floats(0.0, 1.0))
def test_the_gap_is_a_share_between_nothing_and_everything(expected: float, seen: float) -> None:
    gap = gap_ratio(estimate(expected), observed(seen))
    assert isinstance(gap, float) and 0.0 <= gap <= 1.0
    assert (gap == 0.0) == (seen >= expected)


def test_a_gap_needs_both_figures() -> None:
    blind = unknown(Reason.TELEMETRY_STALE)
    assert gap_ratio(estimate(), IDLE) == IDLE
    assert gap_ratio(estimate(), observed(blind)) == blind
    assert gap_ratio(unknown(Reason.UNKNOWN_MODEL), observed(0.3)) == unknown(Reason.UNKNOWN_MODEL)


def test_a_recommendation_saves_the_accelerators_that_the_same_tokens_no_longer_need() -> None:
    base = estimate(0.2, tokens=1000.0)
    better = change("training.parallelism.tensor", "16", "8", estimate(0.25, tokens=1250.0))
    trifle = change("training.microBatchSize", "1", "2", estimate(0.202, tokens=1010.0))
    found = recommend([better, trifle], base, cost(training(), base, IDLE))
    assert [each.field_path for each in found] == ["training.parallelism.tensor"]
    assert found[0].saves_dollars_per_hour == pytest.approx(96.0 * 0.2)
    assert (found[0].old, found[0].new, found[0].expected_mfu_ratio) == ("16", "8", 0.25)
    assert found[0].speed_ratio == pytest.approx(1.25)


def test_what_makes_a_workload_fit_is_recommended_for_that() -> None:
    base = estimate(0.4, needs_gib=100)
    fits = change("training.sharding", "none", "zero3", estimate(0.35))
    found = recommend([fits], base, cost(training(), base, IDLE))
    assert found[0].note == "makes it fit in memory"


def test_recommendations_are_few_and_in_the_order_given() -> None:
    base = estimate(0.1, tokens=100.0)
    many = [change(f"field{number}", "1", "2", estimate(0.2, tokens=1000.0 - number)) for number in range(9)]
    assert [each.field_path for each in recommend(many, base, cost(training(), base, IDLE))] == ["field0", "field1", "field2"]


def test_a_recommendation_tells_its_price_and_how_sure_it_is() -> None:
    base = estimate(0.2, tokens=1000.0)
    wider = change(
        "precision.compute", "bf16", "fp8", replace(estimate(0.15, tokens=1600.0, needs_gib=60.0), peak_flops_per_second=1978.8e12)
    )
    (found,) = recommend([wider], base, cost(training(), base, IDLE))
    assert found.peak_ratio == pytest.approx(2.0) and found.expected_mfu_ratio == 0.15
    assert found.tokens_per_second == pytest.approx(1600.0 * 32)
    assert found.dollars_per_hour == pytest.approx(96.0)
    assert found.dollars_per_million_tokens == pytest.approx(96.0 / 3600 / 51200 * 1e6)
    assert found.price == "needs a restart, 20.0 GiB more memory on each accelerator (80.0 GiB there), check the results"
    assert found.confidence == "high"
    slight = change("training.microBatchSize", "1", "2", estimate(0.208, tokens=1040.0))
    assert recommend([slight], base, cost(training(), base, IDLE))[0].confidence == "low"
