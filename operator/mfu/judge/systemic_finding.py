"""A finding about many workloads at once: what it is, the evidence, what it costs, and what to do."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mfu.judge.assessment import Cause
from mfu.judge.fleet import Member
from mfu.judge.money_bills import bill_of, label_of
from mfu.missing import Missing, Reason

__all__ = ["SHOWN", "Finding", "FindingKind", "caused_micros", "finding", "gap_micros", "total"]

SHOWN = 10


class FindingKind(StrEnum):
    """Stable tokens."""

    UNDER_BATCHED_TENANT = "UnderBatchedTenant"
    TOPOLOGY_MISMATCH = "TopologyMismatch"
    MIG_FRAGMENTATION = "MigFragmentation"
    CONFIGURATION_DRIFT = "ConfigurationDrift"
    STRAGGLER_NODE = "StragglerNode"
    WRONG_ACCELERATOR_CLASS = "WrongAcceleratorClass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`subject`: the tenant, node, class or attribute it is about. `workloads`: the first ten of `count`, those that lose most first.

    `micros_per_hour`: what it costs an hour, in millionths of the currency, over the workloads with a known price; Missing where none has.
    """

    kind: FindingKind
    subject: str
    evidence: str
    workloads: tuple[str, ...]
    count: int
    accelerators: int
    micros_per_hour: int | Missing
    remedy: str


def finding(
    kind: FindingKind, subject: str, members: Sequence[Member], cost: Callable[[Member], int | Missing], *, evidence: str, remedy: str
) -> Finding:
    """`cost`: what of a member's bill this finding is about."""
    priced = [(cost(member), member) for member in members]
    priced.sort(key=lambda item: (-(0 if isinstance(item[0], Missing) else item[0]), label_of(item[1])))
    return Finding(
        kind=kind,
        subject=subject,
        evidence=evidence,
        workloads=tuple(label_of(member) for _, member in priced[:SHOWN]),
        count=len(priced),
        accelerators=sum(member.accelerators for member in members),
        micros_per_hour=total(amount for amount, _ in priced),
        remedy=remedy,
    )


def total(amounts: Iterable[int | Missing]) -> int | Missing:
    known = [amount for amount in amounts if not isinstance(amount, Missing)]
    return sum(known) if known else Missing(reason=Reason.UNKNOWN_PRICE, message="nothing here has both a price and a known gap")


def gap_micros(member: Member) -> int | Missing:
    return bill_of(member).gap_micros


def caused_micros(member: Member, causes: Iterable[Cause]) -> int | Missing:
    """What `causes` cost the member, an hour."""
    billed = bill_of(member)
    if isinstance(billed.gap_micros, Missing):
        return billed.gap_micros
    wanted = frozenset(causes)
    return sum(amount.micros for amount in billed.by_cause if amount.cause in wanted)
