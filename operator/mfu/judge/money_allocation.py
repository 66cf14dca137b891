"""Accelerator-hours and their price over a window, in OpenCost's model: what is requested is allocated, the rest is idle.

OpenCost Specification, "Workload Costs" and "Idle Costs": a workload's GPU cost is GPUs requested × hours × hourly GPU price, whatever it
does with them; the idle cost of an asset is its total cost less what is allocated on it. Efficiency is none of that model's business, so
the figures here say nothing about MFU.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mfu.judge.prices import PriceList
from mfu.missing import Missing

__all__ = ["IDLE", "AllocationLine", "AllocationReport", "Capacity", "Held", "allocate"]

IDLE = "__idle__"
_SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Accelerators that a workload's pods requested, from `start_seconds` to `end_seconds`."""

    tenant: str
    name: str
    accelerator_class: str
    accelerators: int
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Accelerators of a class that nodes of the cluster had."""

    accelerator_class: str
    accelerators: int
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationLine:
    """`micros`: at the price that the tenant pays; of idle accelerators at the class's own price."""

    tenant: str
    name: str
    accelerator_class: str
    accelerator_hours: float
    micros: int | Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationReport:
    """`lines`: one a workload and class; `idle`: one a class. Their hours add up to the capacity's."""

    lines: tuple[AllocationLine, ...]
    idle: tuple[AllocationLine, ...]


def allocate(
    held: Sequence[Held], *, capacity: Sequence[Capacity], start_seconds: float, end_seconds: float, prices: PriceList
) -> AllocationReport:
    """Only what lies in the window counts; an interval that ends before it begins (a clock that was set back) counts nothing."""
    used: dict[tuple[str, str, str], float] = {}
    for each in held:
        key = (each.tenant, each.name, each.accelerator_class)
        used[key] = used.get(key, 0.0) + each.accelerators * _inside(each.start_seconds, each.end_seconds, start_seconds, end_seconds)
    total: dict[str, float] = {}
    for asset in capacity:
        seconds = _inside(asset.start_seconds, asset.end_seconds, start_seconds, end_seconds)
        total[asset.accelerator_class] = total.get(asset.accelerator_class, 0.0) + asset.accelerators * seconds
    lines = tuple(_line(prices, *key, seconds) for key, seconds in sorted(used.items()))
    taken: dict[str, float] = {}
    for (_, _, name), seconds in used.items():
        taken[name] = taken.get(name, 0.0) + seconds
    idle = tuple(_line(prices, IDLE, IDLE, name, max(0.0, seconds - taken.get(name, 0.0))) for name, seconds in sorted(total.items()))
    return AllocationReport(lines=lines, idle=idle)


def _line(prices: PriceList, tenant: str, name: str, accelerator_class: str, seconds: float) -> AllocationLine:
    price = prices.quote(accelerator_class, tenant).price_micros
    hours = seconds / _SECONDS_PER_HOUR
    return AllocationLine(
        tenant=tenant,
        name=name,
        accelerator_class=accelerator_class,
        accelerator_hours=hours,
        micros=price if isinstance(price, Missing) else round(price * hours),
    )


def _inside(start: float, end: float, first: float, last: float) -> float:
    return max(0.0, min(end, last) - max(start, first))
