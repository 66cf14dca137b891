"""Accelerator classes that are wrong for the models they run: what the estimator says the same work would cost elsewhere in the fleet."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mfu.errors import IntentError
from mfu.estimate.estimator import estimate as estimated
from mfu.estimate.search import rate
from mfu.estimate.workload import Fabric, Workload
from mfu.hardware.accelerator import Accelerator
from mfu.judge.fleet import Member
from mfu.judge.money import micros_of
from mfu.judge.money_bills import bill_of, label_of, quote_of
from mfu.judge.systemic_finding import Finding, FindingKind, finding
from mfu.judge.wording import percent
from mfu.missing import Missing

__all__ = ["Elsewhere", "moved", "wrong_classes"]

_WORTH_RATIO = 0.15  # of the bill; less is within the doubt of two expectations
_LOOKED_AT = 40  # workloads, those with the largest bills; an estimate for each class and workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """A workload on another class: tokens per second and accelerator there over here, and what the same tokens would save an hour."""

    accelerator: Accelerator
    speed_ratio: float
    mfu_ratio: float
    saves_micros: int


def moved(workload: Workload, accelerator: Accelerator) -> Workload:
    """The same intent on as many accelerators of another class."""
    fabric = Fabric(
        accelerator=accelerator,
        count=workload.fabric.count,
        per_node=workload.fabric.per_node,
        link_domain=accelerator.link_domain(workload.fabric.per_node),
        network_bytes_per_second=accelerator.network_bytes_per_second,
    )
    return replace(workload, fabric=fabric)


def wrong_classes(members: Sequence[Member], accelerators: Sequence[Accelerator]) -> list[Finding]:
    """One finding for each pair of classes (here → there), over the workloads that would save at least 15 % of their bill there.

    `accelerators`: the classes of the fleet, with the prices that count. Classes without a price are no alternative: nothing is known of
    what they would save.
    """
    candidates = sorted(
        (each for each in members if each.accelerators), key=lambda each: (-_amount(bill_of(each).revenue_micros), label_of(each))
    )
    cases: dict[tuple[str, str], list[tuple[Member, Elsewhere]]] = {}
    for member in candidates[:_LOOKED_AT]:
        best = _best(member, accelerators)
        if best is not None:
            cases.setdefault((member.accelerator_class, best.accelerator.name), []).append((member, best))
    found = []
    for (here, there), moves in cases.items():
        saved = {label_of(member): move.saves_micros for member, move in moves}
        speed = sum(move.speed_ratio for _, move in moves) / len(moves)
        reached = sum(move.mfu_ratio for _, move in moves) / len(moves)
        found.append(
            finding(
                FindingKind.WRONG_ACCELERATOR_CLASS,
                here,
                [member for member, _ in moves],
                lambda member, saved=saved: saved[label_of(member)],  # type: ignore[misc]  # the default binds this pair's amounts
                evidence=f"on {there} these models are expected to give {speed:.2f} times the tokens for each accelerator "
                f"at {percent(reached)} MFU, for less money",
                remedy=f"offer {there} to these workloads",
            )
        )
    return found


def _best(member: Member, accelerators: Sequence[Accelerator]) -> Elsewhere | None:
    workload, here = member.assessment.workload, member.assessment.estimate
    price = quote_of(member).price_micros
    if isinstance(workload, Missing) or isinstance(here, Missing) or isinstance(price, Missing) or rate(here) <= 0.0:
        return None
    bill = price * member.accelerators
    found = []
    for accelerator in accelerators:
        if accelerator.name == member.accelerator_class or accelerator.price_per_hour is None:
            continue
        try:
            there = estimated(moved(workload, accelerator))
        except IntentError:
            continue
        if isinstance(there, Missing) or not there.memory.fits or rate(there) <= 0.0:
            continue
        speed = rate(there) / rate(here)
        saves = bill - round(micros_of(accelerator.price_per_hour) * member.accelerators / speed)
        if saves >= _WORTH_RATIO * bill:
            found.append(Elsewhere(accelerator=accelerator, speed_ratio=speed, mfu_ratio=there.mfu_ratio, saves_micros=saves))
    return max(found, key=lambda each: (each.saves_micros, each.accelerator.name), default=None)


def _amount(micros: int | Missing) -> int:
    return -1 if isinstance(micros, Missing) else micros
