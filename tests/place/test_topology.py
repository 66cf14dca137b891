"""Topology from node labels of several providers."""

from collections.abc import Callable

import pytest

from mfu.place.topology import Level, LevelKeys, Node, Topology

MakeNode = Callable[..., Node]
KEYS = LevelKeys()


def values(topology: Topology, level: Level) -> list[tuple[str, int]]:
    return sorted((domain.value, len(domain.nodes)) for domain in topology.domains[level])


@pytest.mark.parametrize(
    ("labels", "level", "key"),
    [
        (
            {"fabric.topograph.run/tier-0": "sw1", "topology.k8s.aws/network-node-layer-3": "nn-3"},
            Level.LEAF,
            "fabric.topograph.run/tier-0",
        ),
        ({"topology.k8s.aws/network-node-layer-3": "nn-3"}, Level.LEAF, "topology.k8s.aws/network-node-layer-3"),
        ({"network.topology.nvidia.com/spine": "s1"}, Level.SPINE, "network.topology.nvidia.com/spine"),
        ({"backend.coreweave.cloud/leafgroup": "3"}, Level.LEAF, "backend.coreweave.cloud/leafgroup"),
        ({"oci.oraclecloud.com/rdma.local_block_id": "x9"}, Level.LEAF, "oci.oraclecloud.com/rdma.local_block_id"),
        ({"ds.coreweave.com/nvlink.domain": "DH1-1"}, Level.NVLINK_DOMAIN, "ds.coreweave.com/nvlink.domain"),
        ({"topology.kubernetes.io/zone": "a"}, Level.ZONE, "topology.kubernetes.io/zone"),
    ],
)
def test_the_first_key_that_a_node_carries_is_used(node: MakeNode, labels: dict[str, str], level: Level, key: str) -> None:
    topology = Topology.of([node("n1", class_name="gb200-nvl-186gb", gpus=4, **labels)], KEYS)
    assert topology.used_keys(level) == (key,)


def test_a_providers_key_goes_first(node: MakeNode) -> None:
    keys = KEYS.with_overrides({"leaf": ["example.com/switch"], "nonsense": ["x"]})
    topology = Topology.of([node("n1", leaf="l1", **{"example.com/switch": "s7"}), node("n2", leaf="l1")], keys)
    assert sorted((domain.key, domain.value) for domain in topology.domains[Level.LEAF]) == [
        ("example.com/switch", "s7"),
        ("topology.k8s.aws/network-node-layer-3", "l1"),
    ]


@pytest.mark.parametrize("junk", ["none", "no-imds-data", "not-available", "", "NONE"])
def test_a_placeholder_value_is_no_label(node: MakeNode, junk: str) -> None:
    topology = Topology.of([node("n1", **{"oci.oraclecloud.com/rdma.local_block_id": junk})], KEYS)
    assert topology.domains[Level.LEAF] == ()


def test_equal_leaf_values_under_two_spines_are_two_leaves(node: MakeNode) -> None:
    topology = Topology.of([node("n1", leaf="1", spine="a"), node("n2", leaf="1", spine="b"), node("n3", leaf="1", spine="a")], KEYS)
    assert values(topology, Level.LEAF) == [("1", 1), ("1", 2)]


def test_a_clique_is_unique_whatever_is_above(node: MakeNode) -> None:
    nodes = [node(f"n{i}", rack="uuid.1", leaf=f"l{i}", class_name="gb200-nvl-186gb", gpus=4) for i in range(3)]
    assert values(Topology.of(nodes, KEYS), Level.NVLINK_DOMAIN) == [("uuid.1", 3)]


def test_a_block_label_is_a_rack_only_where_links_leave_the_node(node: MakeNode) -> None:
    label = {"cloud.google.com/gce-topology-subblock": "sb1"}
    h100 = Topology.of([node("n1", **label)], KEYS)
    assert (h100.domains[Level.NVLINK_DOMAIN], values(h100, Level.LEAF)) == ((), [("sb1", 1)])
    gb200 = Topology.of([node("n1", class_name="gb200-nvl-186gb", gpus=4, **label)], KEYS)
    assert values(gb200, Level.NVLINK_DOMAIN) == [("sb1", 1)]


def test_an_nvlink_domain_larger_than_its_switch_is_not_believed(node: MakeNode) -> None:
    nodes = [node(f"n{i}", rack="r.0", class_name="gb200-nvl-186gb", gpus=4) for i in range(20)]
    topology = Topology.of(nodes, KEYS)
    assert topology.domains[Level.NVLINK_DOMAIN] == ()
    assert "80 gb200-nvl-186gb" in topology.conflicts[0]


def test_unlabelled_nodes_are_in_no_domain_but_their_own(node: MakeNode) -> None:
    topology = Topology.of([node("n1"), node("n2", leaf="l1")], KEYS)
    assert set(topology.homes["n1"]) == {Level.NODE}
    assert set(topology.homes["n2"]) == {Level.NODE, Level.LEAF}


def test_cordoned_nodes_have_no_free_accelerators(node: MakeNode) -> None:
    topology = Topology.of([node("n1", leaf="l"), node("n2", leaf="l", schedulable=False)], KEYS)
    leaf = topology.domains[Level.LEAF][0]
    assert (leaf.free, leaf.total) == (8, 16)
