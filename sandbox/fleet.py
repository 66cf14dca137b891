"""The simulated fleet: nodes with the labels that real systems set, from `data/fleet.yaml`, as manifests for the API server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sandbox.controlplane import NODE_SELECTOR, ControlPlane

__all__ = ["FLEET", "Pool", "create_nodes", "node_manifests", "read_pools"]

FLEET = Path(__file__).resolve().parent / "data" / "fleet.yaml"
HOST = {"cpu": "192", "memory": "2Ti", "ephemeral-storage": "10Ti", "pods": "110"}
READY_SECONDS = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Alike nodes. `groups` says how many consecutive nodes share a value that the labels mention (`leaf: 8`)."""

    name: str
    nodes: int
    resources: Mapping[str, int]
    labels: Mapping[str, str]
    groups: Mapping[str, int]

    def label_values(self, index: int) -> dict[str, str]:
        """The labels of node `index`, with `{i}` and the group numbers (from 1) filled in."""
        numbers = {group: index // size + 1 for group, size in self.groups.items()}
        return {key: value.format(i=index, **numbers) for key, value in self.labels.items()}


def read_pools(path: Path = FLEET) -> tuple[Pool, ...]:
    document = yaml.safe_load(path.read_text())
    return tuple(
        Pool(
            name=pool["name"],
            nodes=pool["nodes"],
            resources=pool["resources"],
            labels=pool["labels"],
            groups=pool.get("groups", {}),
        )
        for pool in document["pools"]
    )


def node_manifests(pools: tuple[Pool, ...]) -> Iterator[dict[str, object]]:
    """One Node a machine, named `<pool>-<index>`, that kwok keeps alive and the scheduler sees as empty."""
    for pool in pools:
        for index in range(pool.nodes):
            name = f"{pool.name}-{index:02d}"
            resources = HOST | {resource: str(count) for resource, count in pool.resources.items()}
            labels = {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "arm64" if pool.name.startswith("gb") else "amd64",
                **NODE_SELECTOR,
                **pool.label_values(index),
            }
            yield {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
                "status": {"capacity": resources, "allocatable": resources},
            }


def create_nodes(plane: ControlPlane, pools: tuple[Pool, ...] | None = None) -> int:
    """Creates the nodes and returns how many when all are Ready and the scheduler may use them."""
    manifests = list(node_manifests(pools or read_pools()))
    plane.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))
    plane.supervisor.wait_until(
        "all nodes are Ready", lambda: _all_usable(plane, len(manifests)), seconds=READY_SECONDS, interval_seconds=0.5
    )
    return len(manifests)


def _all_usable(plane: ControlPlane, count: int) -> bool:
    # One list a round: `kubectl wait node --all` asks for each node by itself and throttles itself to many seconds.
    nodes = plane.get("nodes")["items"]
    return len(nodes) >= count and all(not node["spec"].get("taints") and _is_ready(node) for node in nodes)


def _is_ready(node: Mapping[str, Any]) -> bool:
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in node["status"].get("conditions", ()))
