"""Does efficiency fall with size? A scaling curve for each family of models, and the size at which it falls under a floor."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, floor, log

from mfu.judge.fleet import Member
from mfu.missing import Missing, Reason
from mfu.observe.observation import Observation

__all__ = ["Curve", "ScalePoint", "fit", "scaling_curves"]

_FEWEST_POINTS = 3
_LEAST_SPAN = 2.0  # the largest size over the smallest
_LARGEST = 10_000_000  # a curve that stays above the floor this far never falls under it


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalePoint:
    """One workload: how many accelerators it spans, and its MFU."""

    accelerators: int
    mfu_ratio: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """MFU(n) = `mfu_at_one` × n^−`exponent`, fitted to workloads from `smallest` to `largest` accelerators.

    An exponent of 0.1 loses 7 % of the MFU with each doubling; a negative one means that MFU does not fall with size. `spread_ratio`: the
    standard deviation of the points around the curve, relative.
    """

    family: str
    mfu_at_one: float
    exponent: float
    smallest: int
    largest: int
    points: int
    spread_ratio: float

    def mfu_at(self, accelerators: int) -> float:
        return min(1.0, self.mfu_at_one * float(max(1, accelerators) ** -self.exponent))

    def size_at(self, floor_ratio: float) -> int | Missing:
        """The largest number of accelerators at which the curve is still at or above `floor_ratio`; 0 where not even one is.

        Missing(NOT_APPLICABLE) where MFU does not fall with size, or stays above the floor at any size.
        """
        if self.mfu_at_one < floor_ratio and self.exponent >= 0.0:
            return 0
        if self.exponent <= 0.0 or floor_ratio <= 0.0:
            return _never(self.family, floor_ratio)
        size = log(self.mfu_at_one / floor_ratio) / self.exponent
        return _never(self.family, floor_ratio) if size >= log(_LARGEST) else floor(exp(size) * (1.0 + 1e-9))


def _never(family: str, floor_ratio: float) -> Missing:
    return Missing(reason=Reason.NOT_APPLICABLE, message=f"{family}: MFU does not fall under {floor_ratio:.1%} with size")


def fit(family: str, points: Iterable[ScalePoint]) -> Curve | Missing:
    """Weighted least squares of log MFU over log size. Missing for fewer than three workloads, or sizes that span less than a factor 2."""
    usable = [point for point in points if point.mfu_ratio > 0.0 and point.accelerators > 0 and point.weight > 0.0]
    sizes = [point.accelerators for point in usable]
    if len(usable) < _FEWEST_POINTS or max(sizes) < _LEAST_SPAN * min(sizes):
        return Missing(
            reason=Reason.TELEMETRY_MISSING,
            message=f"{family}: a scaling curve needs {_FEWEST_POINTS} workloads of sizes that span a factor of {_LEAST_SPAN:.0f}",
        )
    whole = sum(point.weight for point in usable)
    xs, ys = [log(point.accelerators) for point in usable], [log(point.mfu_ratio) for point in usable]
    mean_x = sum(point.weight * x for point, x in zip(usable, xs, strict=True)) / whole
    mean_y = sum(point.weight * y for point, y in zip(usable, ys, strict=True)) / whole
    spread = sum(point.weight * (x - mean_x) ** 2 for point, x in zip(usable, xs, strict=True))
    shared = sum(point.weight * (x - mean_x) * (y - mean_y) for point, x, y in zip(usable, xs, ys, strict=True))
    slope = shared / spread
    base = mean_y - slope * mean_x
    left = sum(point.weight * (y - base - slope * x) ** 2 for point, x, y in zip(usable, xs, ys, strict=True))
    return Curve(
        family=family,
        mfu_at_one=exp(base),
        exponent=-slope,
        smallest=min(sizes),
        largest=max(sizes),
        points=len(usable),
        spread_ratio=exp((left / whole) ** 0.5) - 1.0,
    )


def scaling_curves(members: Sequence[Member], *, observed: bool = True) -> tuple[tuple[str, Curve | Missing], ...]:
    """One entry a family, by name: from the observed MFUs, or (`observed` False) from the expected ones.

    The size is what the parallelism of one instance spans: replicas of an inference workload do not talk to each other.
    """
    points: dict[str, list[ScalePoint]] = {}
    for member in members:
        assessed = member.assessment
        if isinstance(assessed.workload, Missing) or member.accelerators == 0:
            continue
        of_family = points.setdefault(member.family, [])
        ratio: float | Missing = assessed.estimate if isinstance(assessed.estimate, Missing) else assessed.estimate.mfu_ratio
        if observed:
            seen = assessed.observation
            ratio = seen.mfu_ratio if isinstance(seen, Observation) else seen
        if not isinstance(ratio, Missing):
            of_family.append(ScalePoint(accelerators=assessed.workload.fabric.count, mfu_ratio=ratio))
    return tuple((family, fit(family, found)) for family, found in sorted(points.items()))
