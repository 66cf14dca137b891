"""Which parts of a fleet stay below what is expected of them: classes, families and tenants, those that lose most first."""

from collections.abc import Sequence
from dataclasses import dataclass

from mfu.judge.fleet import Group
from mfu.missing import Missing

__all__ = ["Underperformer", "underperforming"]

_BELOW_RATIO = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Underperformer:
    """`reached_ratio`: observed over expected MFU of the same accelerators. `gap_micros`: what that costs an hour."""

    name: str
    accelerators: int
    expected_ratio: float
    observed_ratio: float
    reached_ratio: float
    gap_micros: int | Missing


def underperforming(groups: Sequence[Group], *, below_ratio: float = _BELOW_RATIO) -> tuple[Underperformer, ...]:
    """Lines of a list of the roll-up that reach less than `below_ratio` of their expectation; unobserved ones are not judged."""
    found = []
    for group in groups:
        expected, observed = group.expected_where_observed_ratio, group.observed_ratio
        if isinstance(expected, Missing) or isinstance(observed, Missing) or expected <= 0.0 or observed >= below_ratio * expected:
            continue
        found.append(
            Underperformer(
                name=group.name,
                accelerators=group.accelerators.allocated,
                expected_ratio=expected,
                observed_ratio=observed,
                reached_ratio=observed / expected,
                gap_micros=group.money.gap_micros,
            )
        )
    return tuple(sorted(found, key=lambda each: (-_amount(each.gap_micros), each.reached_ratio, each.name)))


def _amount(micros: int | Missing) -> int:
    return -1 if isinstance(micros, Missing) else micros
