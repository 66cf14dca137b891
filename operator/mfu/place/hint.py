"""Where a waiting gang should go: the tightest block of the topology that has room for all of it now.

Among blocks of one level the one that is filled best wins, so that a small job does not break a large free block (best fit). A gang whose
tensor or expert groups span several pods goes where those groups stay whole. Pure and deterministic.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mfu.estimate.workload import Workload
from mfu.missing import Missing, Reason
from mfu.place.room import Gang, fewest, gang_of, room, slots
from mfu.place.topology import LEVELS, Domain, Level, LevelKeys, Node, Topology

__all__ = ["Hint", "Requirement", "hint"]

# Labels that name the accelerator model, the most specific first.
_CLASS_KEYS = (
    "nvidia.com/gpu.product",
    "amd.com/gpu.device-id",
    "amd.com/gpu.product-name",
    "cloud.google.com/gke-accelerator",
    "cloud.google.com/gke-tpu-accelerator",
    "gpu.nvidia.com/model",
    "karpenter.k8s.aws/instance-gpu-name",
    "node.kubernetes.io/instance-type",
)
_LEVEL_NAMES = {
    Level.NODE: "node",
    Level.NVLINK_DOMAIN: "NVLink domain",
    Level.LEAF: "leaf",
    Level.SPINE: "spine",
    Level.CORE: "core",
    Level.ZONE: "zone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A node-affinity expression: label `key` In `values`."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """A block for the gang. `required` only where the whole gang fits there now; otherwise it is a preference.

    `free` and `total` are accelerators of the block when the hint was made; `keeps_groups_whole` is False where tensor or expert groups
    must cross the fast links. `score` orders hints for one gang, the lower the better: not fitting now, groups broken, level, then what
    stays free in the block and in the blocks around it.
    """

    required: bool
    level: Level
    key: str
    domain: str
    requirements: tuple[Requirement, ...]
    reason: str
    free: int
    total: int
    keeps_groups_whole: bool
    score: tuple[int, ...]


def hint(workload: Workload, nodes: Sequence[Node], pod_gpus: int, pods: int, levels: LevelKeys) -> Hint | Missing:
    """The block for `pods` pods of `pod_gpus` accelerators each, among `nodes` of the workload's accelerator class.

    Missing(NOT_APPLICABLE): the pods ask for no accelerators, or the cluster has none of the class, or too few even if it were empty.
    Missing(UNKNOWN_TOPOLOGY): the gang is larger than a node and no label says which nodes are close.
    """
    if pod_gpus < 1 or pods < 1:
        return Missing(reason=Reason.NOT_APPLICABLE, message=f"nothing to place: {pods} pods with {pod_gpus} accelerators each")
    wanted = workload.fabric.accelerator.name
    pool = [node for node in nodes if node.accelerator == wanted and node.schedulable]
    if not pool:
        return Missing(reason=Reason.NOT_APPLICABLE, message=f"no schedulable node offers {wanted}; add nodes or declare another class")
    gang = gang_of(workload, pool, pod_gpus, pods)
    topology = Topology.of(pool, levels, {wanted: workload.fabric.accelerator})
    free = {node.name: slots(node, pod_gpus) for node in pool}
    best = _best(gang, topology, free, free)
    if best is None:
        empty = {node.name: slots(node, pod_gpus, if_empty=True) for node in pool}
        if sum(empty.values()) < pods:
            return Missing(
                reason=Reason.NOT_APPLICABLE,
                message=f"{pods} pods of {pod_gpus} {wanted} never fit: empty, the schedulable nodes take {sum(empty.values())} of them",
            )
        best = _best(gang, topology, empty, free) or _several(gang, topology, free, empty)
    if best is None:
        looked_for = ", ".join(levels.of(Level.LEAF)[:3])
        return Missing(
            reason=Reason.UNKNOWN_TOPOLOGY,
            message=f"{gang.gpus} {wanted} need more than a node and no block of nodes is labelled that could hold them"
            f" (looked for {looked_for}, …); label the nodes or set topology.levels",
        )
    return _hint(best, gang, topology, workload, free)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    domains: tuple[Domain, ...]  # several only where no single block holds the gang
    score: tuple[int, ...]
    fits_now: bool
    whole: bool


def _best(gang: Gang, topology: Topology, capacity: Mapping[str, int], free: Mapping[str, int]) -> _Choice | None:
    """The best single block whose `capacity` holds the gang: what is free now, or (then nothing fits now) what it has when empty."""
    fits_now = capacity is free
    found: list[tuple[tuple[int, ...], tuple[str, ...], Domain, bool]] = []
    around: dict[int, int] = {}
    for rank, level in enumerate(LEVELS):
        for domain in topology.domains[level]:
            plain, grouped = room(domain, gang, topology, capacity)
            if plain < gang.pods:
                continue
            whole = grouped >= gang.pods
            # Where nothing fits now, the block that lacks least.
            left = plain - gang.pods if fits_now else gang.pods - _free_around(domain, free, around)
            # What stays free in the blocks around it: a job goes beside others rather than into an untouched block.
            homes = topology.homes[domain.nodes[0].name]
            wider = tuple(
                _free_around(homes[outer], free, around) if outer in homes else 0
                for outer in LEVELS[max(rank + 1, 1) :]
                if outer != Level.ZONE
            )
            padded = wider + (0,) * (len(LEVELS) - len(wider))
            score = (0 if fits_now else 1, 0 if whole else 1, rank, left, *padded)
            found.append((score, (domain.value, *(value for _, value in domain.path)), domain, whole))
    if not found:
        return None
    score, _, domain, whole = min(found, key=lambda item: (item[0], item[1]))
    return _Choice(domains=(domain,), score=score, fits_now=fits_now, whole=whole)


def _free_around(domain: Domain, free: Mapping[str, int], known: dict[int, int]) -> int:
    if id(domain) not in known:
        known[id(domain)] = sum(free[node.name] for node in domain.nodes)
    return known[id(domain)]


def _several(gang: Gang, topology: Topology, free: Mapping[str, int], empty: Mapping[str, int]) -> _Choice | None:
    """No single block could hold the gang: the fewest blocks of the widest labelled level, as a preference."""
    for only_empty, counts in enumerate((free, empty)):
        for narrower, level in enumerate(reversed(LEVELS[1:])):
            if chosen := fewest(topology.domains[level], gang, counts):
                return _Choice(domains=chosen, score=(1, 0, len(LEVELS), only_empty, narrower, len(chosen)), fits_now=False, whole=True)
    return None


def _hint(choice: _Choice, gang: Gang, topology: Topology, workload: Workload, free: Mapping[str, int]) -> Hint:
    first = choice.domains[0]
    nodes = [node for domain in choice.domains for node in domain.nodes]
    inner = _containers(choice, gang, topology, free)
    requirements = [*_requirements(choice.domains, topology), *([inner] if inner else []), *_class_requirement(nodes)]
    # A pod is inside a node wherever it lands: pinning a node is worth its risk only where a group spans pods of it.
    required = choice.fits_now and not (gang.group_pods == 1 and first.level is Level.NODE)
    return Hint(
        required=required,
        level=first.level,
        key=first.key,
        domain=", ".join(domain.value for domain in choice.domains),
        requirements=tuple(requirements),
        reason=_reason(choice, gang, topology, workload, free, required=required),
        free=sum(domain.free for domain in choice.domains),
        total=sum(domain.total for domain in choice.domains),
        keeps_groups_whole=choice.whole,
        score=choice.score,
    )


def _requirements(domains: tuple[Domain, ...], topology: Topology) -> list[Requirement]:
    """The label of the block, with those of the levels above where its value alone also names another block."""
    first = domains[0]
    values = tuple(sorted({domain.value for domain in domains}))
    ambiguous = any(
        other.key == first.key and other.value in values and not any(other is mine for mine in domains)
        for other in topology.domains[first.level]
    )
    above: dict[str, set[str]] = {}
    for domain in domains if ambiguous else ():
        for key, value in domain.path:
            above.setdefault(key, set()).add(value)
    outer = [Requirement(key=key, values=tuple(sorted(found))) for key, found in above.items() if key != first.key]
    return [*outer, Requirement(key=first.key, values=values)]


def _containers(choice: _Choice, gang: Gang, topology: Topology, free: Mapping[str, int]) -> Requirement | None:
    """Inside a wide block, the fewest NVLink domains or leaves that hold the gang in whole groups."""
    block = choice.domains[0]
    if not (choice.fits_now and choice.whole) or gang.container is Level.NODE or LEVELS.index(block.level) <= LEVELS.index(gang.container):
        return None
    members = {node.name for node in block.nodes}
    inside = [domain for domain in topology.domains[gang.container] if domain.nodes[0].name in members]
    chosen = fewest(inside, gang, free)
    if not chosen or len({domain.key for domain in chosen}) != 1:
        return None
    return Requirement(key=chosen[0].key, values=tuple(sorted({domain.value for domain in chosen})))


def _class_requirement(nodes: Iterable[Node]) -> list[Requirement]:
    seen = list(nodes)
    for key in _CLASS_KEYS:
        values = {node.labels.get(key) for node in seen}
        known = tuple(sorted(value for value in values if value))
        if known and None not in values:
            return [Requirement(key=key, values=known)]
    return []


def _reason(choice: _Choice, gang: Gang, topology: Topology, workload: Workload, free: Mapping[str, int], *, required: bool) -> str:
    block = choice.domains[0]
    name = _LEVEL_NAMES[block.level]
    open_now, total = sum(domain.free for domain in choice.domains), sum(domain.total for domain in choice.domains)
    where = ", ".join(domain.value for domain in choice.domains)
    if gang.tight is not None and gang.group_pods > 1:
        need = f"{gang.tight.kind} parallel {gang.tight.degree} spans {gang.group_pods} pods"
    elif gang.pods == 1:
        need = f"{gang.gpus} accelerators in one pod"
    else:
        need = f"a gang of {gang.gpus} accelerators in {gang.pods} pods"
    if choice.fits_now:
        verb = "kept inside" if required else "prefers"
    else:
        verb = "does not fit in one block now, prefers" if len(choice.domains) > 1 else "does not fit now, prefers"
    text = f"{need}: {verb} {name} {where} ({block.key}), {open_now} of {total} {workload.fabric.accelerator.name} free"
    if not choice.whole:
        text += f"; no block keeps its {gang.tight.kind if gang.tight else 'tight'} groups whole now"
    if block.level is not Level.NODE:
        nodes = sum(len(domain.nodes) for domain in choice.domains)
        text += f"; {block.key} is the first {name} label that these {nodes} nodes carry"
    text += _tighter(block, gang, topology, free)
    if topology.conflicts:
        text += f"; ignored: {topology.conflicts[0]}"
    return text


def _tighter(block: Domain, gang: Gang, topology: Topology, free: Mapping[str, int]) -> str:
    """Why no tighter block was chosen, where there are labelled ones."""
    for level in reversed(LEVELS[1 : LEVELS.index(block.level)]):
        if rooms := [(sum(free[node.name] for node in domain.nodes), domain.value) for domain in topology.domains[level]]:
            most, value = max(rooms)
            return f"; the roomiest {_LEVEL_NAMES[level]}, {value}, takes {most} of {gang.pods} pods" if most < gang.pods else ""
    return ""
