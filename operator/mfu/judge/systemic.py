"""What is wrong with many workloads at once: every kind of systemic finding, those that cost most first."""

from collections.abc import Mapping, Sequence

from mfu.hardware.accelerator import Accelerator
from mfu.judge.fleet import Member
from mfu.judge.fragmentation import Fragmentation
from mfu.judge.systemic_change import configuration_drifts
from mfu.judge.systemic_classes import wrong_classes
from mfu.judge.systemic_finding import SHOWN, Finding, FindingKind
from mfu.judge.systemic_members import straggler_nodes, topology_mismatches, under_batched_tenants
from mfu.missing import Missing

__all__ = ["Finding", "FindingKind", "findings"]


def findings(
    members: Sequence[Member],
    *,
    attributes: Mapping[str, Mapping[str, str]] | None = None,
    fragmentation: Fragmentation | None = None,
    accelerators: Sequence[Accelerator] = (),
    limit: int = SHOWN,
) -> tuple[Finding, ...]:
    """`attributes`: image, driver, … by `namespace/name`; `accelerators`: the classes of the fleet with their prices.

    Configuration drift goes first, for it has one cause and one remedy; the others by money. Findings overlap: they do not add up.
    """
    found = [
        *configuration_drifts(members, attributes or {}),
        *under_batched_tenants(members),
        *topology_mismatches(members),
        *straggler_nodes(members),
        *wrong_classes(members, accelerators),
        *([] if fragmentation is None else _fragmented(fragmentation)),
    ]
    found.sort(key=lambda each: (each.kind is not FindingKind.CONFIGURATION_DRIFT, -_amount(each.micros_per_hour), each.kind, each.subject))
    return tuple(found[:limit])


def _fragmented(fragmentation: Fragmentation) -> list[Finding]:
    """One finding over all partitioned devices; nothing where no slice is stranded."""
    if not fragmentation.stranded:
        return []
    moves = fragmentation.repartitions
    nodes = sorted({each.node for each in fragmentation.stranded})
    waiting = sum(len(move.create) for move in moves)
    unserved = sum(fragmentation.unserved.values())
    evidence = f"{fragmentation.stranded_compute_slices} compute slices on {len(nodes)} nodes that nobody can use"
    if waiting or unserved:
        evidence += f"; {waiting + unserved} pending instances do not fit the present cut"
    steps = [f"{move.node} device {move.index}: {_cut(move.remove)} → {_cut(move.create)}" for move in moves[:3]]
    more = f" and {len(moves) - 3} more" if len(moves) > 3 else ""
    return [
        Finding(
            kind=FindingKind.MIG_FRAGMENTATION,
            subject=", ".join(sorted({each.accelerator_class for each in fragmentation.stranded})),
            evidence=evidence,
            workloads=(),
            count=0,
            accelerators=len(fragmentation.stranded),
            micros_per_hour=fragmentation.stranded_micros_per_hour,
            remedy="repartition " + "; ".join(steps) + more if steps else "choose a cut that uses all compute slices",
        )
    ]


def _cut(profiles: Sequence[str]) -> str:
    return " + ".join(profiles) if profiles else "unused slices"


def _amount(micros: int | Missing) -> int:
    return -1 if isinstance(micros, Missing) else micros
