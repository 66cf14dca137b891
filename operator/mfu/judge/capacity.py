"""Capacity planning: what of today's work, its growth and what is planned fits in the fleet, and what to buy for the rest.

Deterministic: today's workloads first, then growth, then plans; within each the largest first (small ones fit in what is left), then by
name. Gangs take whole nodes; a remainder goes to the fullest node that has room. Nothing is moved or preempted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from mfu.estimate.search import rate
from mfu.estimate.workload import Inference
from mfu.judge.capacity_demand import Demand, Origin, grown
from mfu.judge.capacity_pool import Pool, Room
from mfu.judge.capacity_value import ClassValue, Expectations, Upgrade, class_values, upgrades
from mfu.judge.prices import MICROS
from mfu.missing import Missing, Reason

__all__ = ["Admitted", "Capacity", "ClassUse", "Purchase", "Shortfall", "plan_capacity"]

_ORDER = {Origin.TODAY: 0, Origin.GROWTH: 1, Origin.PLANNED: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """Instances of a workload that fit, with what is expected of them."""

    demand: Demand
    instances: int
    accelerators: int
    expected_ratio: float | Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """Instances that do not fit. `instead`: a class of the fleet where one instance would fit now, with its speed there over here."""

    demand: Demand
    instances: int
    accelerators: int
    reason: str
    instead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """`accelerators` of a class in `nodes` whole nodes; `micros_per_hour`: of all, at the provider's own cost, else the price."""

    accelerator_class: str
    accelerators: int
    nodes: int
    micros_per_hour: int | Missing
    serves: tuple[str, ...]  # labels of the demands
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassUse:
    """`wanted`: accelerators that all demands ask of the class; `admitted`: those that fit."""

    accelerator_class: str
    total: int
    wanted: int
    admitted: int
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The whole plan."""

    classes: tuple[ClassUse, ...]
    admitted: tuple[Admitted, ...]
    shortfalls: tuple[Shortfall, ...]
    purchases: tuple[Purchase, ...]
    values: tuple[ClassValue, ...]
    upgrades: tuple[Upgrade, ...]


def plan_capacity(
    pools: Sequence[Pool], today: Sequence[Demand], *, growth: Mapping[str, float] | None = None, planned: Sequence[Demand] = ()
) -> Capacity:
    """IntentError for a growth factor of a family that nothing is of."""
    demands = sorted(
        [*today, *grown(today, growth or {}), *planned],
        key=lambda each: (_ORDER[each.origin], -each.workload.fabric.count, each.namespace, each.name),
    )
    expectations = Expectations(pools)
    rooms = {pool.accelerator.name: Room.of(pool) for pool in pools}
    admitted, short = _admit(demands, rooms, expectations)
    shortfalls = tuple(_with_alternative(item, rooms, expectations) for item in short)
    return Capacity(
        classes=_uses(pools, rooms, demands),
        admitted=admitted,
        shortfalls=shortfalls,
        purchases=_purchases(shortfalls, pools, expectations),
        values=class_values(pools, demands, expectations),
        upgrades=upgrades(pools, [item.demand for item in admitted if item.demand.origin == Origin.TODAY], expectations),
    )


def _admit(
    demands: Sequence[Demand], rooms: Mapping[str, Room], expectations: Expectations
) -> tuple[tuple[Admitted, ...], list[Shortfall]]:
    admitted, short = [], []
    for demand in demands:
        name, each = demand.workload.fabric.accelerator.name, demand.workload.fabric.count
        expected = expectations.here(demand)
        runs_already = demand.origin == Origin.TODAY
        room = rooms.get(name)
        taken = 0
        if room is None:
            reason = f"the fleet has no {name}"
        elif isinstance(expected, Missing) and not runs_already:
            reason = expected.message
        else:
            # What runs today holds its accelerators, whatever is expected of it.
            taken = room.take(each, demand.instances)
            reason = f"{room.free} × {name} are left, not enough whole nodes for {each}" if room.free else f"no {name} is left"
        if taken:
            ratio = expected if isinstance(expected, Missing) else expected.mfu_ratio
            admitted.append(Admitted(demand=demand, instances=taken, accelerators=taken * each, expected_ratio=ratio))
        if taken < demand.instances:
            left = demand.instances - taken
            short.append(Shortfall(demand=demand, instances=left, accelerators=left * each, reason=reason, instead=""))
    return tuple(admitted), short


def _with_alternative(short: Shortfall, rooms: Mapping[str, Room], expectations: Expectations) -> Shortfall:
    """Names the class with room where the demand is expected to be fastest."""
    demand = short.demand
    own = demand.workload.fabric.accelerator.name
    here = expectations.here(demand)
    found = []
    for name, room in rooms.items():
        there = expectations.on(demand, name)
        if name == own or isinstance(there, Missing) or room.free < demand.workload.fabric.count:
            continue
        speed = "" if isinstance(here, Missing) else f", {rate(there) / rate(here):.2f} times the tokens of {own}"
        found.append((rate(there), name, f"{name}: {there.mfu_ratio:.1%} expected{speed}"))
    if not found:
        return short
    return Shortfall(demand=demand, instances=short.instances, accelerators=short.accelerators, reason=short.reason, instead=max(found)[2])


def _uses(pools: Sequence[Pool], rooms: Mapping[str, Room], demands: Sequence[Demand]) -> tuple[ClassUse, ...]:
    wanted: dict[str, int] = {pool.accelerator.name: 0 for pool in pools}
    for demand in demands:
        name = demand.workload.fabric.accelerator.name
        wanted[name] = wanted.get(name, 0) + demand.accelerators
    totals = {pool.accelerator.name: pool.total for pool in pools}
    free = {name: room.free for name, room in rooms.items()}
    return tuple(
        ClassUse(
            accelerator_class=name,
            total=totals.get(name, 0),
            wanted=count,
            admitted=totals.get(name, 0) - free.get(name, 0),
            free=free.get(name, 0),
        )
        for name, count in sorted(wanted.items(), key=lambda item: (-totals.get(item[0], 0), item[0]))
    )


def _purchases(shortfalls: Sequence[Shortfall], pools: Sequence[Pool], expectations: Expectations) -> tuple[Purchase, ...]:
    """For each shortfall the class that gives its tokens for least money, its own where prices are not known; added up by class."""
    known = {pool.accelerator.name: pool for pool in pools}
    needed: dict[str, float] = {}
    serves: dict[str, list[str]] = {}
    cheaper: dict[str, bool] = {}
    for short in shortfalls:
        choice = _cheapest(short, known, expectations)
        if choice is None:
            continue
        name, accelerators, is_cheaper = choice
        needed[name] = needed.get(name, 0.0) + accelerators
        cheaper[name] = cheaper.get(name, False) or is_cheaper
        if short.demand.label not in serves.setdefault(name, []):
            serves[name].append(short.demand.label)
    found = []
    for name, amount in sorted(needed.items(), key=lambda item: (-item[1], item[0])):
        pool = known.get(name)
        per_node = pool.per_node if pool else 8
        nodes = ceil(amount / per_node - 1e-9)
        hourly: int | Missing = Missing(reason=Reason.UNKNOWN_PRICE, message=f"the fleet has no {name}, so its cost is not known")
        if pool is not None:
            hourly = pool.hourly_micros
        found.append(
            Purchase(
                accelerator_class=name,
                accelerators=nodes * per_node,
                nodes=nodes,
                micros_per_hour=hourly if isinstance(hourly, Missing) else hourly * nodes * per_node,
                serves=tuple(serves[name]),
                reason="the cheapest tokens at the expected MFU" if cheaper[name] else "the class that the workloads declare",
            )
        )
    return tuple(found)


def _cheapest(short: Shortfall, pools: Mapping[str, Pool], expectations: Expectations) -> tuple[str, float, bool] | None:
    """(class, accelerators for the same tokens, whether money decided); None where the work can run nowhere."""
    demand = short.demand
    own = demand.workload.fabric.accelerator.name
    here = expectations.here(demand)
    if isinstance(here, Missing):
        return None
    priced = []
    for name, pool in pools.items():
        there = expectations.on(demand, name)
        hourly = pool.hourly_micros
        if not isinstance(there, Missing) and not isinstance(hourly, Missing):
            accelerators = _for_same_tokens(short, rate(here) / rate(there))
            priced.append((hourly / MICROS * accelerators, name != own, name, float(accelerators)))
    if not priced:
        return own, float(short.accelerators), False
    _, _, name, accelerators_there = min(priced)
    return name, accelerators_there, True


def _for_same_tokens(short: Shortfall, ratio: float) -> int:
    """Accelerators at `ratio` of the shortfall's: whole replicas, or whole model copies of a training job."""
    job = short.demand.workload.job
    if isinstance(job, Inference):
        return short.demand.workload.fabric.count * ceil(short.instances * ratio - 1e-9)
    degrees = job.parallelism
    copy = degrees.tensor * degrees.pipeline * degrees.context
    return copy * ceil(short.accelerators * ratio / copy - 1e-9)
