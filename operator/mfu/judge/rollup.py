"""From workloads to accelerator classes, tenants, model families and the fleet."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mfu.judge.economics import gap_ratio
from mfu.judge.fleet import Accelerators, Fleet, Group, Loss, Member, Undeclared, Unknown
from mfu.judge.wording import dollars, percent
from mfu.missing import Missing, Reason
from mfu.observe.observation import Observation

__all__ = ["OTHERS", "UNDECLARED", "roll_up"]

OTHERS = "others"
UNDECLARED = "undeclared"


def roll_up(members: Sequence[Member], *, capacity: Mapping[str, int], undeclared: Sequence[Undeclared] = (), limit: int = 10) -> Fleet:
    """`capacity`: accelerators that the cluster has, by class. Lists are cut to `limit` lines, the last of them `others` where more
    would follow.
    """
    by_class = _grouped(members, undeclared, lambda member: member.accelerator_class, lambda line: line.accelerator_class)
    for name, total in capacity.items():
        by_class.setdefault(name, _Sums()).total += total
    by_tenant = _grouped(members, undeclared, lambda member: member.namespace, lambda line: line.namespace)
    by_model = _grouped(members, (), lambda member: member.family, lambda line: "")
    bare = _Sums()
    for line in undeclared:
        bare.add_undeclared(line)
    whole = _Sums.joined(by_class.values())
    fleet = whole.group("fleet")
    return Fleet(
        accelerators=fleet.accelerators,
        expected_ratio=fleet.expected_ratio,
        observed_ratio=fleet.observed_ratio,
        hardware_ratio=fleet.hardware_ratio,
        cost_dollars_per_hour=fleet.cost_dollars_per_hour,
        gap_dollars_per_hour=fleet.gap_dollars_per_hour,
        by_class=_listed(by_class, limit),
        by_tenant=_listed(by_tenant, limit),
        by_model=_listed(by_model, limit),
        undeclared=bare.group(UNDECLARED),
        worst=_worst(members, limit),
        unknown=_unknown(members),
        summary=_summary(fleet),
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
class _Sums:
    """Running sums of one line."""

    total: int = 0
    allocated: int = 0
    declared: int = 0
    productive: float = 0.0
    priced: int = 0  # workloads with a price
    cost: float = 0.0
    judged: int = 0  # workloads with a price and a gap
    gap: float = 0.0
    expected: _Weighted = field(default_factory=_Weighted)
    observed: _Weighted = field(default_factory=_Weighted)
    hardware: _Weighted = field(default_factory=_Weighted)

    def add(self, member: Member) -> None:
        count, judged = member.accelerators, member.assessment
        self.allocated += count
        self.declared += count
        if isinstance(judged.workload, Missing) or count == 0:
            return
        price = judged.workload.fabric.accelerator.price_per_hour
        if price is not None:
            self.priced += 1
            self.cost += price * count
        gap = gap_ratio(judged.estimate, judged.observation)
        if not isinstance(gap, Missing):
            self.productive += count * (1.0 - gap)
            if price is not None:
                self.judged += 1
                self.gap += price * count * gap
        peak = judged.workload.fabric.accelerator.peak(judged.workload.precisions.compute)
        if not isinstance(peak, Missing):
            if not isinstance(judged.estimate, Missing):
                self.expected.add(judged.estimate.mfu_ratio, peak * count)
            if isinstance(judged.observation, Observation) and not isinstance(judged.observation.mfu_ratio, Missing):
                self.observed.add(judged.observation.mfu_ratio, peak * count)
        if isinstance(judged.observation, Observation) and not isinstance(judged.observation.hardware_ratio, Missing):
            self.hardware.add(judged.observation.hardware_ratio, count)

    def add_undeclared(self, line: Undeclared) -> None:
        self.allocated += line.accelerators
        if not isinstance(line.hardware_ratio, Missing):
            self.hardware.add(line.hardware_ratio, line.accelerators)

    @classmethod
    def joined(cls, parts: Iterable["_Sums"]) -> "_Sums":
        whole = cls()
        for part in parts:
            whole.total += part.total
            whole.allocated += part.allocated
            whole.declared += part.declared
            whole.productive += part.productive
            whole.priced += part.priced
            whole.cost += part.cost
            whole.judged += part.judged
            whole.gap += part.gap
            for mine, theirs in ((whole.expected, part.expected), (whole.observed, part.observed), (whole.hardware, part.hardware)):
                mine.weight += theirs.weight
                mine.sum += theirs.sum
        return whole

    def group(self, name: str) -> Group:
        return Group(
            name=name,
            accelerators=Accelerators(
                # Only classes have a capacity of their own; what a tenant or a family holds is all there is of it.
                total=max(self.total, self.allocated),
                allocated=self.allocated,
                declared=self.declared,
                productive=self.productive,
            ),
            expected_ratio=_known(self.expected.mean, Reason.NOT_RUNNING, "no declared workload with an expectation runs here"),
            observed_ratio=_known(self.observed.mean, Reason.TELEMETRY_MISSING, "no running workload here has an observed MFU"),
            hardware_ratio=_known(self.hardware.mean, Reason.TELEMETRY_MISSING, "no device exporter reports for what runs here"),
            cost_dollars_per_hour=_known(self.cost if self.priced else None, Reason.UNKNOWN_PRICE, "no accelerator here has a price"),
            gap_dollars_per_hour=_known(self.gap if self.judged else None, Reason.UNKNOWN_PRICE, "nothing here has both a price and a gap"),
        )


def _known(value: float | None, reason: Reason, message: str) -> float | Missing:
    return Missing(reason=reason, message=message) if value is None else value


def _grouped(
    members: Sequence[Member], undeclared: Sequence[Undeclared], of_member: Callable[[Member], str], of_line: Callable[[Undeclared], str]
) -> dict[str, _Sums]:
    groups: dict[str, _Sums] = {}
    for member in members:
        if member.accelerators:
            groups.setdefault(of_member(member), _Sums()).add(member)
    for line in undeclared:
        groups.setdefault(of_line(line), _Sums()).add_undeclared(line)
    return groups


def _listed(groups: Mapping[str, _Sums], limit: int) -> tuple[Group, ...]:
    """Largest first; what does not fit is joined into one last line, so that the lines still add up."""
    ordered = sorted(groups.items(), key=lambda item: (-item[1].allocated, -item[1].total, item[0]))
    if len(ordered) <= limit:
        return tuple(sums.group(name) for name, sums in ordered)
    kept, rest = ordered[: limit - 1], ordered[limit - 1 :]
    return (*(sums.group(name) for name, sums in kept), _Sums.joined(sums for _, sums in rest).group(OTHERS))


def _worst(members: Sequence[Member], limit: int) -> tuple[Loss, ...]:
    losses = []
    for member in members:
        judged = member.assessment
        gap = gap_ratio(judged.estimate, judged.observation)
        if isinstance(gap, Missing) or isinstance(judged.workload, Missing) or not judged.diagnosis or not member.accelerators:
            continue
        price = judged.workload.fabric.accelerator.price_per_hour
        lost = member.accelerators * gap
        unknown = Missing(reason=Reason.UNKNOWN_PRICE, message=f"{member.accelerator_class} has no price")
        losses.append(
            Loss(
                namespace=member.namespace,
                name=member.name,
                lost_accelerators=lost,
                gap_dollars_per_hour=unknown if price is None else price * lost,
                summary=judged.summary,
            )
        )
    losses.sort(key=lambda loss: (-_money(loss), -loss.lost_accelerators, loss.namespace, loss.name))
    return tuple(losses[:limit])


def _money(loss: Loss) -> float:
    return 0.0 if isinstance(loss.gap_dollars_per_hour, Missing) else loss.gap_dollars_per_hour


def _unknown(members: Sequence[Member]) -> tuple[Unknown, ...]:
    counts: dict[Reason, int] = {}
    for member in members:
        seen = member.assessment.observation
        why = seen if isinstance(seen, Missing) else seen.mfu_ratio
        if isinstance(why, Missing) and member.accelerators:
            counts[why.reason] = counts.get(why.reason, 0) + member.accelerators
    return tuple(
        Unknown(reason=reason, accelerators=count) for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def _summary(fleet: Group) -> str:
    """`312 of 400 accelerators allocated, 288 declared; 31.2% observed vs 38.0% expected; $1,204/h lost`"""
    held = fleet.accelerators
    parts = [f"{held.allocated} of {held.total} accelerators allocated, {held.declared} declared"]
    if isinstance(fleet.observed_ratio, Missing):
        parts.append("MFU not observed")
    elif isinstance(fleet.expected_ratio, Missing):
        parts.append(f"{percent(fleet.observed_ratio)} observed")
    else:
        parts.append(f"{percent(fleet.observed_ratio)} observed vs {percent(fleet.expected_ratio)} expected")
    if not isinstance(fleet.gap_dollars_per_hour, Missing):
        parts.append(f"{dollars(fleet.gap_dollars_per_hour)}/h lost")
    return "; ".join(parts)
