"""What a roll-up of the whole fleet says."""

from dataclasses import dataclass
from fractions import Fraction

from mfu.judge.assessment import Assessment
from mfu.judge.money import CauseAmount
from mfu.judge.prices import MICROS, Quote
from mfu.missing import Missing, Reason

__all__ = [
    "Accelerators",
    "Devices",
    "Fleet",
    "Group",
    "Loss",
    "Member",
    "Money",
    "NodeShare",
    "Undeclared",
    "Unknown",
]

_NO_EXPORTER = Missing(reason=Reason.TELEMETRY_MISSING, message="no device exporter reports how busy these devices are")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeShare:
    """How many of a workload's accelerators (or slices) are on one node."""

    node: str
    accelerators: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One declared workload. `accelerators`: devices or slices that its pods hold now (0: nothing runs).

    `share`: the part of a whole device that one of them is. `quote`: what one of them costs for this tenant; None: the list price of
    its class. `holdings` adds up to `accelerators`, or is empty where the nodes are not known.
    """

    namespace: str
    name: str
    assessment: Assessment
    accelerators: int
    accelerator_class: str
    family: str  # of models: config.json's model_type
    holdings: tuple[NodeShare, ...] = ()
    share: Fraction = Fraction(1)
    quote: Quote | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undeclared:
    """Accelerators of one namespace and class that are allocated to pods without a declared intent: only hardware figures are known."""

    namespace: str
    accelerator_class: str
    accelerators: int
    hardware_ratio: float | Missing
    busy_ratio: float | Missing = _NO_EXPORTER
    holdings: tuple[NodeShare, ...] = ()
    share: Fraction = Fraction(1)
    quote: Quote | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerators:
    """Devices and slices as they are requested, one by one. `allocated`: held by pods, with or (`declared`) only with an intent.

    `productive`: how many accelerators at their expected MFU would do what the declared ones are observed to do.
    """

    total: int
    allocated: int
    declared: int
    productive: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """The same in whole devices: a 1g.10gb slice is a seventh of one."""

    total: Fraction
    allocated: Fraction
    declared: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Declared accelerators without an observed MFU, by the reason why."""

    reason: Reason
    accelerators: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An hour of a line, in millionths of `currency`: integers, so that lines add up to the whole exactly.

    `revenue_micros`: what tenants pay for what is allocated; `declared_micros`: the part of it with an intent; `cost_micros`: what the
    allocated costs the provider, and `idle_cost_micros` what is not allocated. `gap_micros`: what tenants pay for expected work that is
    not done, split `by_cause`. Each is over the accelerators whose figure is known; Missing where none is.
    `unpriced_accelerators`: allocated ones without a price, and so not in the revenue.
    """

    currency: str
    revenue_micros: int | Missing
    declared_micros: int | Missing
    cost_micros: int | Missing
    idle_cost_micros: int | Missing
    gap_micros: int | Missing
    by_cause: tuple[CauseAmount, ...]
    unpriced_accelerators: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One line: a workload, a node, a tenant, an accelerator class, a family of models, or the fleet.

    `expected_ratio` and `observed_ratio` are weighted by peak FLOP/s, `hardware_ratio` and `utilisation_ratio` by devices, each over those
    that have the figure: never a mean of percentages. `expected_where_observed_ratio` is the expectation of just those that are observed,
    the one to compare `observed_ratio` with. `unknown` says how many declared accelerators are not observed, and why.
    """

    name: str
    accelerators: Accelerators
    devices: Devices
    expected_ratio: float | Missing
    expected_where_observed_ratio: float | Missing
    observed_ratio: float | Missing
    hardware_ratio: float | Missing
    utilisation_ratio: float | Missing
    useful_flops_per_second: float | Missing
    observed_devices: Fraction  # that the useful FLOP/s are of
    unknown: tuple[Unknown, ...]
    money: Money

    @property
    def allocated_ratio(self) -> float | Missing:
        """Allocated over all devices."""
        if not self.devices.total:
            return Missing(reason=Reason.NOT_APPLICABLE, message=f"{self.name} has no accelerators")
        return float(self.devices.allocated / self.devices.total)

    @property
    def unknown_ratio(self) -> float | Missing:
        """Declared accelerators without an observed MFU, over all declared ones."""
        if not self.accelerators.declared:
            return Missing(reason=Reason.NOT_APPLICABLE, message=f"no accelerator of {self.name} has a declared intent")
        return sum(item.accelerators for item in self.unknown) / self.accelerators.declared

    @property
    def cost_dollars_per_hour(self) -> float | Missing:
        """What tenants pay for the declared accelerators."""
        return _amount(self.money.declared_micros)

    @property
    def gap_dollars_per_hour(self) -> float | Missing:
        return _amount(self.money.gap_micros)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A workload that loses much: accelerators' worth of expected work that is not done, and its price."""

    namespace: str
    name: str
    lost_accelerators: float
    gap_dollars_per_hour: float | Missing
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """`whole`, and its parts five ways. The lines of each list add up to it; what has no room is in the last line, `others`.

    `by_class`, `by_tenant` and `by_model` are largest first, `by_node` and `by_workload` those that lose most. `undeclared`: accelerators
    whose pods declare no intent; they are in the lines of their class, tenant and nodes too, but are no workload's and no family's. What
    runs on nodes that are not known is in no node's line.
    """

    whole: Group
    by_class: tuple[Group, ...]
    by_tenant: tuple[Group, ...]
    by_model: tuple[Group, ...]
    by_node: tuple[Group, ...]
    by_workload: tuple[Group, ...]
    undeclared: Group
    worst: tuple[Loss, ...]
    summary: str

    @property
    def accelerators(self) -> Accelerators:
        return self.whole.accelerators

    @property
    def expected_ratio(self) -> float | Missing:
        return self.whole.expected_ratio

    @property
    def observed_ratio(self) -> float | Missing:
        return self.whole.observed_ratio

    @property
    def hardware_ratio(self) -> float | Missing:
        return self.whole.hardware_ratio

    @property
    def cost_dollars_per_hour(self) -> float | Missing:
        return self.whole.cost_dollars_per_hour

    @property
    def gap_dollars_per_hour(self) -> float | Missing:
        return self.whole.gap_dollars_per_hour

    @property
    def unknown(self) -> tuple[Unknown, ...]:
        return self.whole.unknown


def _amount(micros: int | Missing) -> float | Missing:
    return micros if isinstance(micros, Missing) else micros / MICROS
