"""Gates of Jobs and pods: which are ours and closed, and what opens them."""

import copy
from typing import Any

import pytest

from mfu.control.gates import GATE, ReleaseReason, held, released_as
from mfu.control.resources import Kind

CREATED = "2026-01-01T00:00:00Z"
CREATED_SECONDS = 1767225600.0
AFFINITY = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}


def job(**spec: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": "8"}}}]}}
    metadata = {
        "name": "train",
        "namespace": "team",
        "creationTimestamp": CREATED,
        "resourceVersion": "7",
        "labels": {"mfu.dev/workload": "train"},
        "annotations": {"mfu.dev/gated": "suspend"},
    }
    return {"metadata": metadata, "spec": {"suspend": True, "template": template, **spec}}


def pod(*gates: str) -> dict[str, Any]:
    containers = [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": "4"}}}]
    metadata = {"name": "serve", "namespace": "team", "creationTimestamp": CREATED}
    return {"metadata": metadata, "spec": {"containers": containers, "schedulingGates": [{"name": gate} for gate in gates]}}


def changed(body: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    body = copy.deepcopy(body)
    body["metadata"].update(metadata)
    return body


def test_a_job_that_our_policy_suspended_is_held_with_its_size() -> None:
    found = held(Kind.JOB, job(parallelism=4, completions=8))
    assert found is not None
    assert (found.pods, found.pod_devices, found.resource) == (4, 8, "nvidia.com/gpu")
    assert found.deadline_seconds(60.0) == CREATED_SECONDS + 60.0


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(job(suspend=False), id="running"),
        pytest.param(changed(job(), annotations={}), id="suspended by its owner"),
        pytest.param(changed(job(), annotations={"mfu.dev/gated": "suspend", "mfu.dev/admitted": "Admitted"}), id="suspended again later"),
        pytest.param(changed(job(), labels={"kueue.x-k8s.io/queue-name": "q"}), id="queued by Kueue"),
        pytest.param(changed(job(), deletionTimestamp=CREATED), id="being deleted"),
    ],
)
def test_any_other_job_is_left_alone(body: dict[str, Any]) -> None:
    assert held(Kind.JOB, body) is None


def test_a_job_is_opened_with_its_version_so_that_no_other_change_is_lost() -> None:
    found = held(Kind.JOB, job())
    assert found is not None
    assert found.patch(ReleaseReason.ADMITTED, AFFINITY) == {
        "metadata": {"annotations": {"mfu.dev/admitted": "Admitted"}, "resourceVersion": "7"},
        "spec": {"suspend": False, "template": {"spec": {"affinity": AFFINITY}}},
    }


def test_a_job_without_a_hint_keeps_its_template() -> None:
    found = held(Kind.JOB, job())
    assert found is not None
    patch = found.patch(ReleaseReason.GATE_TIMED_OUT)
    assert isinstance(patch, dict)
    assert patch["spec"] == {"suspend": False}


@pytest.mark.parametrize(
    ("gates", "place"), [((GATE,), 0), (("example.com/other", GATE), 1), ((GATE, "example.com/other"), 0)], ids=["alone", "last", "first"]
)
def test_a_pods_patch_tests_and_removes_only_our_gate(gates: tuple[str, ...], place: int) -> None:
    found = held(Kind.POD, pod(*gates))
    assert found is not None
    patch = found.patch(ReleaseReason.ADMITTED, AFFINITY)
    assert isinstance(patch, list)
    path = f"/spec/schedulingGates/{place}"
    assert patch[:2] == [{"op": "test", "path": f"{path}/name", "value": GATE}, {"op": "remove", "path": path}]
    assert patch[2] == {"op": "add", "path": "/spec/affinity", "value": AFFINITY}
    assert patch[3] == {"op": "add", "path": "/metadata/annotations", "value": {"mfu.dev/admitted": "Admitted"}}


def test_annotations_that_a_pod_has_are_kept() -> None:
    found = held(Kind.POD, changed(pod(GATE), annotations={"a": "b"}))
    assert found is not None
    patch = found.patch(ReleaseReason.BREAK_GLASS)
    assert isinstance(patch, list)
    assert patch[-1] == {"op": "add", "path": "/metadata/annotations/mfu.dev~1admitted", "value": "BreakGlass"}


def test_a_pod_without_our_gate_is_not_held() -> None:
    assert held(Kind.POD, pod("example.com/other")) is None
    assert held(Kind.POD, pod()) is None


def test_break_glass_is_read_from_the_object() -> None:
    found = held(Kind.JOB, changed(job(), annotations={"mfu.dev/gated": "suspend", "mfu.dev/skip-gate": "incident 42"}))
    assert found is not None
    assert found.skip_reason == "incident 42"


def test_the_reason_of_a_release_can_be_read_back() -> None:
    assert released_as(changed(job(), annotations={"mfu.dev/admitted": "GateTimedOut"})) == "GateTimedOut"
    assert released_as(pod()) == ""
