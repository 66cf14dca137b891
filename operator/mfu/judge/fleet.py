"""What a roll-up of the whole fleet says."""

from dataclasses import dataclass

from mfu.judge.assessment import Assessment
from mfu.missing import Missing, Reason

__all__ = ["Accelerators", "Fleet", "Group", "Loss", "Member", "Undeclared", "Unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One declared workload. `accelerators`: devices that its pods hold now (0: nothing runs)."""

    namespace: str
    name: str
    assessment: Assessment
    accelerators: int
    accelerator_class: str
    family: str  # of models: config.json's model_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Undeclared:
    """Accelerators of one namespace and class that are allocated to pods without a declared intent: only the hardware figure is known."""

    namespace: str
    accelerator_class: str
    accelerators: int
    hardware_ratio: float | Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerators:
    """`allocated`: held by pods, with or (`declared`) only with an intent. `productive`: how many accelerators at their expected MFU
    would do what the declared ones are observed to do.
    """

    total: int
    allocated: int
    declared: int
    productive: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All accelerators of one class, tenant or model family.

    `expected_ratio` and `observed_ratio` are weighted by peak FLOP/s, `hardware_ratio` by accelerators, each over those that have the
    figure: never a mean of percentages. Money is summed over the workloads with a known price; Missing where none has one.
    """

    name: str
    accelerators: Accelerators
    expected_ratio: float | Missing
    observed_ratio: float | Missing
    hardware_ratio: float | Missing
    cost_dollars_per_hour: float | Missing
    gap_dollars_per_hour: float | Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A workload that loses much: accelerators' worth of expected work that is not done, and its price."""

    namespace: str
    name: str
    lost_accelerators: float
    gap_dollars_per_hour: float | Missing
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Declared accelerators without an observed MFU, by the reason why."""

    reason: Reason
    accelerators: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Figures of the whole as in `Group`. The lines of each list add up to it; what a list has no room for is in its last line, `others`.

    `undeclared`: accelerators whose pods declare no intent; they are in the lines of their class and tenant too, but in no model family's.
    """

    accelerators: Accelerators
    expected_ratio: float | Missing
    observed_ratio: float | Missing
    hardware_ratio: float | Missing
    cost_dollars_per_hour: float | Missing
    gap_dollars_per_hour: float | Missing
    by_class: tuple[Group, ...]
    by_tenant: tuple[Group, ...]
    by_model: tuple[Group, ...]
    undeclared: Group
    worst: tuple[Loss, ...]
    unknown: tuple[Unknown, ...]
    summary: str
