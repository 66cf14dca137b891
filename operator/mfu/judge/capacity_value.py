"""What each class of accelerators is worth for the work that there is: FLOPs for money, and what to replace first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mfu.errors import IntentError
from mfu.estimate.estimator import estimate as estimated
from mfu.estimate.result import Estimate
from mfu.estimate.search import rate
from mfu.judge.capacity_demand import Demand
from mfu.judge.capacity_pool import Pool
from mfu.judge.prices import MICROS
from mfu.judge.systemic_classes import moved
from mfu.missing import Missing, Reason

__all__ = ["ClassValue", "Expectations", "Upgrade", "class_values", "upgrades"]

_PETA = 1e15
_SECONDS_PER_HOUR = 3600.0
_WORTH_RATIO = 1.05  # a class that is not clearly better is no upgrade


class Expectations:
    """Expected performance of shapes on classes; each is estimated once."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self._pools = {pool.accelerator.name: pool for pool in pools}
        self._known: dict[tuple[str, str], Estimate | Missing] = {}

    def on(self, demand: Demand, accelerator_class: str) -> Estimate | Missing:
        """What `demand` would do on a class of the fleet; Missing where it cannot run there, with the reason."""
        key = (demand.key, accelerator_class)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._estimated(demand, accelerator_class)
        return found

    def here(self, demand: Demand) -> Estimate | Missing:
        return self.on(demand, demand.workload.fabric.accelerator.name)

    def _estimated(self, demand: Demand, accelerator_class: str) -> Estimate | Missing:
        workload = demand.workload
        if accelerator_class != workload.fabric.accelerator.name:
            pool = self._pools.get(accelerator_class)
            if pool is None:
                return Missing(reason=Reason.UNKNOWN_ACCELERATOR, message=f"the fleet has no {accelerator_class}")
            workload = moved(workload, pool.accelerator)
        try:
            result = estimated(workload)
        except IntentError as error:
            return Missing(reason=Reason.INTENT_INVALID, message=str(error))
        if isinstance(result, Missing):
            return result
        if not result.memory.fits:
            return Missing(reason=Reason.NOT_APPLICABLE, message=f"does not fit in the memory of {accelerator_class}")
        if rate(result) <= 0.0:
            return Missing(reason=Reason.NOT_APPLICABLE, message=f"no tokens are expected on {accelerator_class}")
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassValue:
    """A class, were all demands that can run on it to run on it.

    `mix_mfu_ratio`: their expected MFU there, weighted by peak FLOP/s. `dollars_per_useful_petaflop`: at the provider's cost, else the
    price. `runs_ratio`: the share of the accelerators asked for whose work can run there at all.
    """

    accelerator_class: str
    total: int
    mix_mfu_ratio: float | Missing
    useful_petaflop_per_hour: float | Missing  # of one accelerator
    dollars_per_useful_petaflop: float | Missing
    runs_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """Accelerators of one class whose work another would do for less. `replaced_by`: accelerators there for the same tokens."""

    from_class: str
    to_class: str
    accelerators: int
    replaced_by: float
    speed_ratio: float
    saves_micros_per_hour: int | Missing
    reason: str


def class_values(pools: Sequence[Pool], demands: Sequence[Demand], expectations: Expectations) -> tuple[ClassValue, ...]:
    """Cheapest useful FLOPs first; classes without a price after those with one, best MFU first."""
    asked = sum(demand.accelerators for demand in demands)
    found = [_value(pool, demands, asked, expectations) for pool in pools]
    return tuple(sorted(found, key=_order))


def _order(value: ClassValue) -> tuple[float, float, str]:
    dollars, mfu = value.dollars_per_useful_petaflop, value.mix_mfu_ratio
    return (
        float("inf") if isinstance(dollars, Missing) else dollars,
        0.0 if isinstance(mfu, Missing) else -mfu,
        value.accelerator_class,
    )


def _value(pool: Pool, demands: Sequence[Demand], asked: int, expectations: Expectations) -> ClassValue:
    name = pool.accelerator.name
    useful = peak = 0.0
    runs = 0
    for demand in demands:
        there = expectations.on(demand, name)
        at_peak = pool.accelerator.peak(demand.workload.precisions.compute)
        if isinstance(there, Missing) or isinstance(at_peak, Missing):
            continue
        runs += demand.accelerators
        peak += at_peak * demand.accelerators
        useful += there.mfu_ratio * at_peak * demand.accelerators
    hourly = pool.hourly_micros
    nothing = Missing(reason=Reason.NOT_APPLICABLE, message=f"none of the workloads can run on {name}")
    each = useful / runs * _SECONDS_PER_HOUR / _PETA if runs else nothing
    dollars: float | Missing = hourly if isinstance(hourly, Missing) else nothing
    if not isinstance(each, Missing) and not isinstance(hourly, Missing):
        dollars = hourly / MICROS / each
    return ClassValue(
        accelerator_class=name,
        total=pool.total,
        mix_mfu_ratio=useful / peak if peak else nothing,
        useful_petaflop_per_hour=each,
        dollars_per_useful_petaflop=dollars,
        runs_ratio=runs / asked if asked else 0.0,
    )


def upgrades(pools: Sequence[Pool], demands: Sequence[Demand], expectations: Expectations) -> tuple[Upgrade, ...]:
    """For each class in use the class of the fleet that does its work for least, in the order of what that saves.

    Where prices are not known: the fastest, after those with a saving.
    """
    by_class: dict[str, list[Demand]] = {}
    for demand in demands:
        by_class.setdefault(demand.workload.fabric.accelerator.name, []).append(demand)
    priced = {pool.accelerator.name: pool for pool in pools}
    found = [best for name, held in by_class.items() if (best := _upgrade(name, held, priced, expectations)) is not None]
    return tuple(sorted(found, key=lambda each: (-_amount(each.saves_micros_per_hour), -each.speed_ratio, each.from_class)))


def _upgrade(here: str, demands: Sequence[Demand], pools: Mapping[str, Pool], expectations: Expectations) -> Upgrade | None:
    found = []
    own = pools[here].hourly_micros if here in pools else Missing(reason=Reason.UNKNOWN_PRICE, message=f"the fleet has no {here}")
    for name, pool in sorted(pools.items()):
        if name == here:
            continue
        held, needed = _replacement(demands, name, expectations)
        if not held:
            continue
        speed = held / needed
        saves: int | Missing = own
        if not isinstance(own, Missing):
            theirs = pool.hourly_micros
            saves = theirs if isinstance(theirs, Missing) else round(own * held - theirs * needed)
        if speed < _WORTH_RATIO if isinstance(saves, Missing) else saves <= 0:
            continue
        found.append(
            Upgrade(
                from_class=here,
                to_class=name,
                accelerators=held,
                replaced_by=needed,
                speed_ratio=speed,
                saves_micros_per_hour=saves,
                reason=f"{needed:.0f} × {name} are expected to do what {held} × {here} do",
            )
        )
    return max(found, key=lambda each: (_amount(each.saves_micros_per_hour), each.speed_ratio, each.to_class), default=None)


def _replacement(demands: Sequence[Demand], there: str, expectations: Expectations) -> tuple[int, float]:
    """Accelerators here whose work can run there, and how many of those there do the same tokens."""
    held, needed = 0, 0.0
    for demand in demands:
        mine, theirs = expectations.here(demand), expectations.on(demand, there)
        if not isinstance(mine, Missing) and not isinstance(theirs, Missing):
            held += demand.accelerators
            needed += demand.accelerators * rate(mine) / rate(theirs)
    return held, needed


def _amount(micros: int | Missing) -> int:
    return -1 if isinstance(micros, Missing) else micros
