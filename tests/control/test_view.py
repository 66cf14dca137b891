"""What the nodes of a cluster offer to gangs."""

from typing import Any

import pytest

from mfu.control.allocation import Allocation
from mfu.control.resources import Key, Kind
from mfu.control.store import Store
from mfu.control.view import View
from mfu.place.topology import Node

H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"}
SHARED = {"nvidia.com/gpu.product": "NVIDIA-L40S-SHARED", "nvidia.com/gpu.count": "8", "nvidia.com/gpu.replicas": "4"}


def node(labels: dict[str, str], allocatable: dict[str, str]) -> dict[str, Any]:
    return {
        "metadata": {"name": "one", "uid": "1", "resourceVersion": "1", "labels": labels},
        "spec": {},
        "status": {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def pod(resource: str, count: int) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {"nodeName": "one", "containers": [{"name": "m", "resources": {"limits": {resource: str(count)}}}]},
        "status": {"phase": "Running"},
    }


def offered(body: dict[str, Any], *pods: dict[str, Any]) -> tuple[Node, ...]:
    store, allocation = Store(), Allocation()
    store.apply(Kind.NODE, body)
    for number, each in enumerate(pods):
        allocation.apply(Key(kind=Kind.POD, namespace="n", name=f"p{number}"), each)
    return View(store).nodes(allocation, 0.0)


@pytest.mark.parametrize(
    ("pods", "free"),
    [
        pytest.param((), 8, id="an empty node"),
        pytest.param((pod("nvidia.com/gpu", 1),), 7, id="one share makes its device no longer whole"),
        pytest.param((pod("nvidia.com/gpu", 4), pod("nvidia.com/gpu", 4)), 6, id="shares that fill two devices"),
        pytest.param((pod("nvidia.com/gpu", 32),), 0, id="all shares"),
    ],
)
def test_devices_that_are_offered_several_times_count_once(pods: tuple[dict[str, Any], ...], free: int) -> None:
    (found,) = offered(node(SHARED, {"nvidia.com/gpu": "32"}), *pods)
    assert (found.accelerator, found.allocatable, found.free) == ("l40s-48gb", 8, free)


def test_a_node_with_several_partitions_offers_each_of_them_and_its_whole_devices() -> None:
    body = node(H100, {"nvidia.com/gpu": "2", "nvidia.com/mig-1g.10gb": "14", "nvidia.com/mig-3g.40gb": "4"})
    found = offered(body, pod("nvidia.com/mig-1g.10gb", 3), pod("nvidia.com/gpu", 1))
    assert [(each.accelerator, each.allocatable, each.free) for each in found] == [
        ("h100-sxm-80gb/1g.10gb", 14, 11),
        ("h100-sxm-80gb/3g.40gb", 4, 4),
        ("h100-sxm-80gb", 2, 1),
    ]
