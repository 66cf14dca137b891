"""Runs a Deployment's container as a local process, as a kubelet would: its command, arguments, environment and mounts, nothing else.

Only three things differ from a node. The image is the package in this environment, so its entry point `mfu` is this Python's. Mounted
files lie under the state folder, and arguments that name a mount path are pointed there. And the API server is reached through a
kubeconfig that holds nothing but a token of the pod's ServiceAccount.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from sandbox.controlplane import ControlPlane
from sandbox.errors import SandboxError
from sandbox.ports import LOOPBACK
from sandbox.processes import Running

__all__ = ["run_deployment"]

ENTRY_POINT = [sys.executable, "-m", "mfu"]
READY_SECONDS = 60.0


def run_deployment(plane: ControlPlane, namespace: str, name: str, *, replica: int = 0) -> Running:
    """Starts replica number `replica` of a Deployment's only container and returns when its readiness probe passes."""
    deployment = json.loads(plane.kubectl("get", "deployment", name, "-n", namespace, "-o", "json"))
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    identity = f"{name}-{replica}"
    mounts = _mounts(plane, namespace, pod, container, plane.folder / "mounts" / identity)
    account = pod.get("serviceAccountName", "default")
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(plane.folder),
        "KUBECONFIG": str(plane.kubeconfig_for_service_account(namespace, account)),
        **{entry["name"]: _value(entry, namespace, identity, account, mounts) for entry in container.get("env", [])},
    }
    command = [*_entry_point(container), *(_mounted(argument, mounts) for argument in container.get("args", []))]
    running = plane.supervisor.start(identity, command, environment=environment)
    if probe := container.get("readinessProbe", {}).get("httpGet"):
        url = _probe_url(probe, container)
        plane.supervisor.wait_until(f"{identity} ready at {url}", lambda: _answers(url), seconds=READY_SECONDS, of=running)
    return running


def _entry_point(container: Mapping[str, Any]) -> list[str]:
    command: list[str] = container.get("command", ["mfu"])
    if command[0] != "mfu":
        raise SandboxError(f"the container's command is {command!r}; the image has no other program than mfu")
    return [*ENTRY_POINT, *command[1:]]


def _value(entry: Mapping[str, Any], namespace: str, identity: str, account: str, mounts: Mapping[str, str]) -> str:
    if "value" in entry:
        return _mounted(str(entry["value"]), mounts)
    match entry["valueFrom"]:
        case {"fieldRef": {"fieldPath": "metadata.name"}}:
            return identity
        case {"fieldRef": {"fieldPath": "metadata.namespace"}}:
            return namespace
        case {"fieldRef": {"fieldPath": "spec.serviceAccountName"}}:
            return account
        case source:
            raise SandboxError(f"environment variable {entry['name']}: {source} is nothing this kubelet can resolve")


def _mounts(plane: ControlPlane, namespace: str, pod: Mapping[str, Any], container: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Mount path → local folder, filled from the Secrets and ConfigMaps that the volumes name."""
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    mounts = {}
    for mount in container.get("volumeMounts", []):
        target = folder / mount["name"]
        target.mkdir(parents=True, exist_ok=True)
        for file, content in _files(plane, namespace, volumes[mount["name"]]).items():
            (target / file).write_bytes(content)
        mounts[mount["mountPath"].rstrip("/")] = str(target)
    return mounts


def _files(plane: ControlPlane, namespace: str, volume: Mapping[str, Any]) -> dict[str, bytes]:
    match volume:
        case {"secret": {"secretName": name}}:
            data = json.loads(plane.kubectl("get", "secret", name, "-n", namespace, "-o", "json")).get("data", {})
            return {key: base64.b64decode(value) for key, value in data.items()}
        case {"configMap": {"name": name}}:
            data = json.loads(plane.kubectl("get", "configmap", name, "-n", namespace, "-o", "json")).get("data", {})
            return {key: value.encode() for key, value in data.items()}
        case {"emptyDir": _}:
            return {}
        case _:
            raise SandboxError(f"volume {volume['name']}: this kubelet mounts Secrets, ConfigMaps and empty folders")


def _mounted(text: str, mounts: Mapping[str, str]) -> str:
    """`text`, or the value after its `=`, with a path under a mount pointed at the local folder."""
    option, equals, path = text.rpartition("=")
    for mount, local in mounts.items():
        if path == mount or path.startswith(f"{mount}/"):
            return f"{option}{equals}{local}{path.removeprefix(mount)}"
    return text


def _probe_url(probe: Mapping[str, Any], container: Mapping[str, Any]) -> str:
    port = probe["port"]
    if isinstance(port, str):
        port = next(entry["containerPort"] for entry in container["ports"] if entry["name"] == port)
    return f"{probe.get('scheme', 'HTTP').lower()}://{LOOPBACK}:{port}{probe.get('path', '/')}"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2.0) as response:
            return bool(response.status == 200)
    except HTTPError:
        return False
