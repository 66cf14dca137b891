"""A tenant's own report with real credentials: it reads its own figures and nothing else, and the operator writes nothing else."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mfu.control.cluster import Cluster
from mfu.control.connection import find_connection
from mfu.control.tenant_reports import TenantReports
from mfu.judge.fleet import Fleet
from mfu.judge.rollup import roll_up
from sandbox.cluster import CommandFailed
from sandbox.controlplane import ControlPlane
from tests.chart.test_installation import OUTSIDE, RELEASE
from tests.control.fleets import members

pytestmark = pytest.mark.cluster

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
TENANTS = ("tenant-one", "tenant-two")
ACCOUNT = "system:serviceaccount:mfu-system:mfu-operator-controller"


def fleets() -> dict[str, Fleet]:
    few = members(9)
    return {TENANTS[0]: roll_up(few[:3], capacity={}), TENANTS[1]: roll_up(few[3:8], capacity={})}


@pytest.fixture(scope="module")
def tenants(own_cluster: ControlPlane) -> ControlPlane:
    """The chart installed, two namespaces with a viewer each, and their reports written with the controller's own token."""
    plane = own_cluster
    # Other modules leave their release in the cluster that they share.
    plane.helm("uninstall", "mfu-operator", "-n", "mfu-system", "--no-hooks", "--ignore-not-found")
    plane.kubectl("delete", "crd", "--all", "--wait=true")
    plane.helm("install", *RELEASE, "--create-namespace", *OUTSIDE, "--set", "tenantReports.enabled=true")
    for name in TENANTS:
        plane.kubectl("create", "namespace", name)
        plane.kubectl("create", "serviceaccount", "viewer", "-n", name)
        plane.kubectl("create", "rolebinding", "viewer", "--clusterrole=view", f"--serviceaccount={name}:viewer", "-n", name)
    return plane


async def write(plane: ControlPlane, rounds: int = 1) -> None:
    kubeconfig = plane.kubeconfig_for_service_account("mfu-system", "mfu-operator-controller")
    connection = find_connection({"KUBECONFIG": str(kubeconfig)})
    async with Cluster(connection) as cluster:
        reports = TenantReports(cluster)
        for _ in range(rounds):
            await reports.write(fleets(), {}, NOW)


def mfu(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    return subprocess.run(
        [sys.executable, "-m", "mfu", *arguments], check=False, capture_output=True, text=True, env=environment, timeout=60
    )


def test_a_tenant_reads_its_own_figures_and_nothing_else(tenants: ControlPlane) -> None:
    import asyncio

    plane = tenants
    asyncio.run(write(plane, rounds=3))
    first, second = (
        plane.kubectl("get", "configmap", "mfu-report", "-n", name, "-o", "jsonpath={.data.report\\.json}") for name in TENANTS
    )
    assert json.loads(first)["accelerators"]["allocated"] == 24
    assert json.loads(second)["accelerators"]["allocated"] == 40

    viewer = plane.kubeconfig_for_service_account(TENANTS[0], "viewer")
    own = mfu(viewer, "fleet", "--namespace", TENANTS[0], "-o", "json")
    assert own.returncode == 0, own.stderr
    assert json.loads(own.stdout) == json.loads(first)
    page = mfu(viewer, "report", "--namespace", TENANTS[0], "--html", "-")
    assert page.returncode == 0, page.stderr
    assert json.loads(first)["gapPerHour"] in page.stdout

    for arguments in (
        ("fleet", "--namespace", TENANTS[1]),
        ("fleet",),
        ("report", "--html", "-"),
        ("report", "--namespace", TENANTS[1], "--html", "-"),
    ):
        refused = mfu(viewer, *arguments)
        assert refused.returncode == 2 and "403" in refused.stderr, arguments
        assert refused.stdout == ""
    for what in (
        ("fleetreports.mfu.dev",),
        ("nodes",),
        ("configmaps", "-n", TENANTS[1]),
        ("modelworkloads.mfu.dev", "-A"),
        ("modelworkloads.mfu.dev", "-n", TENANTS[1]),
        ("configmaps", "-n", "mfu-system"),
    ):
        with pytest.raises(CommandFailed, match="Forbidden"):
            plane.kubectl("--kubeconfig", str(viewer), "get", *what)
    assert plane.forbidden_requests(user=ACCOUNT) == []


def test_a_report_that_says_nothing_new_costs_one_read_and_no_write(tenants: ControlPlane) -> None:
    import asyncio

    asyncio.run(write(tenants))
    before = len(_requests(tenants))
    asyncio.run(write(tenants, rounds=5))
    assert [event["verb"] for event in _requests(tenants)[before:]] == ["get", "get"]


def test_the_operator_may_write_no_other_config_map(tenants: ControlPlane) -> None:
    kubeconfig = str(tenants.kubeconfig_for_service_account("mfu-system", "mfu-operator-controller"))

    def refusal() -> str:
        try:
            tenants.kubectl("--kubeconfig", kubeconfig, "create", "configmap", "other", "-n", TENANTS[0], "--dry-run=server")
        except CommandFailed as refused:
            return refused.stderr
        return ""

    tenants.supervisor.wait_until(
        "the admission policy acts", lambda: "may only write ConfigMaps named mfu-report" in refusal(), seconds=30
    )
    tenants.kubectl("create", "configmap", "settings", "-n", TENANTS[0])
    with pytest.raises(CommandFailed, match="Forbidden"):
        tenants.kubectl(
            "--kubeconfig", kubeconfig, "patch", "configmap", "settings", "-n", TENANTS[0], "--type", "merge", "-p", '{"data":{"a":"b"}}'
        )


def _requests(plane: ControlPlane) -> list[dict]:
    """What the controller's account asked about ConfigMaps, each request once."""
    return [
        event
        for event in plane.audited(user=ACCOUNT)
        if event.get("stage") == "ResponseComplete" and (event.get("objectRef") or {}).get("resource") == "configmaps"
    ]
