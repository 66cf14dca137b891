"""What wants accelerators: today's workloads, what they grow to, and what is planned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

from mfu.errors import IntentError
from mfu.estimate.workload import Workload

__all__ = ["EVERY_FAMILY", "Demand", "Origin", "grown", "multiple"]

EVERY_FAMILY = "*"
_SLACK = 1e-9


class Origin:
    """Where a demand comes from, in the order in which it is admitted."""

    TODAY = "today"
    GROWTH = "growth"
    PLANNED = "planned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """`instances` of a workload: jobs, or replicas. `shape`: equal for workloads whose expectation is the same; empty: its own."""

    namespace: str
    name: str
    workload: Workload
    instances: int = 1
    origin: str = Origin.TODAY
    shape: str = ""

    @property
    def family(self) -> str:
        return self.workload.architecture.family

    @property
    def accelerators(self) -> int:
        return self.workload.fabric.count * self.instances

    @property
    def label(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def key(self) -> str:
        """Equal for demands that need only one estimate."""
        return self.shape or self.label


def multiple(demand: Demand, instances: int, origin: str) -> Demand:
    return replace(demand, instances=instances, origin=origin)


def grown(demands: Sequence[Demand], growth: Mapping[str, float]) -> tuple[Demand, ...]:
    """What comes on top of `demands` when each family grows by its factor (`*`: every other family); a factor of 1.5 is half as much again.

    A family grows in the shapes that it has: each by the whole instances that its factor gives, and what is left over goes to the shapes
    with the largest remainders, until the family's accelerators have grown by at least the factor. Factors up to 1 add nothing. Raises
    IntentError for a family that no demand has.
    """
    families = sorted({demand.family for demand in demands})
    for family, factor in growth.items():
        if family != EVERY_FAMILY and family not in families:
            raise IntentError(f"growth.{family}", f"no workload is of this family; there are {', '.join(families) or 'no workloads'}")
        if not 0.0 <= factor <= 1000.0:
            raise IntentError(f"growth.{family}", f"must be a factor from 0 to 1000, not {factor}")
    found: list[Demand] = []
    for family in families:
        factor = growth.get(family, growth.get(EVERY_FAMILY, 1.0))
        if factor > 1.0:
            found.extend(_more(_shapes([demand for demand in demands if demand.family == family]), factor - 1.0))
    return tuple(found)


def _shapes(demands: Sequence[Demand]) -> list[Demand]:
    """One entry a shape, with all of its instances, by name."""
    merged: dict[tuple[str, str], Demand] = {}
    for demand in sorted(demands, key=lambda each: each.label):
        key = (demand.namespace, demand.key)
        known = merged.get(key)
        merged[key] = demand if known is None else replace(known, instances=known.instances + demand.instances)
    return list(merged.values())


def _more(shapes: Sequence[Demand], part: float) -> list[Demand]:
    exact = [part * shape.instances for shape in shapes]
    extra = [int(amount + _SLACK) for amount in exact]
    wanted = ceil(part * sum(shape.accelerators for shape in shapes) - _SLACK)
    order = sorted(range(len(shapes)), key=lambda index: (extra[index] - exact[index], shapes[index].label))
    for index in order:
        if sum(count * shape.workload.fabric.count for count, shape in zip(extra, shapes, strict=True)) >= wanted:
            break
        extra[index] += 1
    return [multiple(shape, count, Origin.GROWTH) for count, shape in zip(extra, shapes, strict=True) if count]
