"""How many pods of a gang fit into a block of nodes now, counting only whole communication groups."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mfu.estimate.workload import Workload
from mfu.place.groups import Group, tight_group
from mfu.place.topology import LEVELS, Domain, Level, Node, Topology

__all__ = ["Gang", "container_level", "fewest", "gang_of", "room", "slots"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gang:
    """`pods` pods of `pod_gpus` accelerators each. Every `group_pods` consecutive pods hold one `tight` group, which belongs inside one
    domain of level `container`."""

    pods: int
    pod_gpus: int
    tight: Group | None
    group_pods: int
    container: Level

    @property
    def gpus(self) -> int:
        return self.pods * self.pod_gpus


def gang_of(workload: Workload, nodes: Sequence[Node], pod_gpus: int, pods: int) -> Gang:
    """The gang of `workload`; `nodes` (of its class) say how large a node is."""
    tight = tight_group(workload)
    span = 1 if tight is None else tight.span
    return Gang(
        pods=pods,
        pod_gpus=pod_gpus,
        tight=tight,
        group_pods=max(1, min(pods, -(-span // pod_gpus))),
        container=container_level(workload, nodes, span),
    )


def container_level(workload: Workload, nodes: Iterable[Node], span: int) -> Level:
    """The tightest level that can hold a group of `span` ranks at all: a node, a rack-scale NVLink domain, else a leaf."""
    if span <= max((node.allocatable for node in nodes), default=0):
        return Level.NODE
    known = workload.fabric.accelerator
    if known.domain_spans_nodes and span <= known.domain_size:
        return Level.NVLINK_DOMAIN
    return Level.LEAF


def slots(node: Node, pod_gpus: int, *, if_empty: bool = False) -> int:
    """Pods of `pod_gpus` accelerators that the node takes now (`if_empty`: would take if nothing ran)."""
    if not node.schedulable:
        return 0
    return max(0, node.allocatable if if_empty else min(node.free, node.allocatable)) // pod_gpus


def room(domain: Domain, gang: Gang, topology: Topology, free: Mapping[str, int]) -> tuple[int, int]:
    """(pods that fit, pods that fit as whole groups) in `domain`; `free`: node name → pods it takes."""
    plain = sum(free[node.name] for node in domain.nodes)
    if gang.group_pods == 1 or LEVELS.index(domain.level) <= LEVELS.index(gang.container):
        return plain, plain
    containers: dict[tuple[object, ...], int] = {}
    for node in domain.nodes:
        home = topology.homes[node.name].get(gang.container) or topology.homes[node.name][Level.NODE]
        key = (home.level, home.key, home.value, home.path)
        containers[key] = containers.get(key, 0) + free[node.name]
    return plain, sum(count // gang.group_pods * gang.group_pods for count in containers.values())


def fewest(domains: Iterable[Domain], gang: Gang, free: Mapping[str, int]) -> tuple[Domain, ...]:
    """The fewest of `domains` that together hold the gang in whole groups: the roomiest first, the last one as small as still enough.

    Empty where all of them together do not hold it.
    """
    sizes: list[tuple[int, Domain]] = []
    for domain in domains:
        whole = sum(free[node.name] for node in domain.nodes) // gang.group_pods * gang.group_pods
        if whole:
            sizes.append((whole, domain))
    sizes.sort(key=lambda item: (-item[0], item[1].value, item[1].path))
    chosen: list[Domain] = []
    missing = gang.pods
    while sizes and missing > 0:
        enough = [item for item in sizes if item[0] >= missing]
        pick = enough[-1] if enough else sizes[0]
        sizes.remove(pick)
        chosen.append(pick[1])
        missing -= pick[0]
    return tuple(chosen) if missing <= 0 else ()
