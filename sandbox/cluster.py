"""A cluster as its user sees it: a kubeconfig, kubectl and helm. The local control plane is one; any other works as well."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError
from sandbox.toolchain import Program, Tools

__all__ = ["Cluster", "CommandFailed"]

COMMAND_SECONDS = 120.0


class CommandFailed(SandboxError):
    """kubectl or helm refused; `stderr` is what it said."""

    def __init__(self, command: str, status: int, stderr: str) -> None:
        super().__init__(f"`{command}` failed with status {status}: {stderr.strip()}")
        self.status = status
        self.stderr = stderr


class Cluster:
    """Runs kubectl and helm against the cluster of one kubeconfig, with caches of their own under `folder`.

    The tools' usual caches are keyed by the server's address, and addresses are reused by one sandbox after another.
    """

    def __init__(self, *, tools: Tools, kubeconfig: Path, folder: Path) -> None:
        self.tools = tools
        self.kubeconfig = kubeconfig
        self.folder = folder

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which kubectl, helm and client libraries find this cluster."""
        caches = self.folder / "caches"
        return {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(caches / "kubectl"),
            "HELM_CACHE_HOME": str(caches / "helm" / "cache"),
            "HELM_CONFIG_HOME": str(caches / "helm" / "config"),
            "HELM_DATA_HOME": str(caches / "helm" / "data"),
        }

    def kubectl(self, *arguments: str, stdin: str | None = None, seconds: float = COMMAND_SECONDS) -> str:
        """Runs kubectl and returns its standard output; CommandFailed when it exits with another status than 0."""
        return self._run(Program.KUBECTL, arguments, stdin, seconds)

    def get(self, *arguments: str) -> Any:
        """`kubectl get … -o json`, parsed: an object, or a List with `items`."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def helm(self, *arguments: str, stdin: str | None = None, seconds: float = COMMAND_SECONDS) -> str:
        """Runs helm, likewise."""
        return self._run(Program.HELM, arguments, stdin, seconds)

    def apply(self, manifests: str, *arguments: str) -> str:
        """`kubectl apply` of YAML text."""
        return self.kubectl("apply", *arguments, "-f", "-", stdin=manifests)

    def _run(self, program: Program, arguments: tuple[str, ...], stdin: str | None, seconds: float) -> str:
        command = [str(self.tools.path(program)), *arguments]
        shown = " ".join([program.value, *arguments])
        try:
            done = subprocess.run(
                command, check=False, input=stdin or "", capture_output=True, text=True, timeout=seconds, env=self.environment
            )
        except subprocess.TimeoutExpired as error:
            raise SandboxError(f"`{shown}` did not end within {seconds:.0f} s") from error
        if done.returncode != 0:
            raise CommandFailed(shown, done.returncode, done.stderr)
        return done.stdout
