"""Helm as a user runs it, and a cluster of the chart's own to install into."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.controlplane import ControlPlane, control_plane
from sandbox.toolchain import Program, Tools

ROOT = Path(__file__).resolve().parent.parent.parent
GATING_API = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
RESTRAINT_API = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"
# The C loader, where PyYAML has it, reads the rendered CRDs ten times faster.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class HelmRefused(Exception):
    """What helm said when it would not render or lint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The chart's folder and the helm that reads it; `home` keeps helm's own files out of the user's.

    `rendered` remembers what helm answered: most tests look at the same few renderings.
    """

    helm: Path
    folder: Path
    home: Path
    rendered: dict[tuple[str, ...], str] = field(default_factory=dict)

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Standard output of helm; HelmRefused with standard error when it fails."""
        places = {name: str(self.home / name) for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")}
        done = subprocess.run(
            [str(self.helm), *arguments],
            check=False,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **places},
        )
        if done.returncode != 0:
            raise HelmRefused(done.stderr + done.stdout)
        return done.stdout

    def text(self, values: Mapping[str, Any] | Path | None = None, *, apis: Sequence[str] = (GATING_API, RESTRAINT_API)) -> str:
        """The rendered manifests, as release `mfu-operator` in namespace `mfu-system`."""
        arguments = ["template", "mfu-operator", str(self.folder), "--namespace", "mfu-system", "--kube-version", "1.36.0"]
        for api in apis:
            arguments += ["--api-versions", api]
        given = values.read_text() if isinstance(values, Path) else json.dumps(dict(values or {}))
        key = (*arguments, given)
        if key not in self.rendered:
            self.rendered[key] = self.run(*arguments, "--values", "-", stdin=given)
        return self.rendered[key]

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
        return [document for document in yaml.load_all(self.text(values, apis=apis), Loader=LOADER) if document]


@pytest.fixture(scope="session")
def chart(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Chart:
    return Chart(helm=tools.path(Program.HELM), folder=ROOT / "charts" / "mfu-operator", home=tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def own_cluster(tools: Tools) -> Iterator[ControlPlane]:
    """A control plane of these tests' own: admission policies act on the whole cluster, and CRDs stay when a release goes."""
    with control_plane(tools=tools) as plane:
        yield plane
