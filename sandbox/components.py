"""How each program of the control plane is started: its flags, and why the unusual ones are there."""

from __future__ import annotations

import re
import ssl
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from sandbox import kubeconfig
from sandbox.errors import SandboxError
from sandbox.pki import Authority, write_signing_key
from sandbox.ports import LOOPBACK
from sandbox.processes import Running, Supervisor
from sandbox.toolchain import Program, Tools

__all__ = [
    "READY_SECONDS",
    "Site",
    "answers",
    "start_apiserver",
    "start_controller_manager",
    "start_etcd",
    "start_kwok",
    "start_scheduler",
]

READY_SECONDS = 60.0
SERVICE_RANGE = "10.0.0.0/24"
SERVICE_ADDRESS = "10.0.0.1"
POD_RANGE = "10.64.0.0/12"
LEASE_SECONDS = 40
# The defaults (20 and 50 per second) keep hundreds of new nodes tainted for minutes.
API_QPS, API_BURST = 500, 1000
# The first etcd with the watch progress requests that streamed lists need, and with --unsafe-no-fsync.
STREAMING_ETCD = (3, 5)
KWOK_STAGES = Path(__file__).resolve().parent / "kwok" / "stages.yaml"

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What every program of one control plane is started with."""

    supervisor: Supervisor
    tools: Tools
    authority: Authority
    server: str
    """The API server's URL."""

    @property
    def folder(self) -> Path:
        return self.supervisor.state_dir

    def kubeconfig_for(self, user: str, *, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig with a client certificate of its own; RBAC's bootstrap roles know the components by these names."""
        name = user.removeprefix("system:")
        client = self.authority.issue_client_certificate(name, user=user, groups=groups)
        path = self.folder / "kubeconfigs" / f"{name}.kubeconfig"
        kubeconfig.write_with_certificate(path, server=self.server, authority=self.authority.certificate, client=client)
        return path


def start_etcd(site: Site, *, port: int, peer_port: int) -> tuple[str, bool]:
    """Starts etcd; returns its URL, and whether it can serve the API server's streamed lists."""
    program = site.tools.path(Program.ETCD)
    streams = _etcd_release(program) >= STREAMING_ETCD
    url, peer_url = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{peer_port}"
    command: list[str | Path] = [
        program,
        f"--data-dir={site.folder / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        "--name=default",
        f"--initial-cluster=default={peer_url}",
    ]
    if streams:
        # Nothing here has to survive a power cut; older releases cannot be told so.
        command.append("--unsafe-no-fsync")
    etcd = site.supervisor.start("etcd", command)
    site.supervisor.wait_until("etcd is healthy", partial(answers, f"{url}/health"), seconds=READY_SECONDS, of=etcd)
    return url, streams


def start_apiserver(site: Site, *, port: int, etcd_url: str, streams_lists: bool, audit_log: Path) -> tuple[Running, Path]:
    """Starts the API server; returns it and the key with which ServiceAccount tokens are signed."""
    serving = site.authority.issue_server_certificate(
        "kube-apiserver",
        dns=["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"],
        ips=[LOOPBACK, SERVICE_ADDRESS],
    )
    signing_key, verification_key = write_signing_key(site.authority.folder, "service-account")
    policy = site.folder / "audit-policy.yaml"
    policy.write_text(yaml.safe_dump(AUDIT_POLICY))
    running = site.supervisor.start(
        "kube-apiserver",
        [
            site.tools.path(Program.KUBE_APISERVER),
            f"--etcd-servers={etcd_url}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={port}",
            # A loopback address may not be published as the endpoint of Service default/kubernetes.
            "--endpoint-reconciler-type=none",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=RBAC",
            f"--client-ca-file={site.authority.certificate}",
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
    return running, signing_key


def start_controller_manager(site: Site, *, port: int, signing_key: Path) -> Running:
    """Starts the controller manager, without the controllers that a cloud or a network would need."""
    return site.supervisor.start(
        "kube-controller-manager",
        [
            site.tools.path(Program.KUBE_CONTROLLER_MANAGER),
            f"--kubeconfig={site.kubeconfig_for('system:kube-controller-manager')}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={port}",
            "--leader-elect=false",
            # With one shared identity RBAC refuses the single controllers.
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={signing_key}",
            f"--root-ca-file={site.authority.certificate}",
            "--controllers=*,-nodeipam,-route,-service-lb-controller,-cloud-node-lifecycle-controller",
            f"--kube-api-qps={API_QPS}",
            f"--kube-api-burst={API_BURST}",
        ],
    )


def start_scheduler(site: Site, *, port: int) -> Running:
    """Starts the scheduler with its default profile."""
    kubeconfig = str(site.kubeconfig_for("system:kube-scheduler"))
    configuration = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {"kubeconfig": kubeconfig, "qps": API_QPS, "burst": API_BURST},
    }
    path = site.folder / "kube-scheduler.yaml"
    path.write_text(yaml.safe_dump(configuration))
    program = site.tools.path(Program.KUBE_SCHEDULER)
    return site.supervisor.start("kube-scheduler", [program, f"--config={path}", f"--bind-address={LOOPBACK}", f"--secure-port={port}"])


def start_kwok(site: Site, *, node_selector: Mapping[str, str]) -> Running:
    """Starts kwok as the kubelet of the nodes with these labels."""
    return site.supervisor.start(
        "kwok",
        [
            site.tools.path(Program.KWOK),
            f"--kubeconfig={site.kubeconfig_for('kwok', groups=['system:masters'])}",
            f"--manage-nodes-with-label-selector={','.join(f'{key}={value}' for key, value in node_selector.items())}",
            f"--config={KWOK_STAGES}",
            f"--cidr={POD_RANGE}",
            f"--node-lease-duration-seconds={LEASE_SECONDS}",
        ],
    )


def answers(url: str, context: ssl.SSLContext | None = None) -> bool:
    """Whether a GET is answered with 200; urllib raises an OSError for anything else, which a waiting caller reads as "not yet"."""
    with urllib.request.urlopen(url, timeout=5, context=context) as answer:
        return bool(answer.status == 200)


def _etcd_release(program: Path) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    match = re.search(r"etcd Version: (\d+)\.(\d+)", said)
    if match is None:
        raise SandboxError(f"{program} --version does not name a release: it said {said.strip()!r}")
    return int(match[1]), int(match[2])
