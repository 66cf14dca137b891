"""The block that a waiting gang is sent to."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfu.estimate.workload import Workload
from mfu.missing import Missing, Reason
from mfu.place.hint import Hint, Requirement, hint
from mfu.place.topology import Level, LevelKeys, Node

MakeNode = Callable[..., Node]
MakeWorkload = Callable[..., Workload]
KEYS = LevelKeys()
LEAF_KEY = "topology.k8s.aws/network-node-layer-3"
PRODUCT = Requirement(key="nvidia.com/gpu.product", values=("NVIDIA-H100-80GB-HBM3",))


def chosen(found: Hint | Missing) -> Hint:
    assert isinstance(found, Hint), found
    return found


def two_leaves(node: MakeNode, free_first: int, free_second: int) -> list[Node]:
    """Two leaves of eight nodes under one spine; the first nodes of each are free."""
    return [
        node(f"{leaf}-n{i}", leaf=leaf, spine="spine-1", free=8 if i < free else 0)
        for leaf, free in (("leaf-1", free_first), ("leaf-2", free_second))
        for i in range(8)
    ]


def test_a_gang_goes_into_the_leaf_that_has_room(node: MakeNode, training: MakeWorkload) -> None:
    found = chosen(hint(training(tensor=16, data=2), two_leaves(node, 3, 4), 8, 4, KEYS))
    assert (found.level, found.domain, found.key, found.required) == (Level.LEAF, "leaf-2", LEAF_KEY, True)
    assert found.requirements == (Requirement(key=LEAF_KEY, values=("leaf-2",)), PRODUCT)
    assert found.reason.startswith(
        "tensor parallel 16 spans 2 pods: kept inside leaf leaf-2 (topology.k8s.aws/network-node-layer-3), 32 of 64 "
    )
    assert "first leaf label" in found.reason


def test_the_fuller_leaf_wins_so_that_the_free_one_stays_whole(node: MakeNode, training: MakeWorkload) -> None:
    assert chosen(hint(training(tensor=8, data=2), two_leaves(node, 8, 3), 8, 2, KEYS)).domain == "leaf-2"


def test_a_gang_larger_than_a_leaf_goes_into_the_spine(node: MakeNode, training: MakeWorkload) -> None:
    found = chosen(hint(training(tensor=8, data=12), two_leaves(node, 7, 7), 8, 12, KEYS))
    assert (found.level, found.domain, found.required) == (Level.SPINE, "spine-1", True)
    assert "the roomiest leaf, leaf-2, takes 7 of 12 pods" in found.reason


def test_a_gang_without_room_is_sent_by_preference_to_the_block_that_lacks_least(node: MakeNode, training: MakeWorkload) -> None:
    found = chosen(hint(training(tensor=8, data=6), two_leaves(node, 1, 3), 8, 6, KEYS))
    assert (found.level, found.domain, found.required) == (Level.LEAF, "leaf-2", False)
    assert "does not fit now" in found.reason


def test_a_gang_that_never_fits_is_said_to(node: MakeNode, training: MakeWorkload) -> None:
    found = hint(training(tensor=8, data=32), two_leaves(node, 8, 8), 8, 32, KEYS)
    assert isinstance(found, Missing)
    assert found.reason is Reason.NOT_APPLICABLE
    assert "16 of them" in found.message


def test_without_topology_labels_there_is_no_hint(node: MakeNode, training: MakeWorkload) -> None:
    found = hint(training(tensor=8, data=2), [node("a"), node("b")], 8, 2, KEYS)
    assert isinstance(found, Missing)
    assert found.reason is Reason.UNKNOWN_TOPOLOGY
    assert "topology.levels" in found.message


@pytest.mark.parametrize("pods", [0, -1])
def test_nothing_to_place_gives_no_hint(node: MakeNode, training: MakeWorkload, pods: int) -> None:
    assert isinstance(hint(training(tensor=8), [node("a", leaf="l")], 8, pods, KEYS), Missing)


def test_only_schedulable_nodes_of_the_class_count(node: MakeNode, training: MakeWorkload) -> None:
    nodes = [
        *(node(f"a{i}", leaf="leaf-a", class_name="a100-sxm-80gb", product="NVIDIA-A100-SXM4-80GB") for i in range(4)),
        *(node(f"c{i}", leaf="leaf-c", schedulable=False) for i in range(4)),
        *(node(f"h{i}", leaf="leaf-h") for i in range(4)),
    ]
    assert chosen(hint(training(tensor=8, data=2), nodes, 8, 2, KEYS)).domain == "leaf-h"
    assert isinstance(hint(training(class_name="h200-sxm-141gb", tensor=8), nodes, 8, 1, KEYS), Missing)
    cordoned = hint(training(tensor=8, data=2), nodes[4:8], 8, 2, KEYS)
    assert isinstance(cordoned, Missing)
    assert "no schedulable node offers h100-sxm-80gb" in cordoned.message


def test_a_leaf_name_used_twice_is_told_apart_by_its_spine(node: MakeNode, training: MakeWorkload) -> None:
    nodes = [node(f"a{i}", leaf="1", spine="a", free=0) for i in range(2)] + [node(f"b{i}", leaf="1", spine="b") for i in range(2)]
    found = chosen(hint(training(tensor=8, data=2), nodes, 8, 2, KEYS))
    assert found.requirements == (
        Requirement(key="topology.k8s.aws/network-node-layer-2", values=("b",)),
        Requirement(key=LEAF_KEY, values=("1",)),
        PRODUCT,
    )


def rack_nodes(node: MakeNode, name: str, free_nodes: int, count: int = 18) -> list[Node]:
    return [
        node(
            f"{name}-{i}",
            rack=f"{name}.0",
            spine="s",
            class_name="gb200-nvl-186gb",
            product="NVIDIA-GB200",
            gpus=4,
            free=4 if i < free_nodes else 0,
        )
        for i in range(count)
    ]


def test_tensor_groups_over_several_nodes_go_into_one_rack(node: MakeNode, training: MakeWorkload) -> None:
    workload = training("gb200-nvl-186gb", per_node=4, tensor=8, data=2)
    found = chosen(hint(workload, [*rack_nodes(node, "r1", 18), *rack_nodes(node, "r2", 5), *rack_nodes(node, "r3", 3)], 4, 4, KEYS))
    assert (found.level, found.domain, found.required, found.keeps_groups_whole) == (Level.NVLINK_DOMAIN, "r2.0", True, True)


def test_a_gang_of_several_racks_takes_the_fewest_that_keep_its_groups_whole(node: MakeNode, training: MakeWorkload) -> None:
    workload = training("gb200-nvl-186gb", per_node=4, tensor=8, data=12)
    nodes = [*rack_nodes(node, "r1", 17), *rack_nodes(node, "r2", 9), *rack_nodes(node, "r3", 18)]
    found = chosen(hint(workload, nodes, 4, 24, KEYS))
    assert (found.level, found.keeps_groups_whole) == (Level.SPINE, True)
    assert Requirement(key="nvidia.com/gpu.clique", values=("r2.0", "r3.0")) in found.requirements


def test_broken_groups_are_said_and_only_where_nothing_else_fits(node: MakeNode, training: MakeWorkload) -> None:
    workload = training("gb200-nvl-186gb", per_node=4, tensor=16, data=1)
    found = chosen(hint(workload, [*rack_nodes(node, "r1", 3), *rack_nodes(node, "r2", 3)], 4, 4, KEYS))
    assert (found.level, found.keeps_groups_whole) == (Level.SPINE, False)
    assert "no block keeps its tensor groups whole" in found.reason


def test_a_wider_block_that_keeps_groups_whole_beats_a_tighter_one_that_breaks_them(node: MakeNode, training: MakeWorkload) -> None:
    workload = training("gb200-nvl-186gb", per_node=4, tensor=8, data=4)
    racks = (("r1", "leaf-1", 5), ("r2", "leaf-1", 3), ("r3", "leaf-2", 5))
    nodes = [
        node(f"{rack}-{i}", rack=f"{rack}.0", leaf=leaf, spine="s", class_name="gb200-nvl-186gb", product="NVIDIA-GB200", gpus=4)
        for rack, leaf, free in racks
        for i in range(free)
    ]
    found = chosen(hint(workload, nodes, 4, 8, KEYS))
    assert (found.level, found.keeps_groups_whole) == (Level.SPINE, True)


def test_among_equal_nodes_the_one_in_the_fuller_leaf_wins(node: MakeNode, serving: MakeWorkload) -> None:
    found = chosen(hint(serving(tensor=8), [*two_leaves(node, 3, 0), node("z", leaf="leaf-3", spine="spine-1")], 8, 1, KEYS))
    assert found.domain == "z"


def test_a_single_pod_is_preferred_beside_others_and_never_pinned(node: MakeNode, serving: MakeWorkload) -> None:
    nodes = [node("empty", leaf="l"), node("half", leaf="l", free=4)]
    found = chosen(hint(serving(tensor=4), nodes, 4, 1, KEYS))
    assert (found.domain, found.required) == ("half", False)


def test_single_gpu_pods_of_one_tensor_group_share_a_node(node: MakeNode, serving: MakeWorkload) -> None:
    nodes = [node("a", leaf="l", free=3), node("b", leaf="l", free=5), node("c", leaf="l", free=3)]
    found = chosen(hint(serving(tensor=4), nodes, 1, 4, KEYS))
    assert (found.level, found.domain, found.required) == (Level.NODE, "b", True)


def test_pods_that_only_share_data_are_not_pinned_to_a_node(node: MakeNode, training: MakeWorkload) -> None:
    found = chosen(hint(training(data=4), [node("a", leaf="l"), node("b", leaf="l", free=4)], 1, 4, KEYS))
    assert (found.level, found.domain, found.required) == (Level.NODE, "b", False)
    assert "prefers node b" in found.reason


def test_a_gang_over_several_unrelated_leaves_prefers_the_fewest(node: MakeNode, training: MakeWorkload) -> None:
    nodes = [node(f"{leaf}-{i}", leaf=leaf) for leaf, size in (("x", 4), ("y", 6), ("z", 2)) for i in range(size)]
    found = chosen(hint(training(tensor=8, data=8), nodes, 8, 8, KEYS))
    assert (found.level, found.required, found.requirements[0].values) == (Level.LEAF, False, ("y", "z"))


# Properties

Shape = tuple[list[tuple[int, int, int]], int, int]
shapes = st.tuples(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 8)), min_size=1, max_size=24),
    st.sampled_from([1, 2, 4, 8]),
    st.integers(1, 12),
)


def cluster(node: MakeNode, spots: list[tuple[int, int, int]]) -> list[Node]:
    return [node(f"n{i}", leaf=f"leaf-{leaf}", spine=f"spine-{spine}", free=free) for i, (leaf, spine, free) in enumerate(spots)]


def matching(nodes: list[Node], found: Hint) -> list[Node]:
    return [item for item in nodes if all(item.labels.get(need.key) in need.values for need in found.requirements)]


@given(shape=shapes, tensor=st.sampled_from([1, 2, 4, 8, 16]))
@settings(deadline=None)
def test_a_required_block_has_room_for_the_whole_gang(node: MakeNode, training: MakeWorkload, shape: Shape, tensor: int) -> None:
    spots, pod_gpus, pods = shape
    nodes = cluster(node, spots)
    found = hint(training(tensor=tensor, data=max(1, pods * pod_gpus // tensor)), nodes, pod_gpus, pods, KEYS)
    if isinstance(found, Hint) and found.required:
        assert sum(item.free // pod_gpus for item in matching(nodes, found)) >= pods


@given(shape=shapes, others=st.lists(st.tuples(st.integers(4, 6), st.integers(2, 3), st.integers(0, 8)), max_size=12))
@settings(deadline=None)
def test_unrelated_nodes_never_make_the_choice_worse(
    node: MakeNode, training: MakeWorkload, shape: Shape, others: list[tuple[int, int, int]]
) -> None:
    spots, pod_gpus, pods = shape
    workload = training(tensor=min(8, pod_gpus), data=pods)
    nodes = cluster(node, spots)
    more = [
        replace(item, name=f"x{item.name}", labels={**item.labels, "kubernetes.io/hostname": f"x{item.name}"})
        for item in cluster(node, others)
    ]
    before, after = hint(workload, nodes, pod_gpus, pods, KEYS), hint(workload, [*nodes, *more], pod_gpus, pods, KEYS)
    if isinstance(before, Hint):
        assert isinstance(after, Hint)
        assert after.score <= before.score
    foreign = [replace(item, accelerator="a100-sxm-80gb") for item in more]
    assert hint(workload, [*nodes, *foreign], pod_gpus, pods, KEYS) == before


@given(shape=shapes, order=st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_nodes_does_not_matter(node: MakeNode, training: MakeWorkload, shape: Shape, order: Random) -> None:
    spots, pod_gpus, pods = shape
    nodes = cluster(node, spots)
    shuffled = list(nodes)
    order.shuffle(shuffled)
    workload = training(tensor=min(8, pod_gpus), data=pods)
    assert hint(workload, nodes, pod_gpus, pods, KEYS) == hint(workload, shuffled, pod_gpus, pods, KEYS)
