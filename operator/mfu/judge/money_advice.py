"""What each tenant could save, as advice: the recommendations of its workloads, with the money that each is predicted to save."""

from collections.abc import Sequence
from dataclasses import dataclass

from mfu.judge.assessment import Recommendation
from mfu.judge.fleet import Member
from mfu.judge.money import micros_of
from mfu.judge.wording import change_text
from mfu.missing import Missing, Reason

__all__ = ["AdviceItem", "TenantAdvice", "advise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceItem:
    """The change of one workload that saves most; `saves_micros` an hour."""

    name: str
    change: str
    saves_micros: int | Missing
    expected_mfu_ratio: float
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantAdvice:
    """`saves_micros`: of all items with a price, an hour, also of those that the list has no room for; Missing where none has one."""

    tenant: str
    items: tuple[AdviceItem, ...]
    saves_micros: int | Missing
    workloads: int


def advise(members: Sequence[Member], limit: int = 10) -> tuple[TenantAdvice, ...]:
    """One entry a tenant that could gain, largest savings first; at most `limit` items each.

    One change a workload, the one that saves most: savings of several changes of one workload do not add up.
    """
    by_tenant: dict[str, list[AdviceItem]] = {}
    for member in members:
        recommended = member.assessment.recommendations
        if recommended and member.accelerators:
            by_tenant.setdefault(member.namespace, []).append(_item(member.name, max(recommended, key=_saved)))
    found = []
    for tenant, items in by_tenant.items():
        items.sort(key=lambda item: (-_amount(item.saves_micros), item.name))
        known = [item.saves_micros for item in items if not isinstance(item.saves_micros, Missing)]
        unknown = Missing(reason=Reason.UNKNOWN_PRICE, message=f"no accelerator of {tenant} has a price")
        found.append(
            TenantAdvice(tenant=tenant, items=tuple(items[:limit]), saves_micros=sum(known) if known else unknown, workloads=len(items))
        )
    return tuple(sorted(found, key=lambda each: (-_amount(each.saves_micros), each.tenant)))


def _item(name: str, best: Recommendation) -> AdviceItem:
    saved = best.saves_dollars_per_hour
    return AdviceItem(
        name=name,
        change=change_text(best.field_path, best.old, best.new),
        saves_micros=saved if isinstance(saved, Missing) else micros_of(saved),
        expected_mfu_ratio=best.expected_mfu_ratio,
        note=best.note,
    )


def _saved(recommendation: Recommendation) -> float:
    saved = recommendation.saves_dollars_per_hour
    return recommendation.expected_mfu_ratio * 1e-9 if isinstance(saved, Missing) else saved


def _amount(micros: int | Missing) -> int:
    return -1 if isinstance(micros, Missing) else micros
