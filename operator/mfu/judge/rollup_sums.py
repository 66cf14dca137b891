"""The running sums of one line of a roll-up. Counts and money are integers: lines add up to the whole, whatever their order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from mfu.judge.assessment import Cause
from mfu.judge.economics import gap_ratio
from mfu.judge.fleet import Accelerators, Devices, Group, Member, Money, Undeclared, Unknown
from mfu.judge.money import CauseAmount, split
from mfu.judge.money_bills import bill_of
from mfu.judge.prices import Quote
from mfu.missing import Missing, Reason
from mfu.observe.observation import Observation

__all__ = ["Part", "Sums", "idle_part", "member_part", "placed", "undeclared_part"]

# Whole devices are the rule, and adding integers is ten times faster than adding fractions.
_Exact = Fraction | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one workload, or the undeclared pods of one tenant and class, add to a line. None and no peak: not known."""

    accelerators: int
    devices: _Exact
    declared: bool = False
    currency: str = "USD"
    total: int = 0  # capacity
    total_devices: _Exact = 0
    productive: float = 0.0
    lost: float = 0.0  # accelerators' worth of expected work that is not done
    peak_flops: float = 0.0
    expected_ratio: float | None = None
    observed_ratio: float | None = None
    hardware_ratio: float | None = None
    busy_ratio: float | None = None
    unknown: Reason | None = None
    revenue: int | None = None
    cost: int | None = None
    idle_cost: int | None = None
    gap: int | None = None
    causes: tuple[tuple[Cause, int], ...] = ()


def member_part(member: Member) -> Part:
    judged, count = member.assessment, member.accelerators
    billed = bill_of(member)
    seen = judged.observation if isinstance(judged.observation, Observation) else None
    observed = judged.observation if isinstance(judged.observation, Missing) else judged.observation.mfu_ratio
    peak: float | Missing | None = None
    if not isinstance(judged.workload, Missing):
        peak = judged.workload.fabric.accelerator.peak(judged.workload.precisions.compute)
    has_peak = isinstance(peak, float | int)
    gap = gap_ratio(judged.estimate, judged.observation)
    if not isinstance(observed, Missing) and not has_peak:
        # A share of a peak that is not known cannot be weighted with others.
        observed = Missing(reason=Reason.UNSUPPORTED_PRECISION, message=f"{member.accelerator_class} has no peak at this precision")
    return Part(
        accelerators=count,
        devices=_exact(member.share, count),
        declared=True,
        currency=billed.currency,
        productive=0.0 if isinstance(gap, Missing) else count * (1.0 - gap),
        lost=0.0 if isinstance(gap, Missing) else count * gap,
        peak_flops=float(peak) * count if isinstance(peak, float | int) else 0.0,
        expected_ratio=judged.estimate.mfu_ratio if not isinstance(judged.estimate, Missing) and has_peak else None,
        observed_ratio=None if isinstance(observed, Missing) else observed,
        hardware_ratio=_number(seen.hardware_ratio) if seen else None,
        busy_ratio=seen.evidence.busy_ratio if seen else None,
        unknown=observed.reason if isinstance(observed, Missing) else None,
        revenue=_whole(billed.revenue_micros),
        cost=_whole(billed.cost_micros),
        gap=_whole(billed.gap_micros),
        causes=tuple((amount.cause, amount.micros) for amount in billed.by_cause),
    )


def undeclared_part(line: Undeclared) -> Part:
    quote, count = line.quote, line.accelerators
    return Part(
        accelerators=count,
        devices=_exact(line.share, count),
        currency=quote.currency if quote else "USD",
        hardware_ratio=_number(line.hardware_ratio),
        busy_ratio=_number(line.busy_ratio),
        revenue=quote.price_micros * count if quote and not isinstance(quote.price_micros, Missing) else None,
        cost=quote.cost_micros * count if quote and not isinstance(quote.cost_micros, Missing) else None,
    )


def idle_part(capacity: int, held: Sequence[Part], share: Fraction, quote: Quote | None) -> Part:
    """The capacity of a class, at least what is `held` of it, and what its accelerators that nobody holds cost the provider."""
    allocated = sum(part.accelerators for part in held)
    total, devices = max(capacity, allocated), max(_exact(share, capacity), sum(part.devices for part in held))
    known = quote is not None and not isinstance(quote.cost_micros, Missing)
    return Part(
        accelerators=0,
        devices=0,
        currency=quote.currency if quote else "USD",
        total=total,
        total_devices=devices,
        idle_cost=max(0, total - allocated) * quote.cost_micros if known and quote and isinstance(quote.cost_micros, int) else None,
    )


def placed(part: Part, counts: Sequence[int]) -> tuple[Part, ...]:
    """`part` divided among nodes that hold `counts` of its accelerators; where these are all, the pieces' money adds up to the part's."""
    if len(counts) == 1 and counts[0] == part.accelerators:
        return (part,)
    elsewhere = max(0, part.accelerators - sum(counts))
    whole = sum(counts) + elsewhere
    pieces = [*counts, elsewhere]

    def each(amount: int | None) -> Sequence[int | None]:
        return [None] * len(counts) if amount is None else split(amount, pieces)[: len(counts)]

    causes = [split(micros, pieces)[: len(counts)] for _, micros in part.causes]
    return tuple(
        Part(
            accelerators=count,
            devices=_exact(Fraction(part.devices) / whole, count) if part.devices != whole else count,
            declared=part.declared,
            currency=part.currency,
            productive=part.productive * count / whole,
            lost=part.lost * count / whole,
            peak_flops=part.peak_flops * count / whole,
            expected_ratio=part.expected_ratio,
            observed_ratio=part.observed_ratio,
            hardware_ratio=part.hardware_ratio,
            busy_ratio=part.busy_ratio,
            unknown=part.unknown,
            revenue=revenue,
            cost=cost,
            gap=sum(amounts[index] for amounts in causes) if causes else gap,
            causes=tuple((cause, amounts[index]) for (cause, _), amounts in zip(part.causes, causes, strict=True)),
        )
        for index, (count, revenue, cost, gap) in enumerate(zip(counts, each(part.revenue), each(part.cost), each(part.gap), strict=True))
    )


@dataclass(slots=True, kw_only=True)
class _Weighted:
    weight: float = 0.0
    sum: float = 0.0

    def add(self, value: float, weight: float) -> None:
        self.weight += weight
        self.sum += value * weight

    @property
    def mean(self) -> float | None:
        return self.sum / self.weight if self.weight > 0.0 else None


@dataclass(slots=True, kw_only=True)
class _Amount:
    """A sum of whole millionths that may never have been known."""

    micros: int = 0
    known: bool = False

    def add(self, micros: int | None) -> None:
        if micros is not None:
            self.micros += micros
            self.known = True


@dataclass(slots=True, kw_only=True)
class Sums:
    total: int = 0
    total_devices: _Exact = 0
    allocated: int = 0
    allocated_devices: _Exact = 0
    declared: int = 0
    declared_devices: _Exact = 0
    observed_devices: _Exact = 0
    unpriced: int = 0
    productive: float = 0.0
    lost: float = 0.0
    currency: str = ""
    unknown: dict[Reason, int] = field(default_factory=dict)
    causes: dict[Cause, int] = field(default_factory=dict)
    expected: _Weighted = field(default_factory=_Weighted)
    compared: _Weighted = field(default_factory=_Weighted)
    observed: _Weighted = field(default_factory=_Weighted)
    hardware: _Weighted = field(default_factory=_Weighted)
    busy: _Weighted = field(default_factory=_Weighted)
    revenue: _Amount = field(default_factory=_Amount)
    declared_revenue: _Amount = field(default_factory=_Amount)
    cost: _Amount = field(default_factory=_Amount)
    idle_cost: _Amount = field(default_factory=_Amount)
    gap: _Amount = field(default_factory=_Amount)

    def add(self, part: Part) -> None:
        self.total += part.total
        self.total_devices += part.total_devices
        self.allocated += part.accelerators
        self.allocated_devices += part.devices
        self.productive += part.productive
        self.lost += part.lost
        self.currency = self.currency or part.currency
        if part.declared:
            self.declared += part.accelerators
            self.declared_devices += part.devices
            self.declared_revenue.add(part.revenue)
        if part.unknown is not None:
            self.unknown[part.unknown] = self.unknown.get(part.unknown, 0) + part.accelerators
        self._add_ratios(part)
        if part.revenue is None:
            self.unpriced += part.accelerators
        self.revenue.add(part.revenue)
        self.cost.add(part.cost)
        self.idle_cost.add(part.idle_cost)
        self.gap.add(part.gap)
        for cause, micros in part.causes:
            self.causes[cause] = self.causes.get(cause, 0) + micros

    def _add_ratios(self, part: Part) -> None:
        devices = float(part.devices)
        if part.expected_ratio is not None:
            self.expected.add(part.expected_ratio, part.peak_flops)
            if part.observed_ratio is not None:
                self.compared.add(part.expected_ratio, part.peak_flops)
        if part.observed_ratio is not None:
            self.observed.add(part.observed_ratio, part.peak_flops)
            self.observed_devices += part.devices
        if part.hardware_ratio is not None:
            self.hardware.add(part.hardware_ratio, devices)
        if part.busy_ratio is not None:
            self.busy.add(part.busy_ratio, devices)

    @classmethod
    def of(cls, parts: Iterable[Part]) -> "Sums":
        sums = cls()
        for part in parts:
            sums.add(part)
        return sums

    @property
    def loss(self) -> tuple[int, float]:
        """What to order lines by that should be looked at first: money lost, then accelerators' worth of work."""
        return self.gap.micros, self.lost

    def group(self, name: str) -> Group:
        return Group(
            name=name,
            accelerators=Accelerators(
                # Only classes and nodes have a capacity of their own; what a tenant or a family holds is all there is of it.
                total=max(self.total, self.allocated),
                allocated=self.allocated,
                declared=self.declared,
                productive=self.productive,
            ),
            devices=Devices(
                total=Fraction(max(self.total_devices, self.allocated_devices)),
                allocated=Fraction(self.allocated_devices),
                declared=Fraction(self.declared_devices),
            ),
            expected_ratio=_known(self.expected.mean, Reason.NOT_RUNNING, "no declared workload with an expectation runs here"),
            expected_where_observed_ratio=_known(
                self.compared.mean, Reason.TELEMETRY_MISSING, "no running workload here has both an expected and an observed MFU"
            ),
            observed_ratio=_known(self.observed.mean, Reason.TELEMETRY_MISSING, "no running workload here has an observed MFU"),
            hardware_ratio=_known(self.hardware.mean, Reason.TELEMETRY_MISSING, "no device exporter reports for what runs here"),
            utilisation_ratio=_known(self.busy.mean, Reason.TELEMETRY_MISSING, "no device exporter reports how busy these devices are"),
            useful_flops_per_second=_known(
                self.observed.sum if self.observed.weight > 0.0 else None,
                Reason.TELEMETRY_MISSING,
                "no running workload here has an observed MFU",
            ),
            observed_devices=Fraction(self.observed_devices),
            unknown=_reasons(self.unknown),
            money=self._money(),
        )

    def _money(self) -> Money:
        return Money(
            currency=self.currency or "USD",
            revenue_micros=_priced(self.revenue, "no accelerator here has a price"),
            declared_micros=_priced(self.declared_revenue, "no accelerator here has a price"),
            cost_micros=_priced(self.cost, "the provider's own cost of these accelerators is not known"),
            idle_cost_micros=_priced(self.idle_cost, "the provider's own cost of idle accelerators is not known"),
            gap_micros=_priced(self.gap, "nothing here has both a price and a gap"),
            by_cause=tuple(
                CauseAmount(cause=cause, micros=micros)
                for cause, micros in sorted(self.causes.items(), key=lambda item: (-item[1], item[0]))
            ),
            unpriced_accelerators=self.unpriced,
        )


def _reasons(counts: Mapping[Reason, int]) -> tuple[Unknown, ...]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Unknown(reason=reason, accelerators=count) for reason, count in ordered)


def _known(value: float | None, reason: Reason, message: str) -> float | Missing:
    return Missing(reason=reason, message=message) if value is None else value


def _priced(amount: _Amount, message: str) -> int | Missing:
    return amount.micros if amount.known else Missing(reason=Reason.UNKNOWN_PRICE, message=message)


def _exact(share: Fraction, count: int) -> _Exact:
    numerator, rest = divmod(share.numerator * count, share.denominator)
    return share * count if rest else numerator


def _number(value: float | Missing) -> float | None:
    return None if isinstance(value, Missing) else value


def _whole(value: int | Missing) -> int | None:
    return None if isinstance(value, Missing) else value
