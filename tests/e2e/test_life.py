"""What tenants and providers do to objects while they are held: each gives a clear state, and nothing stays stuck."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
import yaml

from sandbox.demo import Stage, raise_stage
from sandbox.fleet import read_pools
from sandbox.installation import NAMESPACE, RELEASE
from sandbox.kubelet import run_deployment
from sandbox.processes import Supervisor
from sandbox.toolchain import Tools

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

SECONDS = 30.0
WORKLOAD: dict[str, Any] = {
    "apiVersion": "mfu.dev/v1alpha1",
    "kind": "ModelWorkload",
    "metadata": {"name": "", "namespace": "default"},
    "spec": {
        "model": {"catalog": "llama-3.1-8b"},
        "precision": {"compute": "bf16"},
        "accelerators": {"class": "h100-sxm-80gb", "count": 16, "perNode": 8},
        "training": {"sequenceLength": 8192, "globalBatchSize": 64, "microBatchSize": 1, "sharding": "zero1"},
    },
}
FLOOR: dict[str, Any] = {
    "apiVersion": "mfu.dev/v1alpha1",
    "kind": "MFUPolicy",
    "metadata": {"name": "floor"},
    "spec": {"mode": "Gate", "floors": [{"modes": ["training"], "expectedMfu": "30%"}], "hold": {"maxSeconds": 600}},
}
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
def stage(tmp_path_factory: pytest.TempPathFactory, tools: Tools) -> Iterator[Stage]:
    pools = {pool.name: pool for pool in read_pools()}
    with Supervisor(tmp_path_factory.mktemp("life")) as supervisor:
        yield raise_stage(supervisor, tools, (pools["h100"], pools["cpu"]))


@pytest.fixture
def life(stage: Stage) -> Iterator[Stage]:
    """The stage with the floor in force; what the test declared is gone afterwards."""
    _apply(stage, FLOOR)
    yield stage
    stage.plane.kubectl("delete", "jobs,deployments,pods,modelworkloads", "--all", "--wait=false")
    log = stage.operator.controller.log.read_text()
    assert "Traceback" not in log, log[-2000:]


def _workload(name: str, *, good: bool, **spec: Any) -> dict[str, Any]:
    """Over the floor, or under it by tensor parallelism across nodes."""
    body = deepcopy(WORKLOAD)
    body["metadata"]["name"] = name
    body["spec"]["training"]["parallelism"] = {"tensor": 2, "data": 8} if good else {"tensor": 16, "data": 1}
    body["spec"] |= spec
    return body


def _job(name: str, of: str | None = None, namespace: str = "default", **annotations: str) -> dict[str, Any]:
    labels = {"mfu.dev/workload": of or name}
    container = {"name": "main", "image": "trainer", "resources": {"limits": {"nvidia.com/gpu": 8}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations},
        "spec": {
            "parallelism": 2,
            "completions": 2,
            "completionMode": "Indexed",
            "template": {"metadata": {"labels": labels}, "spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }


def _apply(stage: Stage, *bodies: dict[str, Any]) -> None:
    stage.plane.apply(yaml.safe_dump_all(bodies))


def _until(stage: Stage, what: str, holds: Callable[[], object]) -> None:
    stage.plane.supervisor.wait_until(what, lambda: bool(holds()), seconds=SECONDS, interval_seconds=0.2)


def _is_held(stage: Stage, job: str) -> bool:
    return bool(stage.plane.get("job", job)["spec"].get("suspend"))


def _verdict(stage: Stage, name: str) -> dict[str, str]:
    found: dict[str, str] = stage.plane.get("mw", name).get("status", {}).get("verdict", {})
    return found


def _told(stage: Stage, kind: str, name: str) -> dict[str, str]:
    """Reason → message of the Events on one object."""
    selector = f"involvedObject.kind={kind},involvedObject.name={name}"
    return {event["reason"]: event["message"] for event in stage.plane.get("events", "--field-selector", selector)["items"]}


def _held_pair(stage: Stage, name: str) -> None:
    _apply(stage, _workload(name, good=False), _job(name))
    _until(stage, f"{name} held", lambda: _verdict(stage, name).get("decision") == "Held" and "Held" in _told(stage, "Job", name))
    assert _is_held(stage, name)


def _released(stage: Stage, job: str, reason: str) -> None:
    _until(stage, f"{job} released", lambda: not _is_held(stage, job))
    assert stage.plane.get("job", job)["metadata"]["annotations"]["mfu.dev/admitted"] == reason
    _until(stage, f"{reason} told", lambda: reason in _told(stage, "Job", job))


def test_a_corrected_intent_lets_the_held_job_through(life: Stage) -> None:
    _held_pair(life, "corrected")
    _apply(life, _workload("corrected", good=True))
    _released(life, "corrected", "Admitted")
    assert _verdict(life, "corrected")["decision"] == "Admitted"


def test_a_job_before_its_workload_waits_for_it(life: Stage) -> None:
    _apply(life, _job("early"))
    _until(life, "NoSuchWorkload told", lambda: "NoSuchWorkload" in _told(life, "Job", "early"))
    assert _is_held(life, "early")
    _apply(life, _workload("early", good=True))
    _released(life, "early", "Admitted")


def test_a_workload_deleted_under_its_held_job_is_told_and_may_come_back_under_its_name(life: Stage) -> None:
    _held_pair(life, "gone")
    life.plane.kubectl("delete", "mw", "gone")
    _until(life, "NoSuchWorkload told", lambda: "NoSuchWorkload" in _told(life, "Job", "gone"))
    assert _is_held(life, "gone")
    _apply(life, _workload("gone", good=True))
    _released(life, "gone", "Admitted")


@pytest.mark.parametrize("change", ["Observe", "delete"])
def test_a_policy_that_no_longer_gates_lets_go_what_it_held(life: Stage, change: str) -> None:
    name = f"policy-{change.lower()}"
    _held_pair(life, name)
    if change == "delete":
        life.plane.kubectl("delete", "mfup", "floor")
    else:
        _apply(life, FLOOR | {"spec": FLOOR["spec"] | {"mode": "Observe"}})
    _released(life, name, "Admitted")


def test_a_policy_that_comes_after_the_job_stops_nothing_that_runs(life: Stage) -> None:
    life.plane.kubectl("delete", "mfup", "floor")
    _apply(life, _workload("running", good=False), _job("running"))
    _released(life, "running", "Admitted")
    _apply(life, FLOOR)
    _until(life, "the floor seen", lambda: _verdict(life, "running").get("reason") == "BelowExpectedMFUFloor")
    assert not _is_held(life, "running")


def test_breaking_the_glass_on_one_job_leaves_its_sibling_held(life: Stage) -> None:
    _held_pair(life, "glass")
    _apply(life, _job("glass-sibling", of="glass"))
    life.plane.kubectl("annotate", "job", "glass", "mfu.dev/skip-gate=demo in 10 minutes")
    _released(life, "glass", "BreakGlass")
    assert "demo in 10 minutes" in _told(life, "Job", "glass")["BreakGlass"]
    assert _is_held(life, "glass-sibling")
    life.plane.kubectl("annotate", "mw", "glass", "mfu.dev/skip-gate=all of it")
    _released(life, "glass-sibling", "BreakGlass")


def test_a_glass_broken_beforehand_and_a_namespace_without_gating_hold_nothing(life: Stage) -> None:
    _apply(life, _workload("before", good=False), _job("before", **{"mfu.dev/skip-gate": "now"}))
    life.plane.kubectl("create", "namespace", "ungated")
    life.plane.kubectl("label", "namespace", "ungated", "mfu.dev/gating=disabled")
    _apply(life, _job("free", namespace="ungated"))
    assert not _is_held(life, "before")
    free = life.plane.get("job", "free", "-n", "ungated")
    assert not free["spec"]["suspend"]
    assert "mfu.dev/gated" not in free["metadata"].get("annotations", {})


def test_a_held_job_that_loses_its_label_is_let_through(life: Stage) -> None:
    _held_pair(life, "unlabelled")
    # A Job without any label would get those of its pods again.
    life.plane.kubectl("label", "job", "unlabelled", "team=blue", "mfu.dev/workload-")
    _released(life, "unlabelled", "Unlabelled")


def test_a_held_job_that_changes_its_workload_gets_the_other_ones_verdict(life: Stage) -> None:
    _held_pair(life, "wrong")
    _apply(life, _workload("right", good=True))
    life.plane.kubectl("label", "job", "wrong", "mfu.dev/workload=right", "--overwrite")
    _released(life, "wrong", "Admitted")


def test_a_config_that_is_missing_is_said_and_read_when_it_comes(life: Stage) -> None:
    _apply(life, _workload("configured", good=True, model={"configMapRef": {"name": "cfg"}}))
    _until(life, "UnknownModel", lambda: "there is no ConfigMap default/cfg" in str(life.plane.get("mw", "configured").get("status")))
    _apply(
        life,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "cfg", "namespace": "default"},
            "data": {"config.json": json.dumps(LLAMA)},
        },
    )
    _until(life, "the config read", lambda: str(life.plane.get("mw", "configured")["status"]["expected"]["mfu"]).endswith("%"))


def test_a_class_of_the_providers_goes_before_the_built_in_one_and_gives_it_back(life: Stage) -> None:
    _held_pair(life, "capped")
    capped = {"extends": "h100-sxm-80gb", "peak": {"bf16": "100 TFLOP/s"}}
    _apply(life, {"apiVersion": "mfu.dev/v1alpha1", "kind": "AcceleratorClass", "metadata": {"name": "h100-sxm-80gb"}, "spec": capped})
    _released(life, "capped", "Admitted")
    life.plane.kubectl("delete", "accel", "h100-sxm-80gb")
    _until(life, "the built-in peak again", lambda: _verdict(life, "capped").get("reason") == "BelowExpectedMFUFloor")


def test_pods_of_a_deployment_pass_the_gate_as_it_is_scaled(life: Stage) -> None:
    serving = {"engine": {"name": "vllm"}, "inputTokens": 1024, "outputTokens": 128}
    body = _workload("serve", good=True, accelerators={"class": "h100-sxm-80gb", "count": 1}, inference=serving)
    del body["spec"]["training"]
    labels = {"app": "serve", "mfu.dev/workload": "serve"}
    container = {"name": "main", "image": "vllm", "resources": {"limits": {"nvidia.com/gpu": 1}}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "serve", "namespace": "default"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "serve"}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    _apply(life, body, deployment)
    for replicas in (2, 5, 0, 1):
        life.plane.kubectl("scale", "deployment", "serve", f"--replicas={replicas}")
        _until(life, f"{replicas} replicas", lambda count=replicas: _running(life) == count)


def _running(stage: Stage) -> int:
    pods = stage.plane.get("pods", "-l", "app=serve")["items"]
    return sum(pod["status"]["phase"] == "Running" for pod in pods) if all(pod["spec"].get("nodeName") for pod in pods) else -1


def test_with_webhook_and_controller_down_holds_survive_and_a_new_controller_lets_go(life: Stage) -> None:
    _held_pair(life, "outage")
    life.plane.supervisor.end(life.operator.webhook)
    life.plane.supervisor.end(life.operator.controller)
    _apply(life, _workload("outage", good=True), _workload("meanwhile", good=True), _job("meanwhile"))
    assert _is_held(life, "outage")
    assert _is_held(life, "meanwhile")
    again = run_deployment(life.plane, NAMESPACE, f"{RELEASE}-controller", replica=1)
    for name in ("outage", "meanwhile"):
        _released(life, name, "Admitted")
    assert "Traceback" not in again.log.read_text()
