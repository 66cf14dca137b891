"""Helm as a user runs it, and a cluster of the chart's own to install into."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.controlplane import ControlPlane, control_plane
from sandbox.toolchain import Program, Tools

ROOT = Path(__file__).resolve().parent.parent.parent
GATING_API = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
RESTRAINT_API = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"


class HelmRefused(Exception):
    """What helm said when it would not render or lint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The chart's folder and the helm that reads it; `home` keeps helm's own files out of the user's."""

    helm: Path
    folder: Path
    home: Path

    def run(self, *arguments: str) -> str:
        """Standard output of helm; HelmRefused with standard error when it fails."""
        places = {name: str(self.home / name) for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")}
        done = subprocess.run(
            [str(self.helm), *arguments], check=False, capture_output=True, text=True, timeout=60, env={**os.environ, **places}
        )
        if done.returncode != 0:
            raise HelmRefused(done.stderr + done.stdout)
        return done.stdout

    def text(self, values: Mapping[str, Any] | Path | None = None, *, apis: Sequence[str] = (GATING_API, RESTRAINT_API)) -> str:
        """The rendered manifests, as release `mfu-operator` in namespace `mfu-system`."""
        arguments = ["template", "mfu-operator", str(self.folder), "--namespace", "mfu-system", "--kube-version", "1.36.0"]
        for api in apis:
            arguments += ["--api-versions", api]
        if isinstance(values, Path):
            arguments += ["--values", str(values)]
        elif values:
            file = self.home / "values.yaml"
            file.write_text(yaml.safe_dump(dict(values)))
            arguments += ["--values", str(file)]
        return self.run(*arguments)

    def refusal(self, values: Mapping[str, Any]) -> str:
        """What helm says when it refuses the values; empty when it takes them."""
        try:
            self.text(values)
        except HelmRefused as refused:
            return str(refused)
        return ""

    def render(
        self, values: Mapping[str, Any] | Path | None = None, *, apis: Sequence[str] = (GATING_API, RESTRAINT_API)
    ) -> list[dict[str, Any]]:
        """The rendered objects."""
        return [document for document in yaml.safe_load_all(self.text(values, apis=apis)) if document]


@pytest.fixture
def chart(tools: Tools, tmp_path: Path) -> Chart:
    return Chart(helm=tools.path(Program.HELM), folder=ROOT / "charts" / "mfu-operator", home=tmp_path)


@pytest.fixture(scope="session")
def own_cluster(tools: Tools) -> Iterator[ControlPlane]:
    """A control plane of these tests' own: admission policies act on the whole cluster, and CRDs stay when a release goes."""
    with control_plane(tools=tools) as plane:
        yield plane
