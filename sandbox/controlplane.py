"""A real Kubernetes control plane on loopback: etcd, API server, controller manager, scheduler, and kwok for the nodes.

RBAC is on, every request of a ServiceAccount outside kube-system is in the audit log, and nothing listens beyond 127.0.0.1.
"""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import yaml

from sandbox import kubeconfig
from sandbox.cluster import Cluster
from sandbox.errors import SandboxError
from sandbox.pki import Authority, KeyPair, write_signing_key
from sandbox.ports import LOOPBACK, free_ports
from sandbox.processes import Running, Supervisor
from sandbox.toolchain import Program, Tools, ensure_tools

__all__ = ["NODE_SELECTOR", "ControlPlane", "control_plane", "start_control_plane"]

NODE_SELECTOR = {"sandbox.mfu.dev/simulated": "true"}
"""The label of the nodes that kwok keeps alive."""

KWOK_STAGES = Path(__file__).resolve().parent / "kwok" / "stages.yaml"
READY_SECONDS = 60.0
SERVICE_RANGE = "10.0.0.0/24"
SERVICE_ADDRESS = "10.0.0.1"
POD_RANGE = "10.64.0.0/12"
# The defaults (20 and 50 per second) keep hundreds of new nodes tainted for minutes.
API_QPS, API_BURST = 500, 1000
# The first etcd with the watch progress requests that streamed lists need, and with --unsafe-no-fsync.
STREAMING_ETCD = (3, 5)

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "userGroups": ["system:masters", "system:serviceaccounts:kube-system", "system:nodes"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}


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
    pki = Authority.create(folder / "pki")
    etcd_port, peer_port, api_port, manager_port, scheduler_port = free_ports(5)
    server = f"https://{LOOPBACK}:{api_port}"
    etcd_release = _etcd_release(tools.path(Program.ETCD))
    etcd_url = _start_etcd(supervisor, tools, etcd_release, etcd_port, peer_port)

    signing_key, verification_key = write_signing_key(pki.folder, "service-account")
    serving = pki.issue_server_certificate(
        "kube-apiserver",
        dns=["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"],
        ips=[LOOPBACK, SERVICE_ADDRESS],
    )
    admin = pki.issue_client_certificate("admin", user="admin", groups=["system:masters"])
    audit_log = folder / "audit.log"
    apiserver = _start_apiserver(
        supervisor,
        tools,
        port=api_port,
        etcd_url=etcd_url,
        authority=pki,
        serving=serving,
        signing_key=signing_key,
        verification_key=verification_key,
        audit_log=audit_log,
        streams_lists=etcd_release >= STREAMING_ETCD,
    )
    admin_kubeconfig = folder / "kubeconfig"
    kubeconfig.write_with_certificate(admin_kubeconfig, server=server, authority=pki.certificate, client=admin)
    trusted = ssl.create_default_context(cafile=str(pki.certificate))
    trusted.load_cert_chain(admin.certificate, admin.key)
    supervisor.wait_until("the API server is ready", partial(_answers, f"{server}/readyz", trusted), seconds=READY_SECONDS, of=apiserver)

    plane = ControlPlane(
        tools=tools,
        supervisor=supervisor,
        kubeconfig=admin_kubeconfig,
        server=server,
        authority=pki,
        admin=admin,
        audit_log=audit_log,
    )
    manager = _start_controller_manager(supervisor, tools, server=server, pki=pki, port=manager_port, signing_key=signing_key)
    scheduler = _start_scheduler(supervisor, tools, server=server, pki=pki, port=scheduler_port)
    kwok = _start_kwok(supervisor, tools, server=server, pki=pki)

    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    for running, port in ((manager, manager_port), (scheduler, scheduler_port)):
        url = f"https://{LOOPBACK}:{port}/healthz"
        supervisor.wait_until(f"{running.name} is healthy", partial(_answers, url, unverified), seconds=READY_SECONDS, of=running)
    account = f"{server}/api/v1/namespaces/default/serviceaccounts/default"
    supervisor.wait_until("the default ServiceAccount exists", partial(_answers, account, trusted), seconds=READY_SECONDS, of=manager)
    if kwok.exit_status() is not None:
        raise SandboxError(f"kwok ended at once; the end of {kwok.log}:\n{kwok.log_tail()}")
    return plane


def _etcd_release(program: Path) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    match = re.search(r"etcd Version: (\d+)\.(\d+)", said)
    if match is None:
        raise SandboxError(f"{program} --version does not name a release: it said {said.strip()!r}")
    return int(match[1]), int(match[2])


def _start_etcd(supervisor: Supervisor, tools: Tools, release: tuple[int, ...], port: int, peer_port: int) -> str:
    program = tools.path(Program.ETCD)
    url, peer_url = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{peer_port}"
    data = supervisor.state_dir / "etcd"
    command: list[str | Path] = [
        program,
        f"--data-dir={data}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        "--name=default",
        f"--initial-cluster=default={peer_url}",
    ]
    if release >= STREAMING_ETCD:
        # Nothing here has to survive a power cut; older releases cannot be told so.
        command.append("--unsafe-no-fsync")
    etcd = supervisor.start("etcd", command)
    supervisor.wait_until("etcd is healthy", partial(_answers, f"{url}/health"), seconds=READY_SECONDS, of=etcd)
    return url


def _start_apiserver(
    supervisor: Supervisor,
    tools: Tools,
    *,
    port: int,
    etcd_url: str,
    authority: Authority,
    serving: KeyPair,
    signing_key: Path,
    verification_key: Path,
    audit_log: Path,
    streams_lists: bool,
) -> Running:
    policy = supervisor.state_dir / "audit-policy.yaml"
    policy.write_text(yaml.safe_dump(AUDIT_POLICY))
    return supervisor.start(
        "kube-apiserver",
        [
            tools.path(Program.KUBE_APISERVER),
            f"--etcd-servers={etcd_url}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={port}",
            # A loopback address may not be published as the endpoint of Service default/kubernetes.
            "--endpoint-reconciler-type=none",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=RBAC",
            f"--client-ca-file={authority.certificate}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={verification_key}",
            f"--service-account-signing-key-file={signing_key}",
            "--allow-privileged=true",
            "--profiling=false",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={audit_log}",
            # Over an etcd that cannot serve streamed lists the offer of them makes kwok retry for minutes.
            f"--feature-gates=WatchList={'true' if streams_lists else 'false'}",
        ],
    )


def _start_controller_manager(
    supervisor: Supervisor, tools: Tools, *, server: str, pki: Authority, port: int, signing_key: Path
) -> Running:
    return supervisor.start(
        "kube-controller-manager",
        [
            tools.path(Program.KUBE_CONTROLLER_MANAGER),
            f"--kubeconfig={_component_kubeconfig(supervisor, pki, server, 'system:kube-controller-manager')}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={port}",
            "--leader-elect=false",
            # With one shared identity RBAC refuses the single controllers.
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={signing_key}",
            f"--root-ca-file={pki.certificate}",
            "--controllers=*,-nodeipam,-route,-service-lb-controller,-cloud-node-lifecycle-controller",
            f"--kube-api-qps={API_QPS}",
            f"--kube-api-burst={API_BURST}",
        ],
    )


def _start_scheduler(supervisor: Supervisor, tools: Tools, *, server: str, pki: Authority, port: int) -> Running:
    configuration = supervisor.state_dir / "kube-scheduler.yaml"
    configuration.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "kubescheduler.config.k8s.io/v1",
                "kind": "KubeSchedulerConfiguration",
                "leaderElection": {"leaderElect": False},
                "clientConnection": {
                    "kubeconfig": str(_component_kubeconfig(supervisor, pki, server, "system:kube-scheduler")),
                    "qps": API_QPS,
                    "burst": API_BURST,
                },
            }
        )
    )
    return supervisor.start(
        "kube-scheduler",
        [tools.path(Program.KUBE_SCHEDULER), f"--config={configuration}", f"--bind-address={LOOPBACK}", f"--secure-port={port}"],
    )


def _start_kwok(supervisor: Supervisor, tools: Tools, *, server: str, pki: Authority) -> Running:
    selector = ",".join(f"{key}={value}" for key, value in NODE_SELECTOR.items())
    return supervisor.start(
        "kwok",
        [
            tools.path(Program.KWOK),
            f"--kubeconfig={_component_kubeconfig(supervisor, pki, server, 'kwok', groups=['system:masters'])}",
            f"--manage-nodes-with-label-selector={selector}",
            f"--config={KWOK_STAGES}",
            f"--cidr={POD_RANGE}",
            "--node-lease-duration-seconds=40",
        ],
    )


def _component_kubeconfig(supervisor: Supervisor, pki: Authority, server: str, user: str, *, groups: Sequence[str] = ()) -> Path:
    name = user.removeprefix("system:")
    client = pki.issue_client_certificate(name, user=user, groups=groups)
    path = supervisor.state_dir / "kubeconfigs" / f"{name}.kubeconfig"
    kubeconfig.write_with_certificate(path, server=server, authority=pki.certificate, client=client)
    return path


def _answers(url: str, context: ssl.SSLContext | None = None) -> bool:
    """Whether a GET is answered with 200; urllib raises an OSError for anything else, which a waiting caller reads as "not yet"."""
    with urllib.request.urlopen(url, timeout=5, context=context) as answer:
        return bool(answer.status == 200)


def _user_of(event: dict[str, object]) -> object:
    user = event.get("user")
    return user.get("username") if isinstance(user, dict) else None
