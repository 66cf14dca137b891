"""Where nodes sit: NVLink domain, leaf switch, spine, core and zone, read from whatever labels the cluster has.

A level is read from the first of its candidate label keys that a node carries. A label value need not be unique in the cluster: a domain is
named by its value *and* the values of all levels above it. What is not labelled is unknown, and a label that contradicts the hardware
(more accelerators in one NVLink domain than its switch has ports) is treated as absent.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from mfu.hardware.accelerator import Accelerator
from mfu.hardware.catalog import load_catalog

__all__ = ["LEVELS", "Domain", "Level", "LevelKeys", "Node", "Topology"]


class Level(StrEnum):
    """From tight to wide. NODE needs no label."""

    NODE = "node"
    NVLINK_DOMAIN = "nvlinkDomain"
    LEAF = "leaf"
    SPINE = "spine"
    CORE = "core"
    ZONE = "zone"


LEVELS = tuple(Level)
HOSTNAME = "kubernetes.io/hostname"

# Values that labellers write where they know nothing (seen on OCI nodes).
_JUNK = frozenset({"", "none", "no-imds-data", "not-available", "unknown", "n/a", "null"})
# Names a rack-scale NVLink domain only where the accelerators' links leave the node; elsewhere it is a block of the network.
_RACK_OR_BLOCK = "cloud.google.com/gce-topology-subblock"
# "<cluster UUID>.<clique>": unique without the levels above.
_UNIQUE_KEYS = frozenset({"nvidia.com/gpu.clique"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelKeys:
    """Candidate label keys of each level; the first that a node carries is used."""

    nvlink_domain: tuple[str, ...] = (
        "nvidia.com/gpu.clique",
        "accelerator.topograph.run/domain",
        "network.topology.nvidia.com/accelerator",
        "ds.coreweave.com/nvlink.domain",
        "topology.k8s.aws/ultraserver-id",
        "topology.nebius.com/nvl-instance-group-id",
        _RACK_OR_BLOCK,
    )
    leaf: tuple[str, ...] = (
        "fabric.topograph.run/tier-0",
        "network.topology.nvidia.com/leaf",
        "backend.coreweave.cloud/leafgroup",
        "ib.coreweave.cloud/leafgroup",
        "topology.k8s.aws/network-node-layer-3",
        "oci.oraclecloud.com/rdma.local_block_id",
        _RACK_OR_BLOCK,
        "topology.nebius.com/tier-1",
        "crusoe.ai/pod.id",
        "topology.kubernetes.io/rack",
    )
    spine: tuple[str, ...] = (
        "fabric.topograph.run/tier-1",
        "network.topology.nvidia.com/spine",
        "backend.coreweave.cloud/superpod",
        "ib.coreweave.cloud/superpod",
        "topology.k8s.aws/network-node-layer-2",
        "oci.oraclecloud.com/rdma.network_block_id",
        "cloud.google.com/gce-topology-block",
        "topology.nebius.com/tier-2",
    )
    core: tuple[str, ...] = (
        "fabric.topograph.run/tier-2",
        "network.topology.nvidia.com/core",
        "backend.coreweave.cloud/fabric",
        "ib.coreweave.cloud/fabric",
        "topology.k8s.aws/network-node-layer-1",
        "oci.oraclecloud.com/rdma.hpc_island_id",
        "topology.nebius.com/gpu-cluster-id",
        "crusoe.ai/ib.partition.id",
    )
    zone: tuple[str, ...] = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")

    def of(self, level: Level) -> tuple[str, ...]:
        match level:
            case Level.NODE:
                return (HOSTNAME,)
            case Level.NVLINK_DOMAIN:
                return self.nvlink_domain
            case Level.LEAF:
                return self.leaf
            case Level.SPINE:
                return self.spine
            case Level.CORE:
                return self.core
            case Level.ZONE:
                return self.zone

    def with_overrides(self, keys: Mapping[str, Sequence[str]]) -> "LevelKeys":
        """The provider's keys go first. `keys` is by level name (nvlinkDomain, leaf, spine, core, zone); other names are ignored."""

        def first(level: Level) -> tuple[str, ...]:
            return tuple(dict.fromkeys((*keys.get(level.value, ()), *self.of(level))))

        return replace(
            self,
            nvlink_domain=first(Level.NVLINK_DOMAIN),
            leaf=first(Level.LEAF),
            spine=first(Level.SPINE),
            core=first(Level.CORE),
            zone=first(Level.ZONE),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node of the cluster. `accelerator` is a class name (with `/profile` for partitions); None: unknown or none."""

    name: str
    labels: Mapping[str, str]
    accelerator: str | None
    allocatable: int  # accelerators
    free: int  # of them, requested by no pod
    schedulable: bool = True  # ready and not cordoned


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A block of nodes at one level. `path` are the (key, value) pairs of the levels above, widest first."""

    level: Level
    key: str
    value: str
    path: tuple[tuple[str, str], ...]
    nodes: tuple[Node, ...]

    @property
    def free(self) -> int:
        return sum(max(0, node.free) for node in self.nodes if node.schedulable)

    @property
    def total(self) -> int:
        return sum(node.allocatable for node in self.nodes)


_Identity = tuple[Level, str, str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """All domains of some nodes.

    `homes`: node name → its domain at each known level. `conflicts`: labels that were not believed, and why.
    """

    domains: Mapping[Level, tuple[Domain, ...]]
    homes: Mapping[str, Mapping[Level, Domain]]
    conflicts: tuple[str, ...]

    @classmethod
    def of(cls, nodes: Iterable[Node], keys: LevelKeys, classes: Mapping[str, Accelerator] | None = None) -> "Topology":
        """Group `nodes` by the labels that `keys` name. Nodes without a label of a level are in no domain of that level.

        `classes` (default: the catalogue) tell which accelerators have links that leave the node, and how many may share them.
        """
        known = load_catalog() if classes is None else classes
        members: dict[_Identity, list[Node]] = {}
        ladder = [(level, keys.of(level)) for level in reversed(LEVELS[1:])]
        for node in nodes:
            for identity in _identities(node, ladder, known):
                members.setdefault(identity, []).append(node)
        domains: dict[Level, list[Domain]] = {level: [] for level in LEVELS}
        homes: dict[str, dict[Level, Domain]] = {}
        conflicts: list[str] = []
        for (level, key, value, path), group in members.items():
            if level is Level.NVLINK_DOMAIN and (problem := _too_large(key, value, group, known)):
                conflicts.append(problem)
                continue
            domain = Domain(level=level, key=key, value=value, path=path, nodes=tuple(group))
            domains[level].append(domain)
            for node in group:
                homes.setdefault(node.name, {})[level] = domain
        return cls(domains={level: tuple(found) for level, found in domains.items()}, homes=homes, conflicts=tuple(sorted(conflicts)))

    def used_keys(self, level: Level) -> tuple[str, ...]:
        """The label keys that the domains of `level` were read from."""
        return tuple(sorted({domain.key for domain in self.domains[level]}))


def _identities(node: Node, ladder: Sequence[tuple[Level, tuple[str, ...]]], classes: Mapping[str, Accelerator]) -> list[_Identity]:
    labels = node.labels
    found: list[_Identity] = [(Level.NODE, HOSTNAME, labels.get(HOSTNAME, node.name), ())]
    path: tuple[tuple[str, str], ...] = ()
    for level, candidates in ladder:
        for key in candidates:
            if key not in labels:
                continue
            value = labels[key]
            if value.casefold() in _JUNK:
                continue
            if level is Level.NVLINK_DOMAIN and key == _RACK_OR_BLOCK and not _links_leave_the_node(node, classes):
                continue
            found.append((level, key, value, () if key in _UNIQUE_KEYS else path))
            path = (*path, (key, value))
            break
    return found


def _links_leave_the_node(node: Node, classes: Mapping[str, Accelerator]) -> bool:
    known = classes.get(node.accelerator or "")
    return known is not None and known.domain_spans_nodes


def _too_large(key: str, value: str, nodes: Sequence[Node], classes: Mapping[str, Accelerator]) -> str | None:
    counts: dict[str, int] = {}
    for node in nodes:
        if node.accelerator:
            counts[node.accelerator] = counts.get(node.accelerator, 0) + node.allocatable
    for name, count in counts.items():
        known = classes.get(name)
        if known is not None and known.domain_spans_nodes and count > known.domain_size:
            return f"{key}={value} names {count} {name}, but an NVLink domain of them has {known.domain_size}: the label is not used"
    return None
