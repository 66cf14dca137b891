"""Where the Kubernetes API is and who we are there: the pod's ServiceAccount, or the current context of a kubeconfig.

Kopf and the kubernetes client are both connected from the same value, so that they never differ in identity.
"""

import atexit
import base64
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from mfu.errors import ClusterError

__all__ = ["Connection", "find_connection"]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PLUGIN_SECONDS = 30.0
PLUGIN_TOKEN_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """`authority_file`: PEM file that vouches for the server. Tokens in files are read anew each time: the kubelet rotates them.

    `plugin`: command of a credential plugin (`users[].user.exec` of a kubeconfig) with its environment.
    """

    server: str
    authority_file: Path | None = None
    verify: bool = True
    token_text: str = field(default="", repr=False)
    token_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    plugin: tuple[str, ...] = ()
    plugin_environment: tuple[tuple[str, str], ...] = ()
    namespace: str = "default"

    def token(self) -> str:
        """The bearer token that holds now, empty when client certificates identify us."""
        if self.token_file is not None:
            try:
                return self.token_file.read_text().strip()
            except OSError as error:
                raise ClusterError(
                    f"cannot read the token file {self.token_file}: {error.strerror}; check the volume or the kubeconfig"
                ) from error
        if self.plugin:
            return _ask_plugin(self.plugin, self.plugin_environment, int(time.monotonic() // PLUGIN_TOKEN_SECONDS))
        return self.token_text


def find_connection(environment: Mapping[str, str] | None = None, service_account: Path = SERVICE_ACCOUNT) -> Connection:
    """The ServiceAccount where KUBERNETES_SERVICE_HOST is set, else KUBECONFIG, else ~/.kube/config; ClusterError says what is missing."""
    known = os.environ if environment is None else environment
    host = known.get("KUBERNETES_SERVICE_HOST", "")
    if host:
        port = known.get("KUBERNETES_SERVICE_PORT", "443")
        namespace = service_account / "namespace"
        return Connection(
            server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
            authority_file=service_account / "ca.crt",
            token_file=service_account / "token",
            namespace=namespace.read_text().strip() if namespace.exists() else "default",
        )
    named = [part for part in known.get("KUBECONFIG", "").split(os.pathsep) if part]
    path = Path(named[0]) if named else Path(known.get("HOME", "~")).expanduser() / ".kube" / "config"
    return _from_kubeconfig(path)


def _from_kubeconfig(path: Path) -> Connection:
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ClusterError(f"no cluster: cannot read {path} ({error.strerror}); set KUBECONFIG to a kubeconfig file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ClusterError(f"{path} is not YAML; set KUBECONFIG to a kubeconfig file") from error
    if not isinstance(content, dict):
        raise ClusterError(f"{path} is not a kubeconfig; set KUBECONFIG to one")
    context = _entry(path, content, "contexts", "context", str(content.get("current-context") or ""))
    cluster = _entry(path, content, "clusters", "cluster", str(context.get("cluster") or ""))
    user = _entry(path, content, "users", "user", str(context.get("user") or ""))
    plugin = user.get("exec") or {}
    if plugin and not (isinstance(plugin, dict) and plugin.get("command")):
        raise ClusterError(f"{path}: the user's exec names no command; set KUBECONFIG to a whole kubeconfig file")
    if not cluster.get("server"):
        raise ClusterError(f"{path}: the cluster {context.get('cluster')!r} has no server; set KUBECONFIG to a whole kubeconfig file")
    base = path.parent
    return Connection(
        server=str(cluster.get("server") or "").rstrip("/"),
        authority_file=_file(base, cluster, "certificate-authority"),
        verify=not cluster.get("insecure-skip-tls-verify", False),
        token_text=str(user.get("token") or ""),
        token_file=_resolved(base, user.get("tokenFile")),
        certificate_file=_file(base, user, "client-certificate"),
        key_file=_file(base, user, "client-key"),
        plugin=(str(plugin["command"]), *(str(argument) for argument in plugin.get("args") or ())) if plugin else (),
        plugin_environment=tuple((str(entry["name"]), str(entry["value"])) for entry in plugin.get("env") or ()),
        namespace=str(context.get("namespace") or "default"),
    )


def _entry(path: Path, content: Mapping[str, Any], plural: str, singular: str, name: str) -> dict[str, Any]:
    entries = content.get(plural)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(found := entry.get(singular) or {}, dict):
            return found
    raise ClusterError(f"{path} has no {singular} named {name!r}; choose one of the kubeconfig with `kubectl config use-context`")


def _resolved(base: Path, value: object) -> Path | None:
    return base / str(value) if value else None


def _file(base: Path, entry: Mapping[str, Any], name: str) -> Path | None:
    """The file named, or the inline base64 written to a file that only we can read."""
    inline = entry.get(f"{name}-data")
    if not inline:
        return _resolved(base, entry.get(name))
    try:
        content = base64.b64decode(inline)
    except (ValueError, TypeError) as error:
        raise ClusterError(f"the kubeconfig's {name}-data is not base64; set KUBECONFIG to a whole kubeconfig file") from error
    descriptor, written = tempfile.mkstemp(prefix="mfu-", suffix=".pem")
    atexit.register(Path(written).unlink, missing_ok=True)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    return Path(written)


@lru_cache(maxsize=4)
def _ask_plugin(command: tuple[str, ...], extra: tuple[tuple[str, str], ...], period: int) -> str:
    """`period` changes when a remembered token is old."""
    environment = {**os.environ, **dict(extra)}
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PLUGIN_SECONDS, env=environment)
        return str(json.loads(done.stdout)["status"]["token"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        raise ClusterError(f"the credential plugin `{command[0]}` of the kubeconfig gave no token: {error}") from error
