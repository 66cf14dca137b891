"""The fleet: lines that add up to the whole, weights, bounded lists, and what is not known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.judge.assessment import Assessment, Cause, CauseShare, Cost
from mfu.judge.fleet import Fleet, Group, Member, Undeclared, Unknown
from mfu.judge.rollup import OTHERS, roll_up
from mfu.judge.verdict import Decision, Verdict, VerdictReason
from mfu.missing import Missing, Reason
from tests.judge.cases import estimate, fabric, observed, training, unknown

NONE = unknown(Reason.NOT_RUNNING)


def member(
    name: str = "job",
    *,
    tenant: str = "research",
    accelerators: int = 8,
    expected: float = 0.4,
    seen: float | Missing = 0.3,
    hardware: float | None = None,
    price: float | None = 2.0,
    kind: str = "h100-sxm-80gb",
    family: str = "llama",
    diagnosed: bool = True,
) -> Member:
    cause = CauseShare(cause=Cause.COMMUNICATION, share_ratio=1.0, evidence="x")
    return Member(
        namespace=tenant,
        name=name,
        accelerators=accelerators,
        accelerator_class=kind,
        family=family,
        assessment=Assessment(
            workload=training(on=fabric(kind, price=price)),
            estimate=estimate(expected),
            verdict=Verdict(decision=Decision.ADMITTED, reason=VerdictReason.ADMITTED, message=""),
            observation=observed(seen, hardware=hardware, accelerators=accelerators),
            drift=NONE,
            diagnosis=(cause,) if diagnosed else (),
            recommendations=(),
            cost=Cost(per_hour=NONE, per_million_tokens=NONE, gap_per_hour=NONE),
            summary=f"{name} is slow",
        ),
    )


def test_ratios_are_weighted_by_peak_flops_and_not_averaged() -> None:
    # 8 × 989.4 TFLOP/s at 40 % and 24 × 312 TFLOP/s at 20 %.
    found = roll_up(
        [member(expected=0.5, seen=0.4), member("other", expected=0.3, seen=0.2, accelerators=24, kind="a100-sxm-80gb")],
        capacity={"h100-sxm-80gb": 16, "a100-sxm-80gb": 32},
    )
    h100 = training(on=fabric("h100-sxm-80gb")).fabric.accelerator.peak_flops_per_second["bf16"]
    a100 = training(on=fabric("a100-sxm-80gb")).fabric.accelerator.peak_flops_per_second["bf16"]
    assert found.observed_ratio == pytest.approx((0.4 * 8 * h100 + 0.2 * 24 * a100) / (8 * h100 + 24 * a100))
    assert found.expected_ratio == pytest.approx((0.5 * 8 * h100 + 0.3 * 24 * a100) / (8 * h100 + 24 * a100))
    assert (found.accelerators.total, found.accelerators.allocated, found.accelerators.declared) == (48, 32, 32)


def test_productive_accelerators_and_money_follow_from_the_gap() -> None:
    # 8 accelerators at 0.3 of an expected 0.4 do the work of 6; $2 × 8 × ¼ are lost.
    found = roll_up([member()], capacity={"h100-sxm-80gb": 16})
    assert found.accelerators.productive == pytest.approx(6.0)
    assert (found.cost_dollars_per_hour, found.gap_dollars_per_hour) == pytest.approx((16.0, 4.0))
    assert found.summary == "8 of 16 accelerators allocated, 8 declared; 30% observed vs 40% expected; $4.00/h lost"


def test_accelerators_without_intent_are_their_own_line_and_in_their_class_and_tenant() -> None:
    bare = Undeclared(namespace="research", accelerator_class="h100-sxm-80gb", accelerators=4, hardware_ratio=0.1)
    found = roll_up([member(hardware=0.5)], capacity={"h100-sxm-80gb": 16}, undeclared=[bare])
    assert (found.accelerators.allocated, found.accelerators.declared) == (12, 8)
    assert found.undeclared.accelerators.allocated == 4 and found.undeclared.hardware_ratio == pytest.approx(0.1)
    assert isinstance(found.undeclared.observed_ratio, Missing)
    assert found.by_tenant[0].accelerators.allocated == 12
    assert found.hardware_ratio == pytest.approx((0.5 * 8 + 0.1 * 4) / 12)


def test_what_is_not_observed_is_counted_by_its_reason() -> None:
    stale, missing = unknown(Reason.TELEMETRY_STALE), unknown(Reason.TELEMETRY_MISSING)
    found = roll_up([member("a", seen=stale), member("b", seen=missing, accelerators=16), member("c", seen=missing)], capacity={})
    assert found.unknown == (
        Unknown(reason=Reason.TELEMETRY_MISSING, accelerators=24),
        Unknown(reason=Reason.TELEMETRY_STALE, accelerators=8),
    )
    assert isinstance(found.observed_ratio, Missing)
    assert "MFU not observed" in found.summary


def test_the_worst_are_those_that_lose_most_money_and_healthy_ones_are_not_listed() -> None:
    found = roll_up(
        [
            member("cheap", seen=0.1, price=0.1),
            member("dear", seen=0.2, price=5.0),
            member("unpriced", seen=0.01, price=None),
            member("healthy", seen=0.39, diagnosed=False),
        ],
        capacity={},
    )
    assert [loss.name for loss in found.worst] == ["dear", "cheap", "unpriced"]
    assert found.worst[0].gap_dollars_per_hour == pytest.approx(20.0)
    assert isinstance(found.worst[2].gap_dollars_per_hour, Missing)
    assert found.worst[0].lost_accelerators == pytest.approx(4.0)


def test_an_unknown_price_is_unknown_and_not_zero() -> None:
    found = roll_up([member(price=None)], capacity={})
    assert isinstance(found.cost_dollars_per_hour, Missing) and isinstance(found.gap_dollars_per_hour, Missing)


def test_workloads_that_hold_nothing_are_in_no_line() -> None:
    found = roll_up([member(accelerators=0)], capacity={"h100-sxm-80gb": 8})
    assert found.by_tenant == () and found.worst == () and found.accelerators.declared == 0


def test_an_empty_fleet_is_unknown_and_breaks_nothing() -> None:
    found = roll_up([], capacity={})
    assert isinstance(found.observed_ratio, Missing) and found.accelerators.total == 0


def test_lists_are_bounded_and_still_add_up() -> None:
    found = roll_up([member(f"job-{n}", tenant=f"tenant-{n:02d}", accelerators=n + 1) for n in range(25)], capacity={}, limit=10)
    assert len(found.by_tenant) == 10 and len(found.worst) == 10
    assert found.by_tenant[-1].name == OTHERS
    assert sum(group.accelerators.allocated for group in found.by_tenant) == found.accelerators.allocated == 325


def money(value: float | Missing) -> float:
    return 0.0 if isinstance(value, Missing) else value


@given(
    st.lists(
        st.tuples(
            st.integers(0, 64),
            st.floats(0.05, 0.6),
            st.one_of(st.none(), st.floats(0.0, 0.6)),
            st.sampled_from([None, 1.0, 2.5, 7.0]),
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(["h100-sxm-80gb", "a100-sxm-80gb"]),
        ),
        max_size=12,
    ),
    st.integers(1, 4),
)
def test_every_list_adds_up_to_the_whole(rows: list[tuple[int, float, float | None, float | None, str, str]], limit: int) -> None:
    members = [
        replace(
            member(f"job-{number}", tenant=tenant, accelerators=count, expected=expected, price=price, kind=kind, family=tenant),
            assessment=replace(
                member(expected=expected, price=price, kind=kind).assessment,
                observation=observed(unknown(Reason.TELEMETRY_MISSING) if seen is None else seen),
            ),
        )
        for number, (count, expected, seen, price, tenant, kind) in enumerate(rows)
    ]
    bare = Undeclared(namespace="z", accelerator_class="h100-sxm-80gb", accelerators=3, hardware_ratio=NONE)
    found: Fleet = roll_up(members, capacity={"h100-sxm-80gb": 1000}, undeclared=[bare], limit=limit)
    lists: list[tuple[Group, ...]] = [found.by_class, found.by_tenant, (*found.by_model, found.undeclared)]
    for groups in lists:
        assert sum(group.accelerators.allocated for group in groups) == found.accelerators.allocated
        assert sum(group.accelerators.declared for group in groups) == found.accelerators.declared
        assert sum(group.accelerators.productive for group in groups) == pytest.approx(found.accelerators.productive)
        assert sum(money(group.cost_dollars_per_hour) for group in groups) == pytest.approx(money(found.cost_dollars_per_hour))
        assert sum(money(group.gap_dollars_per_hour) for group in groups) == pytest.approx(money(found.gap_dollars_per_hour))
    assert sum(unknown.accelerators for unknown in found.unknown) <= found.accelerators.declared
