"""What topology a running gang got."""

from collections.abc import Callable

import pytest

from mfu.estimate.workload import Workload
from mfu.missing import Missing, Reason
from mfu.place.assess import Spread, placed_fabric, spread
from mfu.place.groups import GroupKind
from mfu.place.topology import Level, LevelKeys, Node

MakeNode = Callable[..., Node]
MakeWorkload = Callable[..., Workload]
KEYS = LevelKeys()


def assessed(workload: Workload, placed: list[tuple[Node, int]]) -> Spread:
    found = spread(workload, placed, KEYS)
    assert isinstance(found, Spread), found
    return found


def test_a_gang_inside_one_leaf(node: MakeNode, training: MakeWorkload) -> None:
    found = assessed(training(tensor=8, data=2), [(node("a", leaf="l1", spine="s"), 8), (node("b", leaf="l1", spine="s"), 8)])
    assert (found.nodes, found.nvlink_domains, found.leaves, found.spines) == (2, 2, 1, 1)
    assert (found.level, found.link_domain, found.crossing) == (Level.LEAF, 8, ())
    assert (Level.LEAF, "topology.k8s.aws/network-node-layer-3") in found.keys


def test_a_gang_across_leaves_under_one_spine(node: MakeNode, training: MakeWorkload) -> None:
    found = assessed(training(tensor=16, data=1), [(node("a", leaf="l1", spine="s"), 8), (node("b", leaf="l2", spine="s"), 8)])
    assert (found.leaves, found.spines, found.level) == (2, 1, Level.SPINE)
    assert (found.group_level, found.wanted_level, found.groups_inside, found.crossing) == (Level.SPINE, Level.LEAF, False, ())
    assert "tensor parallelism (16) crosses leaf borders, only a spine holds its groups" in found.message


def test_a_tensor_group_of_two_nodes_in_one_leaf_sits_as_tightly_as_it_can(node: MakeNode, training: MakeWorkload) -> None:
    found = assessed(training(tensor=16, data=1), [(node("a", leaf="l1", spine="s"), 8), (node("b", leaf="l1", spine="s"), 8)])
    assert (found.group_level, found.wanted_level, found.groups_inside) == (Level.LEAF, Level.LEAF, True)


def test_a_tensor_group_split_over_two_nodes_crosses(node: MakeNode, training: MakeWorkload) -> None:
    workload = training(tensor=8, data=1)
    found = assessed(workload, [(node("a", leaf="l"), 4), (node("b", leaf="l"), 4)])
    assert (found.link_domain, found.crossing) == (4, (GroupKind.TENSOR,))
    assert (found.group_level, found.wanted_level, found.groups_inside) == (Level.LEAF, Level.NODE, False)
    assert "tensor parallelism (8) crosses node borders, only a leaf holds its groups" in found.message
    assert placed_fabric(workload.fabric, found).link_domain == 4


def test_a_misaligned_group_crosses_although_each_node_is_large_enough(node: MakeNode, training: MakeWorkload) -> None:
    found = assessed(training(tensor=4, data=3), [(node("a", leaf="l"), 6), (node("b", leaf="l"), 6)])
    assert (found.link_domain, found.crossing) == (6, (GroupKind.TENSOR,))


@pytest.mark.parametrize(
    ("racks", "link_domain", "level"),
    [
        pytest.param([("r1.0", 16)], 64, Level.NVLINK_DOMAIN, id="part of one rack"),
        pytest.param([("r1.0", 18), ("r2.0", 14)], 72, Level.SPINE, id="a whole rack and a part"),
        pytest.param([("r1.0", 14), ("r2.0", 18)], 56, Level.SPINE, id="part of a rack first"),
        pytest.param([("r1.0", 2), ("r2.0", 2)], 8, Level.SPINE, id="two small parts"),
    ],
)
def test_racks_share_links_over_nodes(
    node: MakeNode, training: MakeWorkload, racks: list[tuple[str, int]], link_domain: int, level: Level
) -> None:
    placed = [
        (node(f"{rack}{i}", rack=rack, spine="s", class_name="gb200-nvl-186gb", gpus=4), 4) for rack, count in racks for i in range(count)
    ]
    found = assessed(training("gb200-nvl-186gb", per_node=4, tensor=4, data=len(placed)), placed)
    assert (found.nvlink_domains, found.link_domain, found.level) == (len(racks), link_domain, level)


def test_a_rack_without_its_label_is_not_assumed(node: MakeNode, training: MakeWorkload) -> None:
    placed = [(node(f"n{i}", leaf="l", class_name="gb200-nvl-186gb", gpus=4), 4) for i in range(2)]
    found = assessed(training("gb200-nvl-186gb", per_node=4, tensor=8, data=1), placed)
    assert (found.nvlink_domains, found.link_domain, found.crossing, found.groups_inside) == (None, 4, (), None)
    assert "no nvlinkDomain label" in found.message


def test_bridged_pairs_are_the_domain_of_bridged_cards(node: MakeNode, training: MakeWorkload) -> None:
    found = assessed(training("h100-nvl-94gb", tensor=2, data=4), [(node("a", class_name="h100-nvl-94gb"), 8)])
    assert (found.link_domain, found.level) == (2, Level.NODE)


def test_a_level_that_some_nodes_lack_is_unknown(node: MakeNode, training: MakeWorkload) -> None:
    found = assessed(training(tensor=8, data=2), [(node("a", leaf="l1", spine="s"), 8), (node("b", spine="s"), 8)])
    assert (found.leaves, found.spines, found.level) == (None, 1, Level.SPINE)
    assert "leaves unknown" in found.message
    assert found.groups_inside is True
    wide = assessed(training(tensor=16), [(node("a", leaf="l1", spine="s"), 8), (node("b", spine="s"), 8)])
    assert wide.groups_inside is None


def test_pods_on_one_node_count_as_one(node: MakeNode, serving: MakeWorkload) -> None:
    one = node("a")
    found = assessed(serving(tensor=4), [(one, 1)] * 4)
    assert (found.nodes, found.gpus, found.link_domain, found.level) == (1, 4, 4, Level.NODE)


def test_nothing_placed_and_nothing_labelled_are_missing(node: MakeNode, training: MakeWorkload) -> None:
    nothing = spread(training(tensor=8), [], KEYS)
    assert isinstance(nothing, Missing)
    assert nothing.reason is Reason.NOT_RUNNING
    unlabelled = spread(training(tensor=8, data=2), [(node("a"), 8), (node("b"), 8)], KEYS)
    assert isinstance(unlabelled, Missing)
    assert unlabelled.reason is Reason.UNKNOWN_TOPOLOGY
