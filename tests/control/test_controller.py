"""The controller against the real API server, scheduler and Job controller."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.control.conftest import (
    LEAF,
    NODES,
    Operator,
    Process,
    eventually,
    held_job,
    held_pod,
    policy,
    workload,
)

pytestmark = pytest.mark.cluster

LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}


@pytest.fixture(scope="module")
def controller(operator: Operator) -> Iterator[Process]:
    process = operator.start_controller("controller")
    eventually("the controller leads", lambda: process.metric("mfu_operator_leader") == 1)
    yield process
    operator.end(process)


def leaves_of(operator: Operator, namespace: str, owner: str) -> set[str]:
    pods = [pod for pod in operator.items("pods", namespace) if pod["metadata"]["labels"].get("batch.kubernetes.io/job-name") == owner]
    return {f"leaf-{pod['spec']['nodeName'].split('-')[1]}" for pod in pods if pod["spec"].get("nodeName")}


def bound(operator: Operator, namespace: str, count: int) -> list[Any]:
    pods = [pod for pod in operator.items("pods", namespace) if pod["spec"].get("nodeName")]
    return pods if len(pods) == count else []


def condition(status: dict[str, Any], name: str) -> tuple[str, str]:
    return next(((c["status"], c["reason"]) for c in status.get("conditions") or () if c["type"] == name), ("", ""))


def test_an_intent_gets_its_expectation_without_any_pod(operator: Operator, controller: Process, clean: str) -> None:
    operator.apply(workload("intent", clean))
    status = operator.judged("intent", clean)
    assert status["expected"]["mfu"].endswith("%")
    assert status["verdict"]["decision"] == "Admitted"
    assert condition(status, "Accepted")[0] == "True"
    assert condition(status, "Observed") == ("False", "NotRunning")
    assert eventually("the event", lambda: "Admitted" in operator.reasons(clean, "intent"))


def test_the_object_keeps_no_trace_of_the_framework(operator: Operator, controller: Process, clean: str) -> None:
    operator.apply(workload("traces", clean))
    operator.judged("traces", clean)
    metadata = operator.get("modelworkload", "traces", clean)["metadata"]
    assert "finalizers" not in metadata
    assert not [name for name in metadata.get("annotations", {}) if "kopf" in name or name.startswith("mfu.dev/")]


def test_a_held_job_is_released_with_the_block_it_needs_and_the_scheduler_follows(
    operator: Operator, controller: Process, clean: str
) -> None:
    operator.apply(workload("train", clean), held_job("train", clean))
    job = eventually("the Job is released", lambda: (found := operator.get("job", "train", clean))["spec"]["suspend"] is False and found)
    assert job["metadata"]["annotations"]["mfu.dev/admitted"] == "Admitted"
    terms = job["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert LEAF in {expression["key"] for term in terms for expression in term["matchExpressions"]}
    eventually("both pods are bound", lambda: bound(operator, clean, 2))
    assert len(leaves_of(operator, clean, "train")) == 1
    status = eventually("placed", lambda: (s := operator.status("train", clean)).get("placement", {}).get("satisfied") and s)
    assert status["placement"]["required"] is True
    assert condition(status, "Placed")[0] == "True"


def test_two_gangs_released_together_do_not_get_the_same_block(operator: Operator, controller: Process, clean: str) -> None:
    accelerators = {"class": "h100-sxm-80gb", "count": 24, "perNode": 8}
    training = {
        "sequenceLength": 4096,
        "globalBatchSize": 96,
        "microBatchSize": 1,
        "parallelism": {"tensor": 8, "pipeline": 1, "data": 3},
    }
    names = ("first", "second")
    operator.apply(*(held_job(name, clean, pods=3) for name in names))
    operator.apply(*(workload(name, clean, accelerators=accelerators, training=training) for name in names))
    eventually("all pods are bound", lambda: bound(operator, clean, 6))
    first, second = (leaves_of(operator, clean, name) for name in names)
    assert len(first) == len(second) == 1
    assert first != second


def test_a_job_below_the_floor_is_held_until_the_policy_allows_it(operator: Operator, controller: Process, clean: str) -> None:
    operator.apply(policy("floor", clean, mode="Gate", floors=[{"modes": ["training"], "expectedMfu": "90%"}]))
    operator.apply(workload("slow", clean), held_job("slow", clean))
    status = eventually("held", lambda: (s := operator.status("slow", clean)).get("verdict", {}).get("decision") == "Held" and s)
    assert status["verdict"]["reason"] == "BelowExpectedMFUFloor"
    assert "90" in status["verdict"]["message"]
    assert condition(status, "Admitted")[0] == "False"
    assert operator.get("job", "slow", clean)["spec"]["suspend"] is True
    assert eventually("the event", lambda: "Held" in operator.reasons(clean, "slow"))
    blocked = eventually(
        "the policy counts it",
        lambda: (p := operator.get("mfupolicy", "floor")["status"]["wouldHaveBlocked"])["count"] == 1 and p,
    )
    assert blocked["lastNames"] == [f"{clean}/slow"]
    operator.apply(policy("floor", clean, mode="Observe", floors=[{"modes": ["training"], "expectedMfu": "90%"}]))
    eventually("released", lambda: operator.get("job", "slow", clean)["spec"]["suspend"] is False)


def test_a_held_job_is_released_when_its_deadline_passes(operator: Operator, controller: Process, clean: str) -> None:
    operator.apply(policy("floor", clean, mode="Gate", floors=[{"expectedMfu": "90%"}], hold={"maxSeconds": 4}))
    operator.apply(workload("late", clean), held_job("late", clean))
    job = eventually("released", lambda: (j := operator.get("job", "late", clean))["spec"]["suspend"] is False and j)
    assert job["metadata"]["annotations"]["mfu.dev/admitted"] == "GateTimedOut"
    assert eventually("the event", lambda: "GateTimedOut" in operator.reasons(clean, "late"))
    status = eventually("told", lambda: (s := operator.status("late", clean))["verdict"]["reason"] == "GateTimedOut" and s)
    assert status["verdict"]["decision"] == "Admitted"


def test_break_glass_on_the_job_opens_the_gate_at_once(operator: Operator, controller: Process, clean: str) -> None:
    operator.apply(policy("floor", clean, mode="Gate", floors=[{"expectedMfu": "90%"}]))
    operator.apply(workload("urgent", clean), held_job("urgent", clean))
    eventually("held", lambda: operator.status("urgent", clean).get("verdict", {}).get("decision") == "Held")
    operator.plane.kubectl("annotate", "job", "urgent", "--namespace", clean, "mfu.dev/skip-gate=incident 42")
    job = eventually("released", lambda: (j := operator.get("job", "urgent", clean))["spec"]["suspend"] is False and j)
    assert job["metadata"]["annotations"]["mfu.dev/admitted"] == "BreakGlass"
    assert eventually("the event", lambda: "BreakGlass" in operator.reasons(clean, "urgent"))


def test_a_job_waits_for_a_workload_that_does_not_exist_yet(operator: Operator, controller: Process, clean: str) -> None:
    operator.apply(held_job("early", clean))
    assert eventually("the event", lambda: "NoSuchWorkload" in operator.reasons(clean, "early"))
    assert operator.get("job", "early", clean)["spec"]["suspend"] is True
    operator.apply(workload("early", clean))
    eventually("released", lambda: operator.get("job", "early", clean)["spec"]["suspend"] is False)


def test_a_job_that_its_owner_suspended_is_left_alone(operator: Operator, controller: Process, clean: str) -> None:
    job = held_job("mine", clean)
    del job["metadata"]["annotations"]
    operator.apply(workload("mine", clean), job)
    operator.apply(workload("other", clean), held_job("other", clean))
    eventually("the other is released", lambda: operator.get("job", "other", clean)["spec"]["suspend"] is False)
    operator.judged("mine", clean)
    assert operator.get("job", "mine", clean)["spec"]["suspend"] is True


def test_of_a_pods_gates_only_ours_is_opened(operator: Operator, controller: Process, clean: str) -> None:
    operator.apply(workload("pods", clean))
    operator.apply(
        held_pod("pods-0", clean, of="pods"), held_pod("pods-1", clean, of="pods", gates=("example.com/other", "mfu.dev/admission"))
    )
    eventually("pods-0 is bound", lambda: operator.get("pod", "pods-0", clean)["spec"].get("nodeName"))
    other = eventually(
        "ours is gone", lambda: len((p := operator.get("pod", "pods-1", clean))["spec"].get("schedulingGates", [])) == 1 and p
    )
    assert other["spec"]["schedulingGates"] == [{"name": "example.com/other"}]
    assert other["spec"]["affinity"]["nodeAffinity"]


@pytest.mark.parametrize(
    ("changes", "token"),
    [
        pytest.param({"accelerators": {"class": "h1000-sxm", "count": 16, "perNode": 8}}, "h1000", id="unknown accelerator class"),
        pytest.param({"model": {"catalog": "lama-8b"}}, "lama-8b", id="unknown model"),
        pytest.param({"model": {"config": {"model_type": "llama"}}}, "hidden_size", id="config without dimensions"),
        pytest.param({"model": {"config": {**LLAMA, "hidden_size": -5}}}, "hidden_size", id="absurd config"),
        pytest.param({"model": {"configMapRef": {"name": "nowhere", "key": "config.json"}}}, "nowhere", id="no such ConfigMap"),
    ],
)
def test_a_broken_intent_says_so_and_stops_nobody(
    operator: Operator, controller: Process, clean: str, changes: dict[str, Any], token: str
) -> None:
    operator.apply(workload("broken", clean, **changes), workload("healthy", clean))
    status = operator.judged("broken", clean)
    accepted = next(c for c in status["conditions"] if c["type"] == "Accepted")
    assert accepted["status"] != "True"
    assert token in accepted["message"]
    assert status["expected"]["mfu"] == "unknown"
    assert operator.judged("healthy", clean)["expected"]["mfu"].endswith("%")


def test_a_node_without_labels_is_no_place_and_stops_nobody(operator: Operator, controller: Process, clean: str) -> None:
    bare = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "ctl-bare", "labels": {"sandbox.mfu.dev/simulated": "true"}},
        "status": {"capacity": {"nvidia.com/gpu": "8"}, "allocatable": {"nvidia.com/gpu": "8"}},
    }
    operator.apply(bare)
    try:
        operator.apply(workload("train", clean), held_job("train", clean))
        eventually("both pods are bound", lambda: bound(operator, clean, 2))
        assert {pod["spec"]["nodeName"] for pod in operator.items("pods", clean)} <= set(NODES)
    finally:
        operator.plane.kubectl("delete", "node", "ctl-bare")


def test_an_accelerator_class_is_used_and_a_wrong_one_is_named(operator: Operator, controller: Process, clean: str) -> None:
    ours = {
        "apiVersion": "mfu.dev/v1alpha1",
        "kind": "AcceleratorClass",
        "metadata": {"name": "our-h100"},
        "spec": {"extends": "h100-sxm-80gb"},
    }
    wrong = {**ours, "metadata": {"name": "no-base"}, "spec": {"extends": "h1000"}}
    operator.apply(ours, wrong)
    try:
        operator.apply(workload("classed", clean, accelerators={"class": "our-h100", "count": 16, "perNode": 8}))
        status = eventually("judged by our class", lambda: (s := operator.status("classed", clean))["expected"]["mfu"] != "unknown" and s)
        assert status["accelerators"]["class"] == "our-h100"
        wrong_status = eventually("the wrong one is named", lambda: operator.get("acceleratorclass", "no-base").get("status"))
        assert condition(wrong_status, "Accepted") == ("False", "Invalid")
        assert "h1000" in wrong_status["conditions"][0]["message"]
    finally:
        operator.plane.kubectl("delete", "acceleratorclasses", "--all")


def test_the_fleet_report_counts_what_pods_hold_also_without_intent(operator: Operator, controller: Process, clean: str) -> None:
    silent = held_pod("silent", clean, of="x", gpus=4)
    del silent["spec"]["schedulingGates"], silent["metadata"]["labels"]
    operator.apply(silent)
    report = eventually(
        "the report counts it",
        lambda: (r := operator.get("fleetreport", "fleet")["status"]["accelerators"])["allocated"] == 4 and r,
    )
    assert report["total"] == 8 * len(NODES)
    assert report["declared"] == 0
    assert controller.metric('mfu_fleet_accelerators{class="h100-sxm-80gb",state="allocated"}') == 4


def test_a_deleted_workload_takes_its_series_along(operator: Operator, controller: Process, clean: str) -> None:
    operator.apply(workload("gone", clean))
    operator.judged("gone", clean)
    series = f'mfu_workload_expected_ratio{{namespace="{clean}",workload="gone"}}'
    eventually("exported", lambda: controller.metric(series) > 0)
    operator.plane.kubectl("delete", "modelworkload", "gone", "--namespace", clean)
    eventually("gone", lambda: controller.metric(series) != controller.metric(series))
