"""The local control plane is a real one."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import yaml

from sandbox import audit
from sandbox.cluster import Cluster, CommandFailed
from sandbox.controlplane import NODE_SELECTOR, ControlPlane

pytestmark = pytest.mark.cluster

CAPACITY = {"cpu": "192", "memory": "2Ti", "pods": "110", "nvidia.com/gpu": "8"}


@pytest.fixture(scope="module")
def gpu_node(control_plane: ControlPlane) -> str:
    name = "sandbox-test-gpu"
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**NODE_SELECTOR, "kubernetes.io/hostname": name}},
        "status": {"capacity": CAPACITY, "allocatable": CAPACITY},
    }
    control_plane.apply(yaml.safe_dump(node))
    control_plane.kubectl("wait", "--for=condition=Ready", f"node/{name}", "--timeout=30s")
    return name


def wait_until(plane: ControlPlane, what: str, condition: Callable[[], bool]) -> None:
    plane.supervisor.wait_until(what, condition, seconds=30, interval_seconds=0.2)


def job(name: str, *, gpus: int, node: str, annotations: dict[str, str] | None = None) -> str:
    container = {"name": "trainer", "image": "trainer", "resources": {"limits": {"nvidia.com/gpu": gpus}}}
    spec = {"restartPolicy": "Never", "containers": [container], "nodeSelector": {"kubernetes.io/hostname": node}}
    template = {"metadata": {"annotations": annotations or {}}, "spec": spec}
    return yaml.safe_dump({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template}})


def test_all_programs_say_the_pinned_kubernetes_version(control_plane: ControlPlane) -> None:
    versions = json.loads(control_plane.kubectl("version", "-o", "json"))
    assert versions["serverVersion"]["gitVersion"] == versions["clientVersion"]["gitVersion"]
    assert (versions["serverVersion"]["major"], versions["serverVersion"]["minor"]) == ("1", "36")


def test_helm_renders_for_the_version_of_the_cluster(control_plane: ControlPlane, tmp_path: Path) -> None:
    chart = {"apiVersion": "v2", "name": "tiny", "version": "0.1.0", "kubeVersion": ">=1.36-0"}
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(chart))
    (tmp_path / "templates" / "version.yaml").write_text("version: {{ .Capabilities.KubeVersion.Minor | quote }}\n")
    assert 'version: "36"' in control_plane.helm("template", str(tmp_path))
    assert control_plane.helm("list", "--all-namespaces", "-o", "json").strip() == "[]"


def test_admission_policies_of_both_kinds_are_served(control_plane: ControlPlane) -> None:
    resources = control_plane.kubectl("api-resources", "--api-group=admissionregistration.k8s.io", "-o", "name")
    assert {"mutatingadmissionpolicies.admissionregistration.k8s.io", "validatingadmissionpolicies.admissionregistration.k8s.io"} <= set(
        resources.split()
    )


def test_kwok_makes_a_gpu_node_ready_and_the_controller_manager_opens_it(control_plane: ControlPlane, gpu_node: str) -> None:
    wait_until(control_plane, "the node is untainted", lambda: "taints" not in control_plane.get("node", gpu_node)["spec"])
    status = control_plane.get("node", gpu_node)["status"]
    assert status["allocatable"]["nvidia.com/gpu"] == "8"
    assert {"type": "Hostname", "address": gpu_node} in status["addresses"]
    control_plane.kubectl("get", "lease", gpu_node, "--namespace", "kube-node-lease")


def test_the_scheduler_places_a_pod_that_wants_gpus_and_it_runs(control_plane: ControlPlane, gpu_node: str, namespace: str) -> None:
    control_plane.apply(job("train", gpus=8, node=gpu_node), "--namespace", namespace)
    control_plane.kubectl("wait", "--for=condition=Ready", "pod", "-l", "job-name=train", "-n", namespace, "--timeout=30s")
    (pod,) = control_plane.get("pods", "-n", namespace)["items"]
    assert (pod["spec"]["nodeName"], pod["status"]["phase"]) == (gpu_node, "Running")
    assert pod["status"]["podIP"].startswith("10.")

    control_plane.apply(job("second", gpus=1, node=gpu_node), "--namespace", namespace)

    def refused() -> bool:
        events = control_plane.kubectl("events", "-n", namespace, "--types=Warning")
        return "FailedScheduling" in events and "Insufficient nvidia.com/gpu" in events

    wait_until(control_plane, "the scheduler says that the node is full", refused)


def test_a_suspended_job_loses_its_pods_and_gets_new_ones_when_resumed(control_plane: ControlPlane, gpu_node: str, namespace: str) -> None:
    def pods() -> list[str]:
        return [pod["metadata"]["uid"] for pod in control_plane.get("pods", "-n", namespace)["items"]]

    control_plane.apply(job("train", gpus=1, node=gpu_node), "--namespace", namespace)
    control_plane.kubectl("wait", "--for=condition=Ready", "pod", "-l", "job-name=train", "-n", namespace, "--timeout=30s")
    before = pods()
    control_plane.kubectl("patch", "job/train", "-n", namespace, "--type=merge", "-p", '{"spec":{"suspend":true}}')
    wait_until(control_plane, "the pod is gone", lambda: pods() == [])
    control_plane.kubectl("patch", "job/train", "-n", namespace, "--type=merge", "-p", '{"spec":{"suspend":false}}')
    wait_until(control_plane, "a new pod is there", lambda: len(pods()) == 1)
    assert pods() != before


def test_a_job_completes_only_when_its_pods_say_so(control_plane: ControlPlane, gpu_node: str, namespace: str) -> None:
    manifests = [
        job("endless", gpus=0, node=gpu_node),
        job("short", gpus=0, node=gpu_node, annotations={"sandbox.mfu.dev/completes-after": "1s"}),
    ]
    control_plane.apply("---\n".join(manifests), "--namespace", namespace)
    control_plane.kubectl("wait", "--for=condition=Complete", "job/short", "-n", namespace, "--timeout=30s")
    assert control_plane.get("job/endless", "-n", namespace)["status"].get("succeeded") is None


def test_deleting_a_deployment_collects_its_pods(control_plane: ControlPlane, gpu_node: str, namespace: str) -> None:
    control_plane.kubectl("create", "deployment", "server", "--image=server", "--replicas=2", "-n", namespace)
    control_plane.kubectl("wait", "--for=condition=Available", "deployment/server", "-n", namespace, "--timeout=30s")
    control_plane.kubectl("delete", "deployment/server", "-n", namespace)
    wait_until(control_plane, "the pods are gone", lambda: control_plane.get("pods", "-n", namespace)["items"] == [])


def test_an_unprivileged_service_account_is_refused_and_that_is_audited(control_plane: ControlPlane, namespace: str) -> None:
    kubeconfig = control_plane.kubeconfig_for_service_account(namespace, "default")
    tenant = Cluster(tools=control_plane.tools, kubeconfig=kubeconfig, folder=control_plane.folder)
    user = f"system:serviceaccount:{namespace}:default"
    assert json.loads(tenant.kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"] == user
    with pytest.raises(CommandFailed, match="nodes is forbidden"):
        tenant.kubectl("get", "nodes")
    assert any(request.startswith("list /api/v1/nodes") for request in control_plane.forbidden_requests(user=user))
    assert control_plane.forbidden_requests(user="system:serviceaccount:elsewhere:default") == []


def test_a_granted_role_is_enough_and_leaves_no_refusal(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    control_plane.kubectl("create", "role", "read-pods", "--verb=list", "--resource=pods", "-n", namespace)
    control_plane.kubectl("create", "rolebinding", "read-pods", "--role=read-pods", f"--serviceaccount={namespace}:reader", "-n", namespace)
    kubeconfig = control_plane.kubeconfig_for_service_account(namespace, "reader")
    tenant = Cluster(tools=control_plane.tools, kubeconfig=kubeconfig, folder=control_plane.folder)
    tenant.kubectl("get", "--raw", f"/api/v1/namespaces/{namespace}/pods")
    assert control_plane.forbidden_requests(user=f"system:serviceaccount:{namespace}:reader") == []


def test_an_anonymous_caller_gets_nothing(control_plane: ControlPlane) -> None:
    trusting = ssl.create_default_context(cafile=str(control_plane.ca_certificate))
    with pytest.raises(HTTPError) as refusal:
        urlopen(f"{control_plane.server}/api/v1/nodes", context=trusting, timeout=10)
    with refusal.value as answer:
        assert answer.code in (401, 403)


def test_nothing_listens_beyond_loopback(control_plane: ControlPlane) -> None:
    assert listening_addresses(control_plane) == {"127.0.0.1"}


def listening_addresses(plane: ControlPlane) -> set[str]:
    """Where the recorded programs listen: sockets in state 0A of /proc/net/tcp and tcp6 that one of them holds."""
    held = set()
    for record in audit.read(plane.folder):
        folder = Path(f"/proc/{record.pid}/fd")
        # Other tests start programs that end while they are still recorded.
        for handle in folder.iterdir() if audit.is_alive(record) else ():
            # A descriptor may be closed between listing and reading.
            with contextlib.suppress(FileNotFoundError):
                held.add(os.readlink(handle))
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in held:
                raw = bytes.fromhex(fields[1].partition(":")[0])
                words = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
                addresses.add(str(ipaddress.ip_address(words)))
    return addresses
