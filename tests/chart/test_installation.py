"""The chart in a real cluster: what it holds, what it leaves alone, what its own accounts may not do, and what stays when it goes."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.cluster import CommandFailed
from sandbox.controlplane import NODE_SELECTOR, ControlPlane

pytestmark = pytest.mark.cluster

CHART = Path(__file__).resolve().parent.parent.parent / "charts" / "mfu-operator"
RELEASE = ("mfu-operator", str(CHART), "--namespace", "mfu-system")
OUTSIDE = ("--values", str(CHART / "ci" / "out-of-cluster-values.yaml"))
AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "topology.example.com/leaf", "operator": "In", "values": ["a"]}]}]
        }
    }
}


def job(
    name: str, *, labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None, suspend: bool | None = None
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "template": {
            "metadata": {"labels": labels or {}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "train", "image": "train:1"}]},
        }
    }
    if suspend is not None:
        spec["suspend"] = suspend
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels or {}, "annotations": annotations or {}},
        "spec": spec,
    }


def pod(name: str, *, labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}, "annotations": annotations or {}},
        "spec": {"containers": [{"name": "serve", "image": "serve:1"}], **spec},
    }


LABELLED = {"mfu.dev/workload": "llama"}
_numbers = itertools.count(1)


class Tenant:
    """One namespace of the cluster, as its owner and as the operator's account see it."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane = plane
        self.namespace = namespace

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        return json.loads(self.plane.kubectl("create", "-n", self.namespace, "-o", "json", "-f", "-", stdin=json.dumps(body)))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return json.loads(self.plane.kubectl("get", kind, name, "-n", self.namespace, "-o", "json"))

    def pods_of(self, name: str) -> list[dict[str, Any]]:
        found = self.plane.kubectl("get", "pods", "-n", self.namespace, "-l", f"batch.kubernetes.io/job-name={name}", "-o", "json")
        return list(json.loads(found)["items"])

    def patch_as_operator(self, kind: str, name: str, patch: object) -> None:
        """A patch with nothing but the token of the controller's ServiceAccount; CommandFailed says who refused it and why."""
        kubeconfig = self.plane.kubeconfig_for_service_account("mfu-system", "mfu-operator-controller")
        how = "json" if isinstance(patch, list) else "merge"
        arguments = ("patch", kind, name, "-n", self.namespace, "--type", how, "-p", json.dumps(patch))
        self.plane.kubectl("--kubeconfig", str(kubeconfig), *arguments)


@pytest.fixture(scope="module")
def installed(own_cluster: ControlPlane) -> ControlPlane:
    # Helm takes over no CRDs that somebody else applied.
    own_cluster.kubectl("delete", "crd", "--all", "--wait=true")
    own_cluster.helm("install", *RELEASE, "--create-namespace", *OUTSIDE, "--set", "gating.breakGlass.groups={gpu-oncall,system:masters}")
    wait_for_policies(own_cluster)
    return own_cluster


def wait_for_policies(plane: ControlPlane) -> None:
    """The API server takes a moment to act on new admission policies."""
    probe = json.dumps(job("probe", labels=LABELLED))

    def acts() -> bool:
        answer = json.loads(plane.kubectl("create", "-n", "default", "--dry-run=server", "-o", "json", "-f", "-", stdin=probe))
        return bool(answer["spec"]["suspend"])

    plane.supervisor.wait_until("the admission policies act", acts, seconds=30)


@pytest.fixture
def tenant(installed: ControlPlane) -> Tenant:
    name = f"tenant-{next(_numbers)}"
    installed.kubectl("create", "namespace", name)
    installed.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=30s")
    return Tenant(installed, name)


def test_a_labelled_job_is_created_suspended_and_starts_no_pod(tenant):
    created = tenant.create(job("held", labels=LABELLED))
    assert created["spec"]["suspend"] is True
    assert created["metadata"]["annotations"]["mfu.dev/gated"] == "suspend"
    tenant.plane.kubectl("wait", "--for=condition=Suspended", "job/held", "-n", tenant.namespace, "--timeout=30s")
    assert tenant.pods_of("held") == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(job("free"), id="a Job without the label"),
        pytest.param(
            job("glass", labels=LABELLED, annotations={"mfu.dev/skip-gate": "deadline"}), id="a Job with the break-glass annotation"
        ),
        pytest.param(job("queued", labels={**LABELLED, "kueue.x-k8s.io/queue-name": "q"}), id="a Job that Kueue queues"),
    ],
)
def test_a_job_that_is_not_ours_to_hold_starts_as_it_was_written(tenant, body):
    created = tenant.create(body)
    assert created["spec"]["suspend"] is False
    assert "mfu.dev/gated" not in created["metadata"].get("annotations", {})


def test_a_job_that_its_author_suspended_stays_the_authors(tenant):
    created = tenant.create(job("mine", labels=LABELLED, suspend=True))
    assert created["spec"]["suspend"] is True
    assert "mfu.dev/gated" not in created["metadata"].get("annotations", {})


def test_a_labelled_pod_gets_our_gate_beside_those_it_brought(tenant):
    assert tenant.create(pod("bare", labels=LABELLED))["spec"]["schedulingGates"] == [{"name": "mfu.dev/admission"}]
    other = tenant.create(pod("shared", labels=LABELLED, schedulingGates=[{"name": "example.com/quota"}]))
    assert {gate["name"] for gate in other["spec"]["schedulingGates"]} == {"example.com/quota", "mfu.dev/admission"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(pod("free"), id="a pod without the label"),
        pytest.param(
            pod("glass", labels=LABELLED, annotations={"mfu.dev/skip-gate": "deadline"}), id="a pod with the break-glass annotation"
        ),
        pytest.param(pod("bound", labels=LABELLED, nodeName="somewhere"), id="a pod that names its node"),
    ],
)
def test_a_pod_that_is_not_ours_to_hold_gets_no_gate(tenant, body):
    assert "schedulingGates" not in tenant.create(body)["spec"]


def test_nothing_is_held_in_a_namespace_that_opted_out(tenant):
    tenant.plane.kubectl("label", "namespace", tenant.namespace, "mfu.dev/gating=disabled")
    tenant.plane.supervisor.wait_until(
        "the opt-out is seen",
        lambda: (
            not json.loads(
                tenant.plane.kubectl(
                    "create",
                    "-n",
                    tenant.namespace,
                    "--dry-run=server",
                    "-o",
                    "json",
                    "-f",
                    "-",
                    stdin=json.dumps(job("probe", labels=LABELLED)),
                )
            )["spec"]["suspend"]
        ),
        seconds=30,
    )
    assert "schedulingGates" not in tenant.create(pod("bare", labels=LABELLED))["spec"]


def test_the_operator_resumes_a_job_it_held_with_a_hint_and_the_pods_are_not_held_again(tenant):
    tenant.create(job("train", labels=LABELLED))
    release = {
        "metadata": {"annotations": {"mfu.dev/admitted": "Admitted"}},
        "spec": {"suspend": False, "template": {"spec": {"affinity": AFFINITY}}},
    }
    tenant.patch_as_operator("job", "train", release)
    tenant.plane.supervisor.wait_until("the Job's pod exists", lambda: bool(tenant.pods_of("train")), seconds=30)
    (started,) = tenant.pods_of("train")
    assert "schedulingGates" not in started["spec"]
    assert started["spec"]["affinity"] == AFFINITY


def test_the_operator_opens_its_gate_on_a_pod_and_leaves_the_others_gate(tenant):
    created = tenant.create(pod("serve", labels=LABELLED, schedulingGates=[{"name": "example.com/quota"}]))
    position = [gate["name"] for gate in created["spec"]["schedulingGates"]].index("mfu.dev/admission")
    place = f"/spec/schedulingGates/{position}"
    tenant.patch_as_operator(
        "pod",
        "serve",
        [
            {"op": "test", "path": f"{place}/name", "value": "mfu.dev/admission"},
            {"op": "remove", "path": place},
            {"op": "add", "path": "/spec/affinity", "value": AFFINITY},
            {"op": "add", "path": "/metadata/annotations", "value": {"mfu.dev/admitted": "Admitted"}},
        ],
    )
    opened = tenant.get("pod", "serve")
    assert opened["spec"]["schedulingGates"] == [{"name": "example.com/quota"}]
    assert opened["spec"]["affinity"] == AFFINITY


JOB_TEMPLATE = "/spec/template/spec"


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        pytest.param({"spec": {"parallelism": 7}}, "only change suspend and the pods' affinity", id="parallelism"),
        pytest.param({"spec": {"activeDeadlineSeconds": 1}}, "only change suspend and the pods' affinity", id="deadline"),
        pytest.param([{"op": "replace", "path": f"{JOB_TEMPLATE}/containers/0/image", "value": "evil:1"}], "invalid", id="image"),
        pytest.param(
            [{"op": "add", "path": f"{JOB_TEMPLATE}/tolerations", "value": [{"operator": "Exists"}]}],
            "only change the affinity",
            id="tolerations",
        ),
        pytest.param(
            [{"op": "add", "path": f"{JOB_TEMPLATE}/nodeSelector", "value": {"a": "b"}}], "only change the affinity", id="node selector"
        ),
        pytest.param({"metadata": {"labels": {"team": "other"}}}, "may not change labels", id="labels"),
        pytest.param({"metadata": {"finalizers": ["example.com/stay"]}}, "may not change labels, finalizers", id="finalizers"),
        pytest.param({"metadata": {"annotations": {"example.com/a": "b"}}}, "only change annotations under mfu.dev/", id="annotations"),
        pytest.param(
            {"metadata": {"annotations": {"example.com/theirs": None}}}, "only change annotations under mfu.dev/", id="annotation removed"
        ),
    ],
)
def test_the_operators_account_may_change_nothing_else_on_a_job(tenant, patch, said):
    tenant.create(job("train", labels=LABELLED, annotations={"example.com/theirs": "yes"}))
    with pytest.raises(CommandFailed) as refusal:
        tenant.patch_as_operator("job", "train", patch)
    assert said in refusal.value.stderr


def test_the_operators_account_may_not_suspend_a_job_nor_resume_anothers(tenant):
    tenant.create(job("running"))
    tenant.create(job("mine", labels=LABELLED, suspend=True))
    for name, suspend in (("running", True), ("mine", False)):
        with pytest.raises(CommandFailed) as refusal:
            tenant.patch_as_operator("job", name, {"spec": {"suspend": suspend}})
        assert "may only resume a Job that its gate suspended" in refusal.value.stderr


def test_a_job_that_was_released_and_suspended_again_is_its_owners_to_resume(tenant):
    tenant.create(job("train", labels=LABELLED))
    tenant.patch_as_operator("job", "train", {"metadata": {"annotations": {"mfu.dev/admitted": "Admitted"}}, "spec": {"suspend": False}})
    tenant.plane.kubectl("patch", "job", "train", "-n", tenant.namespace, "--type", "merge", "-p", '{"spec":{"suspend":true}}')
    with pytest.raises(CommandFailed) as refusal:
        tenant.patch_as_operator("job", "train", {"spec": {"suspend": False}})
    assert "and only once" in refusal.value.stderr


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        pytest.param([{"op": "replace", "path": "/spec/containers/0/image", "value": "evil:1"}], "affinity and its own gate", id="image"),
        pytest.param([{"op": "remove", "path": "/spec/schedulingGates/0"}], "its own scheduling gate", id="another's gate"),
        pytest.param([{"op": "add", "path": "/metadata/labels/team", "value": "other"}], "may not change labels", id="labels"),
        pytest.param(
            [{"op": "add", "path": "/spec/affinity", "value": AFFINITY}], "that its own gate holds", id="affinity of a pod not ours"
        ),
    ],
)
def test_the_operators_account_may_change_nothing_else_on_a_pod(tenant, patch, said):
    tenant.create(pod("theirs", labels={"app": "x"}, schedulingGates=[{"name": "example.com/quota"}]))
    with pytest.raises(CommandFailed) as refusal:
        tenant.patch_as_operator("pod", "theirs", patch)
    assert said in refusal.value.stderr


def test_the_self_restraint_binds_nobody_else(tenant):
    tenant.create(job("train", labels=LABELLED))
    tenant.plane.kubectl("patch", "job", "train", "-n", tenant.namespace, "--type", "merge", "-p", '{"spec":{"parallelism":2}}')
    assert tenant.get("job", "train")["spec"]["parallelism"] == 2


def test_only_members_of_the_named_groups_may_break_the_glass(tenant):
    tenant.plane.kubectl(
        "create", "rolebinding", "editors", "-n", tenant.namespace, "--clusterrole=edit", "--group=research", "--group=gpu-oncall"
    )
    tenant.create(job("train", labels=LABELLED))
    annotate = ("annotate", "job", "train", "-n", tenant.namespace, "mfu.dev/skip-gate=now", "--as=ada")
    with pytest.raises(CommandFailed) as refusal:
        tenant.plane.kubectl(*annotate, "--as-group=research")
    assert "is for members of gpu-oncall, system:masters" in refusal.value.stderr
    tenant.plane.kubectl(*annotate, "--as-group=gpu-oncall")
    # Who may not set it may still change everything else of an object that has it.
    tenant.plane.kubectl("label", "job", "train", "-n", tenant.namespace, "team=a", "--as=ada", "--as-group=research")
    body = json.dumps(pod("serve", labels=LABELLED, annotations={"mfu.dev/skip-gate": "now"}))
    with pytest.raises(CommandFailed) as refusal:
        tenant.plane.kubectl("create", "-n", tenant.namespace, "-f", "-", "--as=ada", "--as-group=research", stdin=body)
    assert "is for members of gpu-oncall" in refusal.value.stderr


def test_who_may_edit_a_namespace_may_declare_workloads_there_and_no_more(tenant):
    tenant.plane.kubectl("create", "rolebinding", "editors", "-n", tenant.namespace, "--clusterrole=edit", "--user=ada")

    def may(*action: str) -> bool:
        try:
            return tenant.plane.kubectl("auth", "can-i", *action, "-n", tenant.namespace, "--as=ada").strip() == "yes"
        except CommandFailed:
            return False

    tenant.plane.supervisor.wait_until("the roles are aggregated", lambda: may("create", "modelworkloads.mfu.dev"), seconds=30)
    assert may("get", "modelworkloads.mfu.dev")
    assert not may("patch", "modelworkloads.mfu.dev", "--subresource=status")
    assert not may("create", "mfupolicies.mfu.dev")


def test_the_uninstall_hook_opens_every_gate_of_ours_with_its_own_rights(tenant, chart):
    hooks = [body for body in chart.render() if body["metadata"]["name"] == "mfu-operator-release-holds" and body["kind"] != "Job"]
    manifests = "\n---\n".join(json.dumps(body) for body in hooks)
    tenant.create(job("train", labels=LABELLED))
    tenant.create(job("mine", labels=LABELLED, suspend=True))
    tenant.create(pod("serve", labels=LABELLED, schedulingGates=[{"name": "example.com/quota"}]))
    tenant.plane.apply(manifests)
    account = tenant.plane.kubeconfig_for_service_account("mfu-system", "mfu-operator-release-holds")
    environment = {**os.environ, "KUBECONFIG": str(account), "PYTHONPATH": str(CHART.parent.parent / "operator")}
    command = [sys.executable, "-m", "mfu", "run", "release-holds"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)
    tenant.plane.kubectl("delete", "-f", "-", stdin=manifests)
    assert done.returncode == 0, done.stderr
    assert tenant.get("job", "train")["spec"]["suspend"] is False
    assert tenant.get("job", "mine")["spec"]["suspend"] is True
    assert tenant.get("pod", "serve")["spec"]["schedulingGates"] == [{"name": "example.com/quota"}]
    assert tenant.plane.forbidden_requests(user="system:serviceaccount:mfu-system:mfu-operator-release-holds") == []


def test_the_whole_life_of_a_release(own_cluster, tmp_path):
    """Runs last in this file: it takes the release away."""
    plane = own_cluster
    if "mfu-operator" in plane.helm("list", "--all-namespaces", "--short"):
        plane.helm("uninstall", "mfu-operator", "--namespace", "mfu-system", "--wait")
    plane.kubectl("delete", "crd", "--all", "--wait=true")
    room = {"cpu": "16", "memory": "64Gi", "pods": "110"}
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "system-1", "labels": {**NODE_SELECTOR, "kubernetes.io/hostname": "system-1"}},
    }
    plane.apply(json.dumps({**node, "status": {"capacity": room, "allocatable": room}}))
    values = tmp_path / "values.yaml"
    values.write_text(
        json.dumps(
            {
                "policies": [{"name": "floor", "spec": {"mode": "Observe", "floors": [{"modes": ["training"], "expectedMfu": "30%"}]}}],
                "accelerators": [{"name": "h100-ours", "spec": {"extends": "h100-sxm-80gb", "pricePerHour": "$3.10"}}],
                # Without a kubelet the hook's pod is simulated: it ends by itself after a second.
                "gating": {"releaseHolds": {"podAnnotations": {"sandbox.mfu.dev/completes-after": "1s"}}},
            }
        )
    )
    # The installation that brings the CRDs also brings objects of their kinds.
    notes = plane.helm("install", *RELEASE, "--create-namespace", "--values", str(values))
    assert "prometheus.url is not set" in notes
    assert "rollout status deployment/mfu-operator-controller" in notes
    assert plane.kubectl("get", "mfup,accel", "-o", "name").split() == ["mfupolicy.mfu.dev/floor", "acceleratorclass.mfu.dev/h100-ours"]
    certificate = plane.kubectl("get", "secret", "mfu-operator-webhook-tls", "-n", "mfu-system", "-o", "jsonpath={.data}")

    plane.helm("upgrade", *RELEASE, "--values", str(values), "--set", "logFormat=plain")
    assert plane.kubectl("get", "secret", "mfu-operator-webhook-tls", "-n", "mfu-system", "-o", "jsonpath={.data}") == certificate
    assert "mfupolicy.mfu.dev/floor" in plane.kubectl("get", "mfup", "-o", "name")

    plane.helm("uninstall", "mfu-operator", "--namespace", "mfu-system", "--wait")
    events = json.loads(
        plane.kubectl("get", "events", "-n", "mfu-system", "--field-selector=involvedObject.kind=Job,reason=Completed", "-o", "json")
    )
    assert len({event["involvedObject"]["uid"] for event in events["items"]}) == 2, "the hook runs before and after the uninstall"
    kinds = [kind for kind in plane.kubectl("api-resources", "--verbs=list,delete", "-o", "name").split() if kind != "events.events.k8s.io"]
    selector = ("-l", "app.kubernetes.io/instance=mfu-operator")
    left = plane.kubectl("get", ",".join(kinds), "--all-namespaces", *selector, "-o", "name", "--ignore-not-found").split()
    assert left == []
    kept = plane.kubectl("get", "crd", "-o", "name").split()
    assert len(kept) == 4
    assert all(name.endswith(".mfu.dev") for name in kept)
    # And with the CRDs still there it can be installed again.
    plane.helm("install", *RELEASE, *OUTSIDE)
