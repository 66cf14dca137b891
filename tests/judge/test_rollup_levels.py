"""The levels of a roll-up: every list adds up to the whole, exactly where it counts money or devices."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfu.judge.assessment import Cause
from mfu.judge.fleet import Fleet, Group, Member, NodeShare, Undeclared, Unknown
from mfu.judge.money import CauseAmount
from mfu.judge.rollup import OTHERS, roll_up
from mfu.judge.trend_groups import underperforming
from mfu.missing import Missing, Reason
from mfu.observe.observation import Evidence
from tests.judge.cases import estimate, fabric, training, unknown
from tests.judge.provider_cases import assessment, member, quote

H100 = "h100-sxm-80gb"


def lists(fleet: Fleet) -> dict[str, tuple[Group, ...]]:
    return {"class": fleet.by_class, "tenant": fleet.by_tenant, "node": fleet.by_node, "workload": fleet.by_workload}


def sums(groups: tuple[Group, ...], figure: str) -> int:
    found = [getattr(group.money, figure) for group in groups]
    return sum(value for value in found if isinstance(value, int))


def test_a_node_has_its_share_of_every_workload_on_it() -> None:
    # 12 on two nodes at 0.3 of 0.4, 4 at 0.1 of 0.4 on the second; $2 each.
    other = assessment(seen=0.1, accelerators=4)
    found = roll_up(
        [
            member("wide", accelerators=12, nodes=(("n1", 8), ("n2", 4)), quoted=quote()),
            member("small", accelerators=4, nodes=(("n2", 4),), quoted=quote(), of=other),
        ],
        capacity={H100: 24},
        node_capacity={"n1": 8, "n2": 8, "n3": 8},
    )
    by_name = {group.name: group for group in found.by_node}
    assert [group.name for group in found.by_node] == ["n2", "n1", "n3"]
    assert by_name["n1"].observed_ratio == pytest.approx(0.3) and by_name["n2"].observed_ratio == pytest.approx(0.2)
    assert by_name["n1"].money.revenue_micros == 16_000_000 and by_name["n2"].money.gap_micros == 2_000_000 + 6_000_000
    assert by_name["n3"].allocated_ratio == 0.0 and isinstance(by_name["n3"].observed_ratio, Missing)


def test_allocation_utilisation_hardware_and_mfu_stand_side_by_side() -> None:
    judged = assessment(hardware=0.45, evidence=Evidence(busy_ratio=0.95))
    bare = Undeclared(namespace="other", accelerator_class=H100, accelerators=8, hardware_ratio=0.05, busy_ratio=0.55)
    whole = roll_up([member(of=judged)], capacity={H100: 20}, undeclared=[bare]).whole
    assert (whole.allocated_ratio, whole.utilisation_ratio, whole.hardware_ratio) == pytest.approx((0.8, 0.75, 0.25))
    assert (whole.expected_ratio, whole.observed_ratio) == pytest.approx((0.4, 0.3))


def test_the_observed_is_compared_with_the_expected_of_the_same_accelerators() -> None:
    silent = assessment(expected=estimate(0.6), seen=unknown(Reason.TELEMETRY_STALE))
    whole = roll_up([member(), member("silent", of=silent)], capacity={}).whole
    assert whole.expected_ratio == pytest.approx(0.5) and whole.expected_where_observed_ratio == pytest.approx(0.4)
    assert whole.unknown == (Unknown(reason=Reason.TELEMETRY_STALE, accelerators=8),) and whole.unknown_ratio == 0.5


def test_every_level_says_what_is_not_known_of_it() -> None:
    silent = assessment(seen=unknown(Reason.TELEMETRY_STALE))
    found = roll_up([member(), member("silent", tenant="dark", of=silent)], capacity={})
    assert {group.name: group.unknown_ratio for group in found.by_tenant} == {"research": 0.0, "dark": 1.0}


def test_slices_count_as_slices_and_as_parts_of_devices() -> None:
    slices = member(
        "slices", accelerators=7, kind=f"{H100}/1g.10gb", share=Fraction(1, 7), quoted=quote(300_000), of=assessment(accelerators=7)
    )
    found = roll_up(
        [member(accelerators=2, quoted=quote()), slices],
        capacity={H100: 2, f"{H100}/1g.10gb": 14},
        shares={f"{H100}/1g.10gb": Fraction(1, 7)},
    )
    assert found.accelerators.allocated == 9
    assert (found.whole.devices.total, found.whole.devices.allocated) == (4, 3)
    assert found.whole.money.revenue_micros == 2 * 2_000_000 + 7 * 300_000


def test_slices_weigh_as_much_as_their_peak() -> None:
    part = fabric(count=7).accelerator.partition("1g.10gb")
    assert not isinstance(part, Missing)
    workload = training(on=replace(fabric(count=7), accelerator=part))
    found = roll_up(
        [member(accelerators=1, of=assessment(seen=0.4)), member("s", accelerators=7, of=assessment(workload=workload, seen=0.1))],
        capacity={},
    )
    small = part.peak_flops_per_second["bf16"] / fabric().accelerator.peak_flops_per_second["bf16"]
    assert found.observed_ratio == pytest.approx((0.4 + 0.1 * 7 * small) / (1 + 7 * small))


def test_revenue_and_cost_are_kept_apart_and_idle_accelerators_cost() -> None:
    found = roll_up([member(quoted=quote())], capacity={H100: 12}, class_quotes={H100: quote()})
    money = found.whole.money
    assert (money.revenue_micros, money.cost_micros, money.idle_cost_micros) == (16_000_000, 12_000_000, 6_000_000)


def test_unpriced_accelerators_are_counted_and_not_billed_at_zero() -> None:
    bare = Undeclared(namespace="other", accelerator_class=H100, accelerators=4, hardware_ratio=0.1)
    money = roll_up([member(quoted=quote()), member("free", quoted=quote(None))], capacity={}, undeclared=[bare]).whole.money
    assert (money.revenue_micros, money.unpriced_accelerators) == (16_000_000, 12)
    nothing = roll_up([member(quoted=quote(None, None))], capacity={}).whole.money
    assert (
        isinstance(nothing.revenue_micros, Missing) and isinstance(nothing.gap_micros, Missing) and isinstance(nothing.cost_micros, Missing)
    )


def test_undeclared_accelerators_bring_revenue_in_their_tenant_s_line_too() -> None:
    bare = Undeclared(
        namespace="other",
        accelerator_class=H100,
        accelerators=4,
        hardware_ratio=0.1,
        quote=quote(),
        holdings=(NodeShare(node="n1", accelerators=4),),
    )
    found = roll_up([member(quoted=quote())], capacity={H100: 16}, undeclared=[bare])
    assert {group.name: group.money.revenue_micros for group in found.by_tenant} == {"research": 16_000_000, "other": 8_000_000}
    assert found.undeclared.money.revenue_micros == found.by_node[0].money.revenue_micros == 8_000_000
    assert (found.whole.money.revenue_micros, found.whole.money.declared_micros) == (24_000_000, 16_000_000)
    assert found.cost_dollars_per_hour == 16.0


def test_a_fleet_without_accelerators_has_no_figures_and_no_division_by_zero() -> None:
    found = roll_up([], capacity={})
    assert (
        found.accelerators.total == 0
        and isinstance(found.whole.allocated_ratio, Missing)
        and isinstance(found.whole.unknown_ratio, Missing)
    )
    assert found.by_node == found.by_class == () and isinstance(found.whole.useful_flops_per_second, Missing)
    empty = roll_up([member(accelerators=0)], capacity={H100: 0}, class_quotes={H100: quote()})
    assert empty.accelerators.allocated == 0 and empty.whole.money.idle_cost_micros == 0


def test_a_class_without_peaks_is_not_weighted_in_and_is_said_to_be_unknown() -> None:
    odd = replace(fabric().accelerator, name="odd", peak_flops_per_second={})
    bare = assessment(workload=training(on=replace(fabric(), accelerator=odd)), seen=0.9)
    found = roll_up([member(), member("bare", kind="odd", of=bare, quoted=quote())], capacity={"odd": 8})
    assert found.observed_ratio == pytest.approx(0.3)
    assert found.unknown == (Unknown(reason=Reason.UNSUPPORTED_PRECISION, accelerators=8),)


def test_causes_add_up_over_the_fleet() -> None:
    mixed = assessment(causes={Cause.COMMUNICATION: 0.5, Cause.STRAGGLER: 0.5})
    found = roll_up([member(quoted=quote()), member("b", of=mixed, quoted=quote())], capacity={})
    assert found.whole.money.by_cause == (
        CauseAmount(cause=Cause.COMMUNICATION, micros=6_000_000),
        CauseAmount(cause=Cause.STRAGGLER, micros=2_000_000),
    )


@st.composite
def drawn_members(draw: st.DrawFn) -> list[Member]:
    found = []
    for index in range(draw(st.integers(0, 12))):
        counts = draw(st.lists(st.integers(0, 8), min_size=1, max_size=3))
        causes = draw(st.sampled_from([{}, {Cause.COMMUNICATION: 0.7}, {Cause.STRAGGLER: 0.31, Cause.TOPOLOGY: 0.33}]))
        seen = draw(st.one_of(st.floats(0.0, 0.6), st.just(unknown(Reason.TELEMETRY_MISSING))))
        nodes = tuple((f"n{draw(st.integers(0, 5))}", count) for count in counts)
        price = draw(st.one_of(st.none(), st.integers(0, 9_999_999)))
        found.append(
            member(
                f"w{index}",
                tenant=draw(st.sampled_from(["a", "b", "c", "d"])),
                kind=draw(st.sampled_from([H100, "a100-sxm-80gb"])),
                family=draw(st.sampled_from(["llama", "qwen3"])),
                accelerators=sum(counts),
                nodes=nodes,
                quoted=quote(price, draw(st.one_of(st.none(), st.integers(0, 9_999_999)))),
                of=assessment(seen=seen, causes=causes, accelerators=sum(counts)),
            )
        )
    return found


@settings(max_examples=60, deadline=None)
@given(members=drawn_members(), limit=st.integers(2, 6))
def test_every_list_adds_up_to_the_whole_exactly(members: list[Member], limit: int) -> None:
    found = roll_up(members, capacity={H100: 64}, limit=limit)
    whole = found.whole
    for name, groups in {**lists(found), "model": found.by_model}.items():
        assert len(groups) <= limit
        for figure in ("revenue_micros", "declared_micros", "cost_micros", "gap_micros"):
            assert sums(groups, figure) == sums((whole,), figure), (name, figure)
        assert sum(group.accelerators.allocated for group in groups) == whole.accelerators.allocated
        assert sum(group.devices.allocated for group in groups) == whole.devices.allocated
        assert sum(group.money.unpriced_accelerators for group in groups) == whole.money.unpriced_accelerators
        assert sum(item.accelerators for group in groups for item in group.unknown) == sum(item.accelerators for item in whole.unknown)
    for group in (whole, *(group for groups in lists(found).values() for group in groups)):
        if isinstance(group.money.gap_micros, int):
            assert sum(amount.micros for amount in group.money.by_cause) == group.money.gap_micros
    assert sum(group.accelerators.total for group in found.by_class) == whole.accelerators.total


def test_the_last_line_of_a_long_list_is_all_others() -> None:
    found = roll_up([member(f"w{index}", tenant=f"t{index:02}", nodes=((f"n{index}", 8),)) for index in range(30)], capacity={}, limit=10)
    for groups in (found.by_tenant, found.by_node, found.by_workload):
        assert (len(groups), groups[-1].name, groups[-1].accelerators.allocated) == (10, OTHERS, 21 * 8)


def test_a_node_gets_no_more_than_its_share_while_other_nodes_are_not_known() -> None:
    found = roll_up([member(nodes=(("n1", 2),), quoted=quote())], capacity={})
    assert [(group.accelerators.allocated, group.money.revenue_micros, group.money.gap_micros) for group in found.by_node] == [
        (2, 4_000_000, 1_000_000)
    ]


def test_classes_that_stay_below_their_expectation_are_named_by_what_they_lose() -> None:
    bad, worse = assessment(seen=0.2), assessment(seen=0.1)
    silent = assessment(seen=unknown(Reason.TELEMETRY_MISSING))
    fleet = roll_up(
        [
            member("fine", kind="a", of=assessment(seen=0.39), quoted=quote()),
            member("bad", kind="b", of=bad, accelerators=80, quoted=quote()),
            member("worse", kind="c", of=worse, quoted=quote()),
            member("silent", kind="d", of=silent, quoted=quote()),
        ],
        capacity={},
    )
    found = underperforming(fleet.by_class)
    assert [(each.name, each.gap_micros) for each in found] == [("b", 80_000_000), ("c", 12_000_000)]
    assert found[1].reached_ratio == pytest.approx(0.25)
