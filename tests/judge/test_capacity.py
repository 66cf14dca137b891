"""Capacity: what fits is admitted in order, what does not is bought, and every figure says where it comes from."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfu.errors import IntentError
from mfu.estimate.workload import Workload
from mfu.hardware.catalog import accelerator
from mfu.judge.capacity import Capacity, plan_capacity
from mfu.judge.capacity_demand import Demand, Origin, grown
from mfu.judge.capacity_pool import Pool, Room
from mfu.missing import Missing, Reason
from tests.judge.cases import fabric, inference, training, unknown

H100, A100, L40S = "h100-sxm-80gb", "a100-sxm-80gb", "l40s-48gb"


def pool(name: str = H100, nodes: int = 8, *, price: int | None = 2_500_000, cost: int | None = None, per_node: int = 8) -> Pool:
    nothing = unknown(Reason.UNKNOWN_PRICE)
    return Pool(
        accelerator=accelerator(name),
        per_node=per_node,
        nodes={per_node: nodes},
        price_micros=nothing if price is None else price,
        cost_micros=nothing if cost is None else cost,
    )


def demand(
    name: str, accelerators: int = 32, instances: int = 1, *, on: str = H100, origin: str = Origin.TODAY, family: str | None = None
) -> Demand:
    workload: Workload = training(on=fabric(on, accelerators)) if accelerators > 1 else inference(on=fabric(on, 1))
    if family:
        workload = replace(workload, architecture=replace(workload.architecture, family=family))
    return Demand(namespace="team", name=name, workload=workload, instances=instances, origin=origin, shape=f"{on} {accelerators} {family}")


def admitted(found: Capacity) -> dict[str, int]:
    return {item.demand.name: item.accelerators for item in found.admitted}


def test_what_fits_is_admitted_and_the_rest_is_short_by_whole_instances() -> None:
    found = plan_capacity([pool()], [demand("a", 32), demand("b", 16, 3)])
    assert admitted(found) == {"a": 32, "b": 32}
    assert [(short.demand.name, short.instances, short.accelerators, short.reason) for short in found.shortfalls] == [
        ("b", 1, 16, "no h100-sxm-80gb is left")
    ]
    use = found.classes[0]
    assert (use.total, use.wanted, use.admitted, use.free) == (64, 80, 64, 0)


def test_today_goes_before_growth_and_growth_before_plans() -> None:
    found = plan_capacity([pool()], [demand("today", 32)], growth={"llama": 2.0}, planned=[demand("big", 64, origin=Origin.PLANNED)])
    assert [(item.demand.name, item.demand.origin) for item in found.admitted] == [("today", "today"), ("today", "growth")]
    assert [short.demand.name for short in found.shortfalls] == ["big"]


def test_gangs_take_whole_nodes_and_small_ones_fill_what_is_left() -> None:
    room = Room(per_node=8, nodes={8: 2})
    assert room.take(12, 5) == 1 and room.nodes.get(4) == 1
    assert room.take(4, 5) == 1 and room.free == 0
    # 16 free on nodes that are half full do not hold a gang of 16.
    assert Room(per_node=8, nodes={4: 4}).take(16, 1) == 0


def test_a_remainder_that_finds_no_room_gives_the_whole_nodes_back() -> None:
    room = Room(per_node=8, nodes={8: 1})
    assert room.take(12, 1) == 0 and room.free == 8


@given(sizes=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 6)), max_size=12), nodes=st.integers(0, 12))
def test_a_pool_never_gives_more_than_it_has(sizes: list[tuple[int, int]], nodes: int) -> None:
    room = Room.of(pool(nodes=nodes))
    taken = sum(size * room.take(size, count) for size, count in sizes)
    assert taken + room.free == 8 * nodes and all(count >= 0 for count in room.nodes.values())


@pytest.mark.parametrize(
    ("factor", "accelerators"),
    [
        pytest.param(1.0, 0, id="no growth"),
        pytest.param(0.5, 0, id="shrinking frees nothing"),
        pytest.param(1.5, 32, id="half as much again: one of two jobs"),
        pytest.param(2.0, 64, id="twice"),
        pytest.param(1.01, 32, id="a little is one instance"),
    ],
)
def test_a_family_grows_in_whole_instances(factor: float, accelerators: int) -> None:
    found = grown([demand("a", 32), demand("b", 32)], {"llama": factor})
    assert sum(item.accelerators for item in found) == accelerators
    assert all(item.origin == Origin.GROWTH for item in found)


def test_families_grow_by_their_own_factor_and_the_star_is_for_all_others() -> None:
    found = grown([demand("a", 8, 4), demand("b", 8, 4, family="qwen3")], {"*": 1.25, "qwen3": 2.0})
    assert {item.family: item.instances for item in found} == {"llama": 1, "qwen3": 4}


def test_a_family_that_nobody_runs_cannot_grow() -> None:
    with pytest.raises(IntentError, match="there are llama"):
        grown([demand("a")], {"lama": 2.0})


@settings(max_examples=30, deadline=None)
@given(factor=st.floats(1.0, 4.0), instances=st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_growth_gives_at_least_the_factor_and_at_most_one_instance_a_shape_more(factor: float, instances: list[int]) -> None:
    demands = [
        Demand(namespace="team", name=f"d{index}", workload=inference(), instances=count, shape=str(index))
        for index, count in enumerate(instances)
    ]
    more = sum(item.accelerators for item in grown(demands, {"llama": factor}))
    wanted = (factor - 1.0) * sum(instances)
    assert wanted - 1e-6 <= more < wanted + len(instances) + 1


def test_what_is_bought_is_the_class_that_gives_the_tokens_for_least() -> None:
    # At the same price an H100 trains more than twice as fast as an A100.
    pools = [pool(A100, 1, price=2_000_000), pool(H100, 0, price=2_000_000)]
    found = plan_capacity(pools, [], planned=[demand("new", 32, on=A100, origin=Origin.PLANNED)])
    buy = found.purchases[0]
    assert buy.accelerator_class == H100 and 8 <= buy.accelerators < 32 and buy.accelerators == 8 * buy.nodes
    assert buy.micros_per_hour == 2_000_000 * buy.accelerators and buy.serves == ("team/new",)


def test_a_training_job_is_bought_in_whole_copies_of_its_model() -> None:
    wide = Demand(namespace="team", name="wide", workload=training(tensor=16, pipeline=2, on=fabric(A100, 64)), origin=Origin.PLANNED)
    found = plan_capacity([pool(A100, 0, price=9_000_000), pool(H100, 0, price=1_000_000, per_node=1)], [], planned=[wide])
    assert found.purchases[0].accelerator_class == H100 and found.purchases[0].accelerators in (32, 64)


def test_the_provider_s_own_cost_decides_where_it_is_known() -> None:
    pools = [pool(A100, 0, price=1_000_000, cost=200_000), pool(H100, 0, price=1_000_000, cost=900_000)]
    found = plan_capacity(pools, [], planned=[demand("new", 32, on=A100, origin=Origin.PLANNED)])
    assert (found.purchases[0].accelerator_class, found.purchases[0].micros_per_hour) == (A100, 32 * 200_000)


def test_without_prices_the_declared_class_is_bought_at_an_unknown_cost() -> None:
    found = plan_capacity([pool(A100, 0, price=None), pool(H100, 0, price=None)], [demand("a", 32, on=A100)])
    buy = found.purchases[0]
    assert buy.accelerator_class == A100 and buy.accelerators == 32 and isinstance(buy.micros_per_hour, Missing)
    assert all(isinstance(value.dollars_per_useful_petaflop, Missing) for value in found.values)


def test_a_class_that_the_fleet_does_not_have_is_short_and_says_so() -> None:
    found = plan_capacity([pool(A100, 8)], [demand("a", 32)])
    assert found.shortfalls[0].reason == "the fleet has no h100-sxm-80gb"
    assert found.shortfalls[0].instead.startswith("a100-sxm-80gb:") and "times the tokens of h100-sxm-80gb" in found.shortfalls[0].instead


def test_plans_that_cannot_run_are_not_admitted_but_what_runs_today_is() -> None:
    bare = replace(accelerator(H100), peak_flops_per_second={})
    workload = training(on=replace(fabric(H100, 8), accelerator=bare))
    today = Demand(namespace="team", name="old", workload=workload)
    new = Demand(namespace="team", name="new", workload=workload, origin=Origin.PLANNED)
    found = plan_capacity([pool()], [today], planned=[new])
    assert admitted(found) == {"old": 8} and isinstance(found.admitted[0].expected_ratio, Missing)
    assert "bf16" in found.shortfalls[0].reason and found.purchases == ()


def test_classes_are_ranked_by_what_a_useful_petaflop_costs() -> None:
    found = plan_capacity([pool(A100), pool(H100), pool(L40S)], [demand("a", 32)])
    dollars = [value.dollars_per_useful_petaflop for value in found.values if not isinstance(value.dollars_per_useful_petaflop, Missing)]
    assert found.values[0].accelerator_class == H100 and dollars == sorted(dollars) and len(dollars) >= 2
    best = found.values[0]
    assert isinstance(best.mix_mfu_ratio, float) and isinstance(best.useful_petaflop_per_hour, float)
    # 2.50 an hour over MFU × 989.4 TFLOP/s × 3600 s.
    assert best.useful_petaflop_per_hour == pytest.approx(best.mix_mfu_ratio * 0.9894 * 3600, rel=1e-3)
    assert best.dollars_per_useful_petaflop == pytest.approx(2.5 / best.useful_petaflop_per_hour)


def test_the_upgrade_that_saves_most_is_first() -> None:
    pools = [pool(A100, 8, price=2_500_000), pool(H100, 8, price=2_500_000), pool(L40S, 8, price=2_500_000)]
    found = plan_capacity(pools, [demand("a", 32, on=A100), demand("s", 1, 8, on=L40S), demand("h", 8)])
    assert found.upgrades[0].from_class == A100 and {up.to_class for up in found.upgrades} == {H100}
    first = found.upgrades[0]
    assert first.accelerators == 32 and first.replaced_by == pytest.approx(32 / first.speed_ratio)
    assert first.saves_micros_per_hour == pytest.approx(2_500_000 * (32 - first.replaced_by), abs=1)


@pytest.mark.parametrize("pools", [pytest.param([], id="no pools"), pytest.param([pool(nodes=0)], id="no nodes")])
def test_a_fleet_without_accelerators_admits_nothing_and_divides_by_nothing(pools: list[Pool]) -> None:
    found = plan_capacity(pools, [demand("a", 8)])
    assert found.admitted == () and found.shortfalls[0].accelerators == 8 and found.upgrades == ()


def test_the_same_input_in_any_order_gives_the_same_plan() -> None:
    demands = [demand("a", 32), demand("b", 16, 2), demand("c", 8, 3, on=A100), demand("d", 1, 5)]
    pools = [pool(nodes=8), pool(A100, 2)]
    assert plan_capacity(pools, demands, growth={"*": 1.5}) == plan_capacity(pools, demands[::-1], growth={"*": 1.5})
