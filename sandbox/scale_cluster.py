"""An API server that holds a big fleet: etcd and kube-apiserver alone, and all objects created as they are when everything runs.

Heartbeats of thousands of simulated nodes would be most of the load, so there is no kubelet, scheduler or controller manager: nodes are
created Ready and pods are created on their nodes.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from sandbox import kubeconfig
from sandbox.components import READY_SECONDS, Site, answers, start_apiserver, start_etcd
from sandbox.controlplane import ControlPlane
from sandbox.errors import SandboxError
from sandbox.fleet import node_manifests, read_pools
from sandbox.pki import Authority
from sandbox.ports import LOOPBACK, free_ports
from sandbox.processes import Supervisor
from sandbox.scale import NAMESPACES, ScaledFleet, ScaledJob, ScaledPod, node_name
from sandbox.toolchain import Tools

__all__ = ["OPERATOR_NAMESPACE", "create_fleet", "start_api"]

CRDS = Path(__file__).resolve().parents[1] / "crds"
OPERATOR_NAMESPACE = "mfu-system"
IN_FLIGHT = 24
STARTED = "2026-01-01T00:00:00Z"
READY = [{"type": "Ready", "status": "True", "reason": "Simulated", "lastTransitionTime": STARTED}]


def start_api(supervisor: Supervisor, tools: Tools) -> ControlPlane:
    """Starts etcd and the API server, with the CRDs and a ServiceAccount `mfu-operator` that may do everything."""
    folder = supervisor.state_dir
    etcd_port, peer_port, api_port = free_ports(3)
    authority = Authority.create(folder / "pki")
    site = Site(supervisor=supervisor, tools=tools, authority=authority, server=f"https://{LOOPBACK}:{api_port}")
    admin = authority.issue_client_certificate("admin", user="admin", groups=["system:masters"])
    kubeconfig.write_with_certificate(folder / "kubeconfig", server=site.server, authority=authority.certificate, client=admin)
    etcd_url, streams_lists = start_etcd(site, port=etcd_port, peer_port=peer_port)
    audit_log = folder / "audit.log"
    apiserver, _ = start_apiserver(site, port=api_port, etcd_url=etcd_url, streams_lists=streams_lists, audit_log=audit_log)
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.load_cert_chain(admin.certificate, admin.key)
    supervisor.wait_until(
        "the API server is ready", partial(answers, f"{site.server}/readyz", context), seconds=READY_SECONDS, of=apiserver
    )
    plane = ControlPlane(
        tools=tools,
        supervisor=supervisor,
        kubeconfig=folder / "kubeconfig",
        server=site.server,
        authority=authority,
        admin=admin,
        audit_log=audit_log,
    )
    plane.kubectl("apply", "--server-side", "-f", str(CRDS))
    plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    plane.kubectl("create", "namespace", OPERATOR_NAMESPACE)
    plane.kubectl("create", "serviceaccount", "mfu-operator", "-n", OPERATOR_NAMESPACE)
    plane.kubectl(
        "create", "clusterrolebinding", "mfu-operator", "--clusterrole=cluster-admin", f"--serviceaccount={OPERATOR_NAMESPACE}:mfu-operator"
    )
    return plane


def create_fleet(plane: ControlPlane, fleet: ScaledFleet) -> None:
    """Namespaces, nodes, running pods and their ModelWorkloads."""
    asyncio.run(_create(plane, fleet))


async def _create(plane: ControlPlane, fleet: ScaledFleet) -> None:
    context = ssl.create_default_context(cafile=str(plane.ca_certificate))
    context.load_cert_chain(plane.admin.certificate, plane.admin.key)
    connector = aiohttp.TCPConnector(ssl=context, limit=IN_FLIGHT)
    async with aiohttp.ClientSession(plane.server, connector=connector) as session:
        names = [f"team-{number:02d}" for number in range(NAMESPACES)]
        await _send(session, (("POST", "/api/v1/namespaces", {"metadata": {"name": name}}) for name in names))
        # Without a controller manager nobody makes the account that every pod needs.
        accounts = (("POST", f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}}) for name in names)
        await _send(session, accounts)
        await _send(session, (("POST", "/api/v1/nodes", body) for body in _nodes(fleet.nodes)))
        pods = [(job, pod) for job in fleet.jobs for pod in job.pods]
        await _send(session, (("POST", f"/api/v1/namespaces/{pod.namespace}/pods", _pod(job, pod)) for job, pod in pods))
        running = {"status": {"phase": "Running", "startTime": STARTED, "conditions": READY}}
        await _send(session, (("PATCH", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/status", running) for _, pod in pods))
        collection = "/apis/mfu.dev/v1alpha1/namespaces/{}/modelworkloads"
        await _send(session, (("POST", collection.format(job.namespace), _workload(job)) for job in fleet.jobs))


async def _send(session: aiohttp.ClientSession, requests: Iterable[tuple[str, str, dict[str, Any]]]) -> None:
    waiting = iter(requests)

    async def work() -> None:
        for method, path, body in waiting:
            content_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
            async with session.request(method, path, data=json.dumps(body), headers={"Content-Type": content_type}) as answer:
                if answer.status >= 300:
                    raise SandboxError(f"{method} {path}: {answer.status} {(await answer.text())[:300]}")
                await answer.read()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.create_task(work())


def _nodes(count: int) -> Iterator[dict[str, Any]]:
    pool = replace(next(pool for pool in read_pools() if pool.name == "h100"), nodes=count)
    for index, manifest in enumerate(node_manifests((pool,))):
        body: dict[str, Any] = json.loads(json.dumps(manifest))
        body["metadata"]["name"] = body["metadata"]["labels"]["kubernetes.io/hostname"] = node_name(index)
        body["status"]["conditions"] = READY
        yield body


def _pod(job: ScaledJob, pod: ScaledPod) -> dict[str, Any]:
    container = {"name": "main", "image": "registry.example/job:1", "resources": {"limits": {"nvidia.com/gpu": str(pod.devices)}}}
    return {
        "metadata": {"name": pod.name, "labels": {"mfu.dev/workload": job.name}},
        "spec": {"nodeName": node_name(pod.node), "containers": [container], "automountServiceAccountToken": False},
    }


def _workload(job: ScaledJob) -> dict[str, Any]:
    shape = job.shape
    spec: dict[str, Any] = {
        "model": {"catalog": "llama-3.1-8b"},
        "precision": {"compute": "bf16"},
        "accelerators": {"class": "h100-sxm-80gb", "count": shape.accelerators, "perNode": min(8, shape.accelerators)},
    }
    if shape.trains:
        data = shape.accelerators // shape.tensor // shape.pipeline
        spec["training"] = {
            "sequenceLength": 8192,
            "globalBatchSize": 16 * data,
            "microBatchSize": 1,
            "parallelism": {"tensor": shape.tensor, "pipeline": shape.pipeline, "data": data},
            "framework": {"name": "megatron-core", "version": "0.12"},
        }
    else:
        spec["inference"] = {
            "engine": {"name": "vllm", "version": "0.11"},
            "inputTokens": 1024,
            "outputTokens": 256,
            "concurrency": 64,
            "parallelism": {"tensor": shape.tensor},
        }
    return {"apiVersion": "mfu.dev/v1alpha1", "kind": "ModelWorkload", "metadata": {"name": job.name}, "spec": spec}
