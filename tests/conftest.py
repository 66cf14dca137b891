"""The real programs and the local cluster, started once per run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sandbox.controlplane import ControlPlane, start_control_plane
from sandbox.monitoring import Alertmanager, Prometheus, ScrapeJob, start_alertmanager, start_prometheus
from sandbox.processes import Supervisor
from sandbox.toolchain import Tools, ensure_tools

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """The run's Prometheus, with one empty scrape job `tests`, and the Alertmanager it sends to."""

    prometheus: Prometheus
    alertmanager: Alertmanager


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Every program the sandbox can run."""
    return ensure_tools()


@pytest.fixture(scope="session")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """Owns the run's processes; the last runs' folders stay for a look at the logs."""
    with Supervisor(tmp_path_factory.mktemp("sandbox")) as supervisor:
        yield supervisor


@pytest.fixture(scope="session")
def control_plane(supervisor: Supervisor, tools: Tools, worker_id: str) -> ControlPlane:
    """The run's control plane, for tests marked `cluster`."""
    if worker_id != "master":
        pytest.fail("tests that use the control plane are marked `cluster` and run without -n: the cluster is started once per run")
    return start_control_plane(supervisor, tools)


@pytest.fixture(scope="session")
def monitoring(supervisor: Supervisor, tools: Tools) -> Monitoring:
    """The run's Prometheus and Alertmanager."""
    alertmanager = start_alertmanager(supervisor, tools)
    prometheus = start_prometheus(supervisor, tools, [ScrapeJob(name="tests")], alertmanager=alertmanager)
    return Monitoring(prometheus=prometheus, alertmanager=alertmanager)


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace of the test's own, with its default ServiceAccount."""
    name = f"test-{next(_numbers)}"
    control_plane.kubectl("create", "namespace", name)
    control_plane.kubectl("wait", "--for=create", "serviceaccount/default", "--namespace", name, "--timeout=30s")
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")
