"""The simulated fleet carries what real label makers set."""

from collections import Counter
from typing import Any

import pytest

from sandbox.fleet import node_manifests, read_pools


@pytest.fixture(scope="module")
def nodes() -> list[dict[str, Any]]:
    return list(node_manifests(read_pools()))


def _with(nodes: list[dict[str, Any]], key: str, value: str) -> list[dict[str, Any]]:
    return [node for node in nodes if node["metadata"]["labels"].get(key) == value]


def test_there_are_at_least_forty_accelerator_nodes(nodes: list[dict[str, Any]]) -> None:
    resources = [node["status"]["allocatable"] for node in nodes]
    assert sum(any(key.startswith(("nvidia.com/", "amd.com/")) for key in allocatable) for allocatable in resources) >= 40


def test_h100_nodes_stand_behind_two_leaves_and_one_spine(nodes: list[dict[str, Any]]) -> None:
    h100 = _with(nodes, "nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3")
    leaves = Counter(node["metadata"]["labels"]["topology.k8s.aws/network-node-layer-3"] for node in h100)
    assert sorted(leaves.values()) == [10, 10]
    assert len({node["metadata"]["labels"]["topology.k8s.aws/network-node-layer-2"] for node in h100}) == 1


def test_the_nvl72_is_one_clique_of_eighteen_trays(nodes: list[dict[str, Any]]) -> None:
    gb200 = _with(nodes, "nvidia.com/gpu.product", "NVIDIA-GB200")
    assert len(gb200) == 18
    assert len({node["metadata"]["labels"]["nvidia.com/gpu.clique"] for node in gb200}) == 1
    assert sum(int(node["status"]["allocatable"]["nvidia.com/gpu"]) for node in gb200) == 72


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("nvidia.com/gpu.product", "NVIDIA-A100-SXM4-80GB"),
        ("nvidia.com/gpu.product", "NVIDIA-L40S"),
        ("amd.com/gpu.device-id", "74a1"),
        ("nvidia.com/mig.strategy", "mixed"),
    ],
)
def test_the_fleet_has_nodes_of_every_kind(nodes: list[dict[str, Any]], key: str, value: str) -> None:
    assert _with(nodes, key, value)


def test_names_are_unique_and_nodes_are_marked_as_simulated(nodes: list[dict[str, Any]]) -> None:
    names = [node["metadata"]["name"] for node in nodes]
    assert len(names) == len(set(names))
    assert all(node["metadata"]["labels"]["sandbox.mfu.dev/simulated"] == "true" for node in nodes)
