"""What topology a running gang really got: which blocks it crosses, and how many neighbours share its fast links."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from mfu.estimate.workload import Fabric, Workload
from mfu.missing import Missing, Reason
from mfu.place.groups import Group, GroupKind, communication_groups, tight_group
from mfu.place.room import container_level
from mfu.place.topology import LEVELS, Level, LevelKeys, Node, Topology

__all__ = ["Spread", "placed_fabric", "spread"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The topology of a placed gang. Counts of the blocks it touches; None where some of its nodes carry no label of that level.

    `level`: the tightest level with one block that holds all of it (None: it crosses everything that is labelled).
    `link_domain`: consecutive ranks in blocks of this size share the fast links; it replaces `Fabric.link_domain` in an estimate of this
    placement, and is the node's share where a rack is not labelled. `crossing`: groups that leave the fast links although these could hold
    them. `group_level`: the tightest level whose blocks hold every tensor and expert group whole; `wanted_level`: the tightest that could
    (both None where no such group exists). `groups_inside`: whether the first is as tight as the second; None: the labels do not tell.
    `keys`: the label that each level was read from.
    """

    gpus: int
    nodes: int
    nvlink_domains: int | None
    leaves: int | None
    spines: int | None
    level: Level | None
    link_domain: int
    crossing: tuple[GroupKind, ...]
    group_level: Level | None
    wanted_level: Level | None
    groups_inside: bool | None
    keys: tuple[tuple[Level, str], ...]
    message: str


def spread(workload: Workload, placed: Sequence[tuple[Node, int]], levels: LevelKeys) -> Spread | Missing:
    """The spread of a gang whose pods run on `placed`: (node, accelerators used there) a pod, in rank order (pod index, else name).

    Missing(NOT_RUNNING): nothing is placed. Missing(UNKNOWN_TOPOLOGY): the gang fills several nodes, and nothing is labelled.
    """
    used = [(node, gpus) for node, gpus in placed if gpus > 0]
    if not used:
        return Missing(reason=Reason.NOT_RUNNING, message="no pod of the workload runs on a node yet")
    fabric = workload.fabric
    classes = {node.accelerator: fabric.accelerator for node, _ in used if node.accelerator}
    topology = Topology.of({node.name: node for node, _ in used}.values(), levels, classes)
    runs = {level: lengths for level in LEVELS if (lengths := _runs(topology, used, level))}
    if not fabric.accelerator.domain_spans_nodes:
        runs[Level.NVLINK_DOMAIN] = runs[Level.NODE]
    blocks = {level: len({block for block, _ in found}) for level, found in runs.items()}
    nodes = blocks[Level.NODE]
    if nodes > 1 and not any(topology.domains[level] for level in LEVELS[1:]):
        return Missing(
            reason=Reason.UNKNOWN_TOPOLOGY, message=f"the gang runs on {nodes} nodes that carry no topology labels; set topology.levels"
        )
    tight = [group for group in communication_groups(workload) if group.tight]
    fast = runs.get(Level.NVLINK_DOMAIN)
    fitting = [group for group in tight if group.span <= fabric.accelerator.domain_size]
    crossing = tuple(group.kind for group in fitting if fast is not None and not _whole(group.span, fast))
    widest = tight_group(workload)
    group_level = wanted = None
    if widest is not None:
        group_level = next((level for level in LEVELS if level in runs and _whole(widest.span, runs[level])), None)
        wanted = container_level(workload, [node for node, _ in used], widest.span)
    found = Spread(
        gpus=sum(gpus for _, gpus in used),
        nodes=nodes,
        nvlink_domains=blocks.get(Level.NVLINK_DOMAIN),
        leaves=blocks.get(Level.LEAF),
        spines=blocks.get(Level.SPINE),
        level=next((level for level in LEVELS if blocks.get(level) == 1), None),
        link_domain=_link_domain([length for _, length in fast or runs[Level.NODE]], fabric),
        crossing=crossing,
        group_level=group_level,
        wanted_level=wanted,
        groups_inside=_inside(group_level, wanted, runs.keys()),
        keys=tuple((level, key) for level in LEVELS[1:] for key in topology.used_keys(level)),
        message="",
    )
    return replace(found, message=_message(found, widest))


def placed_fabric(fabric: Fabric, found: Spread) -> Fabric:
    """The fabric of a workload with the fast-link domain that its placement really gives."""
    return replace(fabric, link_domain=max(1, min(fabric.accelerator.domain_size, found.link_domain)))


_Run = tuple[int, int]  # block, consecutive ranks in it


def _runs(topology: Topology, used: Sequence[tuple[Node, int]], level: Level) -> list[_Run]:
    """Consecutive ranks by block of `level`; empty where a node carries no label of it."""
    homes = [(topology.homes[node.name].get(level), gpus) for node, gpus in used]
    if any(home is None for home, _ in homes):
        return []
    return [
        (block, sum(gpus for _, gpus in run)) for block, run in groupby(((id(home), gpus) for home, gpus in homes), lambda item: item[0])
    ]


def _whole(span: int, runs: Sequence[_Run]) -> bool:
    """Whether no aligned block of `span` ranks straddles two blocks of nodes."""
    edge = 0
    for _, length in runs[:-1]:
        edge += length
        if edge % span:
            return False
    return True


def _link_domain(lengths: Sequence[int], fabric: Fabric) -> int:
    """Aligned blocks of this many ranks never straddle two fast-link domains."""
    aligned = math.gcd(*lengths[:-1]) if len(lengths) > 1 else lengths[0]
    return min(aligned, fabric.accelerator.domain_size)


def _inside(found: Level | None, wanted: Level | None, known: Collection[Level]) -> bool | None:
    if wanted is None:
        return True
    if found is not None and LEVELS.index(found) <= LEVELS.index(wanted):
        return True
    return False if wanted in known else None


def _message(found: Spread, widest: Group | None) -> str:
    counts = ((found.nodes, "node", "nodes"), (found.leaves, "leaf", "leaves"), (found.spines, "spine", "spines"))
    text = ", ".join(f"{many} unknown" if count is None else f"{count} {one if count == 1 else many}" for count, one, many in counts)
    if widest is None or found.groups_inside:
        return text if found.level else f"{text}: no labelled block holds the whole gang"
    if found.groups_inside is None:
        return f"{text}: no {found.wanted_level} label on these nodes, so whether {widest.kind} parallelism stays inside one is unknown"
    reached = f"only a {found.group_level} holds its groups" if found.group_level else "no labelled block holds its groups"
    return f"{text}: {widest.kind} parallelism ({widest.degree}) crosses {found.wanted_level} borders, {reached}"
