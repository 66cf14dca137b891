"""A real Kubernetes control plane on loopback: etcd, API server, controller manager, scheduler, and kwok for the nodes.

RBAC is on, every request of a ServiceAccount outside kube-system is in the audit log, and nothing listens beyond 127.0.0.1.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sandbox import kubeconfig
from sandbox.cluster import Cluster
from sandbox.components import (
    READY_SECONDS,
    Site,
    answers,
    start_apiserver,
    start_controller_manager,
    start_etcd,
    start_kwok,
    start_scheduler,
)
from sandbox.pki import Authority, KeyPair
from sandbox.ports import LOOPBACK, free_ports
from sandbox.processes import Supervisor
from sandbox.toolchain import Tools, ensure_tools

__all__ = ["NODE_SELECTOR", "ControlPlane", "control_plane", "start_control_plane"]

NODE_SELECTOR = {"sandbox.mfu.dev/simulated": "true"}
"""The label of the nodes that kwok keeps alive."""


class ControlPlane(Cluster):
    """The running control plane: the cluster that its administrator sees, and what stands behind it."""

    def __init__(
        self,
        *,
        tools: Tools,
        supervisor: Supervisor,
        kubeconfig: Path,
        server: str,
        authority: Authority,
        admin: KeyPair,
        audit_log: Path,
    ) -> None:
        super().__init__(tools=tools, kubeconfig=kubeconfig, folder=supervisor.state_dir)
        self.supervisor = supervisor
        self.server = server
        self.authority = authority
        self.admin = admin
        self.audit_log = audit_log

    @property
    def ca_certificate(self) -> Path:
        """What signed the API server's certificate."""
        return self.authority.certificate

    def audited(self, *, user: str | None = None) -> list[dict[str, object]]:
        """Audit events (audit.k8s.io/v1, level Metadata) of ServiceAccounts outside kube-system, or of one user, oldest first."""
        if not self.audit_log.exists():
            return []
        # The last line may still be in the writing.
        lines = self.audit_log.read_text().split("\n")[:-1]
        events: list[dict[str, object]] = [json.loads(line) for line in lines]
        return events if user is None else [event for event in events if _user_of(event) == user]

    def forbidden_requests(self, *, user: str | None = None) -> list[str]:
        """Requests that RBAC refused, as `verb uri`: empty when a chart's RBAC grants all that its program asks for."""
        return [
            f"{event['verb']} {event['requestURI']}"
            for event in self.audited(user=user)
            if isinstance(status := event.get("responseStatus"), dict) and status.get("code") == 403
        ]

    def kubeconfig_for_service_account(self, namespace: str, name: str, *, hours: int = 24) -> Path:
        """A kubeconfig that holds nothing but a token of that ServiceAccount."""
        token = self.kubectl("create", "token", name, "--namespace", namespace, f"--duration={hours}h").strip()
        path = self.folder / "kubeconfigs" / f"{namespace}-{name}.kubeconfig"
        kubeconfig.write_with_token(path, server=self.server, authority=self.ca_certificate, token=token, namespace=namespace)
        return path


@contextlib.contextmanager
def control_plane(state_dir: Path | None = None, *, keep: bool = False, tools: Tools | None = None) -> Iterator[ControlPlane]:
    """A control plane for the length of a `with` block, in `state_dir` or a temporary folder; its `supervisor` may start more."""
    with contextlib.ExitStack() as stack:
        if state_dir is None:
            state_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mfu-sandbox-", ignore_cleanup_errors=True)))
        tools = tools or ensure_tools()
        supervisor = stack.enter_context(Supervisor(state_dir, keep=keep))
        yield start_control_plane(supervisor, tools)


def start_control_plane(supervisor: Supervisor, tools: Tools) -> ControlPlane:
    """Starts everything, empty, under the supervisor's state folder and returns when pods can be scheduled and run."""
    folder = supervisor.state_dir
    etcd_port, peer_port, api_port, manager_port, scheduler_port = free_ports(5)
    authority = Authority.create(folder / "pki")
    site = Site(supervisor=supervisor, tools=tools, authority=authority, server=f"https://{LOOPBACK}:{api_port}")
    admin = authority.issue_client_certificate("admin", user="admin", groups=["system:masters"])
    admin_kubeconfig = folder / "kubeconfig"
    kubeconfig.write_with_certificate(admin_kubeconfig, server=site.server, authority=authority.certificate, client=admin)
    audit_log = folder / "audit.log"

    etcd_url, streams_lists = start_etcd(site, port=etcd_port, peer_port=peer_port)
    apiserver, signing_key = start_apiserver(site, port=api_port, etcd_url=etcd_url, streams_lists=streams_lists, audit_log=audit_log)
    as_admin = ssl.create_default_context(cafile=str(authority.certificate))
    as_admin.load_cert_chain(admin.certificate, admin.key)
    supervisor.wait_until(
        "the API server is ready", partial(answers, f"{site.server}/readyz", as_admin), seconds=READY_SECONDS, of=apiserver
    )

    manager = start_controller_manager(site, port=manager_port, signing_key=signing_key)
    scheduler = start_scheduler(site, port=scheduler_port)
    kwok = start_kwok(site, node_selector=NODE_SELECTOR)
    # These two serve their health with a certificate that they sign themselves.
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    for running, port in ((manager, manager_port), (scheduler, scheduler_port)):
        healthy = partial(answers, f"https://{LOOPBACK}:{port}/healthz", unverified)
        supervisor.wait_until(f"{running.name} is healthy", healthy, seconds=READY_SECONDS, of=running)
    account = partial(answers, f"{site.server}/api/v1/namespaces/default/serviceaccounts/default", as_admin)
    supervisor.wait_until("the default ServiceAccount exists", account, seconds=READY_SECONDS, of=manager)
    supervisor.wait_until("kwok watches the nodes", lambda: "Watch nodes" in kwok.log_tail(100), seconds=READY_SECONDS, of=kwok)
    return ControlPlane(
        tools=tools,
        supervisor=supervisor,
        kubeconfig=admin_kubeconfig,
        server=site.server,
        authority=authority,
        admin=admin,
        audit_log=audit_log,
    )


def _user_of(event: dict[str, object]) -> object:
    user = event.get("user")
    return user.get("username") if isinstance(user, dict) else None
