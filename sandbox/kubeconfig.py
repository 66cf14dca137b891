"""Writes kubeconfig files that are complete in themselves."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from sandbox.pki import KeyPair

__all__ = ["write_with_certificate", "write_with_token"]


def write_with_certificate(path: Path, *, server: str, authority: Path, client: KeyPair) -> None:
    """For a user that a client certificate names."""
    user = {"client-certificate-data": _encoded(client.certificate), "client-key-data": _encoded(client.key)}
    _write(path, server=server, authority=authority, user=user, namespace="default")


def write_with_token(path: Path, *, server: str, authority: Path, token: str, namespace: str) -> None:
    """For a ServiceAccount, as it is inside a pod."""
    _write(path, server=server, authority=authority, user={"token": token}, namespace=namespace)


def _write(path: Path, *, server: str, authority: Path, user: dict[str, str], namespace: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "sandbox",
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox", "namespace": namespace}}],
        "clusters": [{"name": "sandbox", "cluster": {"server": server, "certificate-authority-data": _encoded(authority)}}],
        "users": [{"name": "sandbox", "user": user}],
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
