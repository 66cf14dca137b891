"""Bills that add up to the micro, unit prices on two bases, and OpenCost's model of allocation on the same input."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.estimate.estimator import estimate as estimated
from mfu.estimate.result import Estimate
from mfu.estimate.workload import Inference, Phase
from mfu.judge.assessment import Cause, Recommendation
from mfu.judge.money import CauseAmount, bill, micros_of, money_text, split, useful_flops_per_second
from mfu.judge.money_advice import advise
from mfu.judge.money_allocation import Capacity, Held, allocate
from mfu.judge.money_margin import margin
from mfu.judge.money_units import Split, phase_split, unit_prices
from mfu.judge.prices import PriceLine, PriceList
from mfu.judge.rollup import roll_up
from mfu.missing import Missing, Reason
from mfu.observe.observation import Evidence
from tests.judge.cases import estimate, fabric, inference, training, unknown
from tests.judge.provider_cases import assessment, member, quote


def test_what_was_paid_is_what_the_work_is_worth_and_what_was_lost() -> None:
    # 8 × $2.00; 0.3 observed of an expected 0.4: three quarters are worth it.
    found = bill(assessment(), namespace="a", name="b", accelerators=8, quote=quote())
    assert (found.revenue_micros, found.cost_micros) == (16_000_000, 12_000_000)
    assert (found.ideal_micros, found.gap_micros) == (12_000_000, 4_000_000)


def test_the_gap_is_split_by_the_diagnosis_and_the_rest_is_unexplained() -> None:
    judged = assessment(causes={Cause.COMMUNICATION: 0.5, Cause.STRAGGLER: 0.25})
    assert bill(judged, namespace="a", name="b", accelerators=8, quote=quote()).by_cause == (
        CauseAmount(cause=Cause.COMMUNICATION, micros=2_000_000),
        CauseAmount(cause=Cause.STRAGGLER, micros=1_000_000),
        CauseAmount(cause=Cause.UNEXPLAINED, micros=1_000_000),
    )


@pytest.mark.parametrize(
    ("changes", "price", "reason"),
    [
        pytest.param({}, None, Reason.UNKNOWN_PRICE, id="no price"),
        pytest.param({"seen": unknown(Reason.TELEMETRY_STALE)}, 2_000_000, Reason.TELEMETRY_STALE, id="nothing observed"),
        pytest.param({"expected": unknown(Reason.UNKNOWN_MODEL)}, 2_000_000, Reason.UNKNOWN_MODEL, id="no expectation"),
    ],
)
def test_a_gap_that_is_not_known_is_unknown_and_not_zero(changes: dict[str, object], price: int | None, reason: Reason) -> None:
    found = bill(assessment(**changes), namespace="a", name="b", accelerators=8, quote=quote(price))  # type: ignore[arg-type]  # table of keywords
    assert isinstance(found.gap_micros, Missing) and found.gap_micros.reason is reason
    assert isinstance(found.ideal_micros, Missing) and found.by_cause == ()
    assert isinstance(found.revenue_micros, Missing) == (price is None)
    assert found.cost_micros == 12_000_000


@given(
    price=st.integers(0, 20_000_000),
    accelerators=st.integers(0, 4096),
    seen=st.floats(0.0, 1.0),
    expected=st.floats(0.001, 1.0),
    shares=st.lists(st.floats(0.0, 1.0), max_size=4),
)
def test_ideal_and_causes_always_add_up_exactly(price: int, accelerators: int, seen: float, expected: float, shares: list[float]) -> None:
    whole = max(1.0, sum(shares))
    causes = dict(zip([Cause.COMMUNICATION, Cause.STRAGGLER, Cause.TOPOLOGY, Cause.SMALL_BATCH], [s / whole for s in shares], strict=False))
    judged = assessment(expected=estimate(expected), seen=seen, causes=causes)
    found = bill(judged, namespace="a", name="b", accelerators=accelerators, quote=quote(price))
    assert isinstance(found.revenue_micros, int) and isinstance(found.ideal_micros, int) and isinstance(found.gap_micros, int)
    assert found.ideal_micros + found.gap_micros == found.revenue_micros == price * accelerators
    assert sum(amount.micros for amount in found.by_cause) == found.gap_micros
    assert 0 <= found.gap_micros <= found.revenue_micros


@given(total=st.integers(0, 10**15), shares=st.lists(st.floats(0.0, 1e6), max_size=12))
def test_a_split_adds_up_and_no_part_is_a_unit_off(total: int, shares: list[float]) -> None:
    parts = split(total, shares)
    assert sum(parts) == (total if shares else 0)
    whole = sum(shares)
    if whole > 0:
        # Beyond 2^53 a float product is itself some units off.
        slack = 1 + total * 2**-50
        assert all(abs(part - total * (share / whole)) <= slack for part, share in zip(parts, shares, strict=True))


def test_amounts_are_whole_millionths_of_what_is_written() -> None:
    assert micros_of("2.10") == micros_of(2.1) == micros_of(Decimal("2.1")) == 2_100_000
    assert [money_text(1_204_174_999), money_text(-500_000, "EUR"), money_text(12_000_000, "CHF")] == ["$1,204.17", "-€0.50", "CHF 12.00"]


def test_a_training_job_has_a_price_for_tokens_steps_and_useful_flops() -> None:
    # $16 an hour; 1,000 tokens/s are 3.6 million an hour; a step has 1,000 tokens.
    judged = assessment(tokens=1000.0)
    found = unit_prices(judged, bill(judged, namespace="a", name="b", accelerators=8, quote=quote()), unknown())
    assert found.training.allocated == pytest.approx(16 / 3.6) and found.training.ideal == pytest.approx(12 / 3.6)
    assert found.per_step.allocated == pytest.approx(16 / 3600)
    # 0.3 × 989.4 TFLOP/s × 8 for an hour are 8,548.4 PFLOP.
    assert found.per_useful_petaflop.allocated == pytest.approx(16 / 8548.4, rel=1e-4)
    assert isinstance(found.output.allocated, Missing) and found.output.allocated.reason is Reason.NOT_APPLICABLE


def test_input_and_output_tokens_share_the_bill_by_the_time_they_take() -> None:
    # 100 output tokens/s and, at 512 in and 128 out, 400 input tokens/s; a quarter of the time goes to prompts. $2 an hour.
    judged = assessment(
        workload=inference(),
        expected=estimate(0.3, serving=True),
        accelerators=1,
        tokens=100.0,
        evidence=Evidence(mean_prompt_tokens=512, mean_generation_tokens=128),
    )
    found = unit_prices(judged, bill(judged, namespace="a", name="b", accelerators=1, quote=quote()), Split(input_ratio=0.25))
    assert found.input.allocated == pytest.approx(0.25 * 2 / (400 * 3600) * 1e6)
    assert found.output.allocated == pytest.approx(0.75 * 2 / (100 * 3600) * 1e6)
    assert found.blended.allocated == pytest.approx(2 / (500 * 3600) * 1e6)
    assert isinstance(found.input.allocated, float) and isinstance(found.output.allocated, float)
    assert found.input.allocated * 1.44 + found.output.allocated * 0.36 == pytest.approx(2.0)


def test_the_time_of_prompts_is_estimated_from_a_replica_that_only_prefills() -> None:
    served = inference(on=fabric("h100-sxm-80gb", 1))
    whole = estimated(served)
    assert isinstance(whole, Estimate)
    found = phase_split(served, whole)
    assert isinstance(found, Split) and 0.0 < found.input_ratio < 1.0
    assert phase_split(inference(phase=Phase.PREFILL), whole) == Split(input_ratio=1.0)
    assert phase_split(inference(phase=Phase.DECODE), whole) == Split(input_ratio=0.0)
    assert isinstance(phase_split(training(), whole), Missing)


def test_prompts_that_come_from_the_cache_take_less_of_the_time() -> None:
    def share(hits: float) -> float:
        plain = inference(on=fabric("h100-sxm-80gb", 1))
        assert isinstance(plain.job, Inference)
        served = replace(plain, job=replace(plain.job, prefix_hit_ratio=hits))
        whole = estimated(served)
        assert isinstance(whole, Estimate)
        found = phase_split(served, whole)
        assert isinstance(found, Split)
        return found.input_ratio

    assert share(0.8) < 0.5 * share(0.0)


def test_nothing_observed_has_no_unit_price() -> None:
    judged = assessment(seen=unknown(Reason.TELEMETRY_MISSING))
    found = unit_prices(judged, bill(judged, namespace="a", name="b", accelerators=8, quote=quote()), unknown())
    assert isinstance(found.training.allocated, Missing) and isinstance(found.per_useful_petaflop.allocated, Missing)


def test_tokens_that_stand_still_have_no_price_instead_of_an_endless_one() -> None:
    judged = assessment(tokens=0.0, seen=0.0)
    found = unit_prices(judged, bill(judged, namespace="a", name="b", accelerators=8, quote=quote()), unknown())
    assert isinstance(found.training.allocated, Missing) and found.training.allocated.reason is Reason.NOT_APPLICABLE


def test_a_class_without_peaks_does_no_countable_work() -> None:
    bare = fabric()
    workload = training(on=replace(bare, accelerator=replace(bare.accelerator, peak_flops_per_second={})))
    found = useful_flops_per_second(assessment(workload=workload), 8)
    assert isinstance(found, Missing) and found.reason is Reason.UNSUPPORTED_PRECISION


HOUR = 3600.0
PRICES = PriceList(lines=(PriceLine(accelerator_class="h100-sxm-80gb", price_micros=2_500_000),))


def test_gpu_hours_and_idle_are_those_of_opencost_on_the_same_input() -> None:
    """OpenCost Specification: workload GPU cost = requested × hours × price; idle cost = asset cost − the costs allocated on it.

    The records are in the shape of `/allocation` (gpuHours, gpuCost by pod, and `__idle__`), for a window of four hours on two nodes of
    eight GPUs at $2.50, of which the second joined after two hours: 48 GPU-hours of assets, $120.
    """
    pods = [("research", "train", 8, 0.0, 3.0), ("chat", "serve-0", 2, 1.0, 4.0), ("chat", "serve-1", 2, 2.5, 4.0)]
    opencost = {name: (gpus * (end - start), gpus * (end - start) * 2.5) for _, name, gpus, start, end in pods}
    asset_hours = 8 * 4 + 8 * 2
    opencost["__idle__"] = (
        asset_hours - sum(hours for hours, _ in opencost.values()),
        asset_hours * 2.5 - sum(c for _, c in opencost.values()),
    )
    found = allocate(
        [
            Held(
                tenant=tenant, name=name, accelerator_class="h100-sxm-80gb", accelerators=gpus, start_seconds=s * HOUR, end_seconds=e * HOUR
            )
            for tenant, name, gpus, s, e in pods
        ],
        capacity=[
            Capacity(accelerator_class="h100-sxm-80gb", accelerators=8, start_seconds=-HOUR, end_seconds=9 * HOUR),
            Capacity(accelerator_class="h100-sxm-80gb", accelerators=8, start_seconds=2 * HOUR, end_seconds=4 * HOUR),
        ],
        start_seconds=0.0,
        end_seconds=4 * HOUR,
        prices=PRICES,
    )
    ours = {line.name: (line.accelerator_hours, line.micros / 1e6) for line in (*found.lines, *found.idle) if isinstance(line.micros, int)}
    assert ours == opencost and opencost["__idle__"] == (15.0, 37.5)


def test_an_interval_of_a_clock_that_was_set_back_counts_no_hours() -> None:
    backwards = Held(tenant="a", name="b", accelerator_class="x", accelerators=8, start_seconds=2 * HOUR, end_seconds=HOUR)
    found = allocate([backwards], capacity=[], start_seconds=0.0, end_seconds=4 * HOUR, prices=PRICES)
    assert found.lines[0].accelerator_hours == 0.0 and isinstance(found.lines[0].micros, Missing)


def saving(path: str, dollars: float | Missing) -> Recommendation:
    return Recommendation(field_path=path, old="1", new="2", expected_mfu_ratio=0.4, saves_dollars_per_hour=dollars)


def test_tenants_are_advised_by_what_each_workload_s_best_change_saves() -> None:
    found = advise(
        [
            member("a", of=assessment(recommendations=(saving("x", 3.0), saving("y", 5.5)))),
            member("b", of=assessment(recommendations=(saving("z", 1.25),))),
            member("c", tenant="other", of=assessment(recommendations=(saving("z", 20.0),))),
            member("d", tenant="poor", of=assessment(recommendations=(saving("z", unknown(Reason.UNKNOWN_PRICE)),))),
            member("e", tenant="fine"),
        ]
    )
    assert [(each.tenant, each.saves_micros) for each in found[:2]] == [("other", 20_000_000), ("research", 6_750_000)]
    assert [item.change for item in found[1].items] == ["y 1 → 2", "z 1 → 2"]
    assert found[2].tenant == "poor" and isinstance(found[2].saves_micros, Missing)


def test_the_margin_signal_sets_revenue_beside_useful_work() -> None:
    # $2.00 and $1.50 a device-hour; 0.3 × 989.4 TFLOP/s for an hour are 1,068.6 PFLOP.
    found = margin(roll_up([member(quoted=quote())], capacity={}).whole)
    assert (found.revenue_per_device_hour, found.cost_per_device_hour, found.margin_ratio) == (2.0, 1.5, 0.25)
    assert found.useful_petaflop_per_device_hour == pytest.approx(1068.6, rel=1e-4)
    assert found.revenue_per_useful_petaflop == pytest.approx(2 / 1068.6, rel=1e-4)


def test_useful_work_is_that_of_the_devices_that_are_observed() -> None:
    silent = member("silent", quoted=quote(), of=assessment(seen=unknown(Reason.TELEMETRY_MISSING)))
    found = margin(roll_up([member(quoted=quote()), silent], capacity={}).whole)
    assert found.useful_petaflop_per_device_hour == pytest.approx(1068.6, rel=1e-4) and found.revenue_per_device_hour == 2.0


def test_revenue_by_the_hour_is_unknown_while_a_part_of_the_accelerators_has_no_price() -> None:
    found = margin(roll_up([member(quoted=quote()), member("b", quoted=quote(None))], capacity={}).whole)
    assert isinstance(found.revenue_per_device_hour, Missing) and isinstance(found.margin_ratio, Missing)
    assert found.cost_per_device_hour == 1.5 and isinstance(found.useful_petaflop_per_device_hour, float)
    nothing = margin(roll_up([], capacity={"x": 8}).whole)
    assert isinstance(nothing.revenue_per_device_hour, Missing) and isinstance(nothing.useful_petaflop_per_device_hour, Missing)


def test_all_that_is_judged_of_a_tenant_s_workloads_can_be_priced_as_the_tenant_pays() -> None:
    device = fabric(price=9.0).accelerator
    assert PRICES.priced(device, "a").price_per_hour == 2.5
    assert PriceList().priced(device, "a").price_per_hour == 9.0
