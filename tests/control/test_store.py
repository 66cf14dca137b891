"""The store, the marking and the allocation that follow from it."""

from typing import Any

import pytest

from mfu.control.allocation import Allocation, requested_devices
from mfu.control.marking import Marking
from mfu.control.resources import JsonObject, Key, Kind
from mfu.control.store import Store


def body(name: str, version: int, *, namespace: str = "team", uid: str = "u", **rest: Any) -> JsonObject:
    return {"metadata": {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": str(version)}, **rest}


def pod(name: str, version: int, *, of: str = "train", node: str | None = None, gpus: int = 8, phase: str = "Running") -> JsonObject:
    containers = [{"name": "main", "image": "x", "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}]
    found = body(name, version, uid=name, spec={"containers": containers, **({"nodeName": node} if node else {})}, status={"phase": phase})
    found["metadata"]["labels"] = {"mfu.dev/workload": of}
    return found


def workload_key(name: str = "train") -> Key:
    return Key(kind=Kind.WORKLOAD, namespace="team", name=name)


def test_an_older_version_never_replaces_a_newer_one() -> None:
    store = Store()
    store.apply(Kind.WORKLOAD, body("a", 12, spec={"new": True}))
    store.apply(Kind.WORKLOAD, body("a", 9, spec={"new": False}))
    stored = store.get(Key(kind=Kind.WORKLOAD, namespace="team", name="a"))
    assert stored is not None
    assert stored["spec"] == {"new": True}


def test_an_object_made_anew_under_the_same_name_replaces_the_old_one() -> None:
    store = Store()
    store.apply(Kind.WORKLOAD, body("a", 12, uid="old"))
    store.apply(Kind.WORKLOAD, body("a", 3, uid="new"))
    stored = store.get(Key(kind=Kind.WORKLOAD, namespace="team", name="a"))
    assert stored is not None
    assert stored["metadata"]["uid"] == "new"


def test_a_listener_hears_each_change_once() -> None:
    store = Store()
    heard: list[tuple[str, bool, bool]] = []
    store.subscribe(lambda key, before, after: heard.append((key.name, before is not None, after is not None)))
    store.apply(Kind.WORKLOAD, body("a", 1))
    store.apply(Kind.WORKLOAD, body("a", 1))
    store.apply(Kind.WORKLOAD, body("a", 2))
    store.remove(Key(kind=Kind.WORKLOAD, namespace="team", name="a"))
    store.remove(Key(kind=Kind.WORKLOAD, namespace="team", name="a"))
    assert heard == [("a", False, True), ("a", True, True), ("a", True, False)]


def test_an_event_of_the_watch_is_taken_over() -> None:
    store = Store()
    store.take(Kind.WORKLOAD, "", body("a", 1))
    store.take(Kind.WORKLOAD, "ADDED", body("b", 2))
    store.take(Kind.WORKLOAD, "DELETED", body("a", 3))
    assert [key.name for key in store.all(Kind.WORKLOAD)] == ["b"]


def test_a_fresh_list_drops_what_it_does_not_hold_but_not_what_came_meanwhile() -> None:
    store = Store()
    store.apply(Kind.WORKLOAD, body("kept", 1))
    store.apply(Kind.WORKLOAD, body("gone", 1))
    known = tuple(store.all(Kind.WORKLOAD))
    store.apply(Kind.WORKLOAD, body("newcomer", 5))
    store.replace_all(Kind.WORKLOAD, [body("kept", 1)], known)
    assert sorted(key.name for key in store.all(Kind.WORKLOAD)) == ["kept", "newcomer"]


def test_members_follow_the_label() -> None:
    store = Store()
    store.apply(Kind.POD, pod("p", 1))
    assert [key.name for key in store.member_keys(workload_key())] == ["p"]
    store.apply(Kind.POD, pod("p", 2, of="other"))
    assert store.member_keys(workload_key()) == ()
    assert [key.name for key in store.member_keys(workload_key("other"))] == ["p"]
    store.remove(Key(kind=Kind.POD, namespace="team", name="p"))
    assert store.member_keys(workload_key("other")) == ()


def test_what_the_operator_does_not_read_is_not_kept() -> None:
    store = Store()
    found = pod("p", 1)
    found["metadata"]["managedFields"] = ["long"]
    found["spec"]["volumes"] = ["long"]
    store.apply(Kind.POD, found)
    stored = store.get(Key(kind=Kind.POD, namespace="team", name="p"))
    assert stored is not None
    assert "managedFields" not in stored["metadata"]
    assert "volumes" not in stored["spec"]


@pytest.mark.parametrize(
    ("spec", "devices"),
    [
        pytest.param({"containers": [{"resources": {"limits": {"nvidia.com/gpu": "2"}}}] * 2}, {"nvidia.com/gpu": 4}, id="summed"),
        pytest.param({"containers": [{"resources": {"limits": {"cpu": "2"}}}]}, {}, id="none"),
        pytest.param({"containers": [{"resources": {"requests": {"amd.com/gpu": 8}}}]}, {"amd.com/gpu": 8}, id="requests only"),
        pytest.param(
            {
                "initContainers": [{"resources": {"limits": {"nvidia.com/gpu": "4"}}}],
                "containers": [{"resources": {"limits": {"nvidia.com/gpu": "1"}}}],
            },
            {"nvidia.com/gpu": 4},
            id="larger init container",
        ),
        pytest.param({"containers": [{"resources": {"limits": {"nvidia.com/gpu": "many"}}}]}, {}, id="nonsense"),
    ],
)
def test_devices_that_a_pod_asks_for(spec: JsonObject, devices: dict[str, int]) -> None:
    assert requested_devices(spec) == devices


def test_only_bound_and_unfinished_pods_hold_devices() -> None:
    allocation = Allocation()
    key = Key(kind=Kind.POD, namespace="team", name="p")
    allocation.apply(key, pod("p", 1))
    assert allocation.used("n", "nvidia.com/gpu") == 0
    allocation.apply(key, pod("p", 2, node="n"))
    assert allocation.used("n", "nvidia.com/gpu") == 8
    allocation.apply(key, pod("p", 3, node="n", phase="Succeeded"))
    assert allocation.used("n", "nvidia.com/gpu") == 0


def test_a_released_gang_counts_as_placed_until_its_pods_are_bound() -> None:
    allocation = Allocation()
    allocation.reserve(workload_key(), {"n": 8, "m": 8}, now=0.0)
    assert allocation.reserved(1.0) == {"n": 8, "m": 8}
    for name, node in (("p", "n"), ("q", "m")):
        allocation.apply(Key(kind=Kind.POD, namespace="team", name=name), pod(name, 1, node=node))
    assert not allocation.reserved(2.0)


def test_a_reservation_that_nobody_takes_up_ends() -> None:
    allocation = Allocation()
    allocation.reserve(workload_key(), {"n": 8}, now=0.0)
    assert not allocation.reserved(10_000.0)


def test_pods_bound_before_do_not_count_for_a_later_release() -> None:
    allocation = Allocation()
    allocation.apply(Key(kind=Kind.POD, namespace="team", name="p"), pod("p", 1, node="n"))
    allocation.reserve(workload_key(), {"m": 8}, now=0.0)
    assert allocation.reserved(1.0) == {"m": 8}


def marked(*changes: tuple[Kind, JsonObject]) -> list[str]:
    """What is marked by the last of these changes."""
    store = Store()
    added: list[str] = []
    Marking(store, Allocation(), lambda key, delay: added.append(str(key)))
    for kind, changed in changes:
        added.clear()
        store.apply(kind, changed)
    return sorted(added)


WORKLOAD = (Kind.WORKLOAD, body("train", 1, spec={"accelerators": {"class": "h100-sxm-80gb"}}))


def test_a_pod_marks_its_workload_even_when_that_does_not_exist() -> None:
    assert marked((Kind.POD, pod("p", 1))) == ["ModelWorkload team/train"]


def test_a_policys_spec_marks_every_workload_and_its_status_only_itself() -> None:
    policy = body("floor", 2, namespace="", spec={"mode": "Gate"})
    assert marked(WORKLOAD, (Kind.POLICY, policy)) == ["MFUPolicy floor", "ModelWorkload team/train"]
    written = body("floor", 3, namespace="", spec={"mode": "Gate"}, status={"matchedWorkloads": 1})
    assert marked(WORKLOAD, (Kind.POLICY, policy), (Kind.POLICY, written)) == ["MFUPolicy floor"]


def test_a_node_marks_the_workloads_on_it_unless_only_its_heartbeat_came() -> None:
    def node(version: int, **labels: str) -> tuple[Kind, JsonObject]:
        conditions = [{"type": "Ready", "status": "True", "lastHeartbeatTime": str(version)}]
        found = body("n", version, namespace="", status={"allocatable": {}, "conditions": conditions})
        found["metadata"]["labels"] = labels
        return Kind.NODE, found

    placed = (Kind.POD, pod("p", 1, node="n"))
    assert marked(node(1), placed, node(2, rack="r")) == ["ModelWorkload team/train"]
    assert marked(node(1), placed, node(2)) == []


def test_a_new_node_marks_the_workloads_that_leave_the_class_to_the_nodes() -> None:
    node = body("n", 1, namespace="", status={"allocatable": {"nvidia.com/gpu": "8"}, "conditions": []})
    anywhere = (Kind.WORKLOAD, body("anywhere", 1, spec={"accelerators": {"count": 8}}))
    assert marked(WORKLOAD, anywhere, (Kind.NODE, node)) == ["ModelWorkload team/anywhere"]


def test_a_namespaces_labels_mark_its_workloads() -> None:
    namespace = body("team", 2, namespace="")
    namespace["metadata"]["labels"] = {"tier": "gold"}
    assert marked(WORKLOAD, (Kind.NAMESPACE, body("team", 1, namespace="")), (Kind.NAMESPACE, namespace)) == ["ModelWorkload team/train"]
