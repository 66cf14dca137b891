"""From workloads to nodes, tenants, accelerator classes, families of models and the fleet."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from mfu.judge.economics import gap_ratio
from mfu.judge.fleet import Fleet, Group, Loss, Member, NodeShare, Undeclared
from mfu.judge.money_bills import bill_of
from mfu.judge.prices import MICROS, Quote
from mfu.judge.rollup_sums import Part, Sums, idle_part, member_part, placed, undeclared_part
from mfu.judge.wording import dollars, percent
from mfu.missing import Missing

__all__ = ["OTHERS", "UNDECLARED", "roll_up"]

OTHERS = "others"
UNDECLARED = "undeclared"


def roll_up(
    members: Sequence[Member],
    *,
    capacity: Mapping[str, int],
    undeclared: Sequence[Undeclared] = (),
    limit: int = 10,
    node_capacity: Mapping[str, int] | None = None,
    class_quotes: Mapping[str, Quote] | None = None,
    shares: Mapping[str, Fraction] | None = None,
) -> Fleet:
    """`capacity`: accelerators that the cluster has, by class; `node_capacity`: by node. Lists are cut to `limit` lines, the last of them
    `others` where more would follow.

    `class_quotes`: the provider's own cost of each class, for what nobody holds. `shares`: the part of a device that one accelerator of a
    class is (`fragmentation_slices.device_share`); 1 where not said.
    """
    held = [(member, member_part(member)) for member in members if member.accelerators]
    bare = [(line, undeclared_part(line)) for line in undeclared if line.accelerators]
    by_class: dict[str, list[Part]] = {}
    by_tenant: dict[str, list[Part]] = {}
    by_model: dict[str, list[Part]] = {}
    for member, part in held:
        by_class.setdefault(member.accelerator_class, []).append(part)
        by_tenant.setdefault(member.namespace, []).append(part)
        by_model.setdefault(member.family, []).append(part)
    for line, part in bare:
        by_class.setdefault(line.accelerator_class, []).append(part)
        by_tenant.setdefault(line.namespace, []).append(part)
    for name in {**by_class, **capacity}:
        of_class = by_class.setdefault(name, [])
        of_class.append(idle_part(capacity.get(name, 0), of_class, (shares or {}).get(name, Fraction(1)), (class_quotes or {}).get(name)))
    whole = Sums.of(part for parts in by_class.values() for part in parts).group("fleet")
    by_node = _by_node(
        [*((member.holdings, part) for member, part in held), *((line.holdings, part) for line, part in bare)], node_capacity
    )
    return Fleet(
        whole=whole,
        by_class=_listed(by_class, limit, _by_size),
        by_tenant=_listed(by_tenant, limit, _by_size),
        by_model=_listed(by_model, limit, _by_size),
        by_node=_listed(by_node, limit, _by_loss),
        by_workload=_listed({f"{member.namespace}/{member.name}": [part] for member, part in held}, limit, _by_loss),
        undeclared=Sums.of(part for _, part in bare).group(UNDECLARED),
        worst=_worst(members, limit),
        summary=_summary(whole),
    )


def _by_node(held: Sequence[tuple[Sequence[NodeShare], Part]], capacity: Mapping[str, int] | None) -> dict[str, list[Part]]:
    """Each workload's part on each of its nodes: the same ratios, and its counts and money in proportion."""
    found: dict[str, list[Part]] = {}
    for holdings, part in held:
        where = [share for share in holdings if share.accelerators > 0]
        for share, piece in zip(where, placed(part, [share.accelerators for share in where]) if where else (), strict=True):
            found.setdefault(share.node, []).append(piece)
    for node, total in (capacity or {}).items():
        found.setdefault(node, []).append(Part(accelerators=0, devices=0, total=total, total_devices=total))
    return found


_Order = Callable[[Sums], tuple[float, ...]]


def _by_size(sums: Sums) -> tuple[float, ...]:
    return -sums.allocated, -sums.total


def _by_loss(sums: Sums) -> tuple[float, ...]:
    micros, lost = sums.loss
    return -micros, -lost, -sums.allocated


def _listed(groups: Mapping[str, Sequence[Part]], limit: int, order: _Order) -> tuple[Group, ...]:
    """In order; what does not fit is joined into one last line, so that the lines still add up."""
    summed = [(name, Sums.of(parts)) for name, parts in groups.items()]
    summed.sort(key=lambda item: (order(item[1]), item[0]))
    if len(summed) <= limit:
        return tuple(sums.group(name) for name, sums in summed)
    kept, rest = summed[: limit - 1], summed[limit - 1 :]
    others = Sums.of(part for name, _ in rest for part in groups[name]).group(OTHERS)
    return (*(sums.group(name) for name, sums in kept), others)


def _worst(members: Sequence[Member], limit: int) -> tuple[Loss, ...]:
    losses = []
    for member in members:
        judged = member.assessment
        gap = gap_ratio(judged.estimate, judged.observation)
        if isinstance(gap, Missing) or isinstance(judged.workload, Missing) or not judged.diagnosis or not member.accelerators:
            continue
        billed = bill_of(member).gap_micros
        losses.append(
            Loss(
                namespace=member.namespace,
                name=member.name,
                lost_accelerators=member.accelerators * gap,
                gap_dollars_per_hour=billed if isinstance(billed, Missing) else billed / MICROS,
                summary=judged.summary,
            )
        )
    losses.sort(key=lambda loss: (-_money(loss), -loss.lost_accelerators, loss.namespace, loss.name))
    return tuple(losses[:limit])


def _money(loss: Loss) -> float:
    return 0.0 if isinstance(loss.gap_dollars_per_hour, Missing) else loss.gap_dollars_per_hour


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
