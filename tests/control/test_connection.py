"""Where the cluster is and who we are there."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfu.control.connection import find_connection
from mfu.errors import ClusterError


def kubeconfig(folder: Path, user: dict[str, Any], **cluster: Any) -> dict[str, str]:
    path = folder / "config"
    content = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443/", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(content))
    return {"KUBECONFIG": str(path)}


def test_in_a_pod_the_service_account_is_used_and_its_token_read_anew(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "namespace").write_text("mfu-system")
    found = find_connection({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)
    assert (found.server, found.namespace, found.authority_file) == ("https://10.0.0.1:443", "mfu-system", tmp_path / "ca.crt")
    assert found.token() == "first"
    (tmp_path / "token").write_text("second")
    assert found.token() == "second"


def test_an_ipv6_service_address_is_bracketed(tmp_path: Path) -> None:
    assert find_connection({"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path).server == "https://[fd00::1]:443"


def test_a_kubeconfig_with_a_token_file_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    found = find_connection(kubeconfig(tmp_path, {"tokenFile": "token"}))
    assert (found.server, found.namespace, found.token()) == ("https://127.0.0.1:6443", "team", "t")


def test_inline_certificates_become_files_that_only_we_can_read(tmp_path: Path) -> None:
    data = base64.b64encode(b"PEM").decode()
    user = {"client-certificate-data": data, "client-key-data": data}
    found = find_connection(kubeconfig(tmp_path, user, **{"certificate-authority-data": data}))
    for path in (found.authority_file, found.certificate_file, found.key_file):
        assert path is not None
        assert path.read_bytes() == b"PEM"
        assert path.stat().st_mode & 0o077 == 0
        path.unlink()
    assert found.token() == ""


def test_a_credential_plugin_is_asked(tmp_path: Path) -> None:
    answer = '{"kind":"ExecCredential","status":{"token":"from-plugin"}}'
    found = find_connection(kubeconfig(tmp_path, {"exec": {"command": "echo", "args": [answer]}}))
    assert found.token() == "from-plugin"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, "KUBECONFIG", id="no file"),
        pytest.param("{", "YAML", id="not YAML"),
        pytest.param("- 1", "kubeconfig", id="a list"),
        pytest.param("current-context: x", "'x'", id="no such context"),
    ],
)
def test_what_is_missing_is_named_in_one_line(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ClusterError) as raised:
        find_connection({"KUBECONFIG": str(path)})
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_token_is_never_shown(tmp_path: Path) -> None:
    assert "secret" not in repr(find_connection(kubeconfig(tmp_path, {"token": "secret"})))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x7fELF\xff\xfe", id="a binary"),
        pytest.param(b"contexts: {a: b}\ncurrent-context: a\n", id="contexts that are no list"),
        pytest.param(b"contexts: [1, {name: a, context: 3}]\ncurrent-context: a\n", id="entries that are no mappings"),
        pytest.param(
            b"contexts: [{name: a, context: {cluster: a, user: a}}]\nclusters: [{name: a, cluster: {}}]\n"
            b"users: [{name: a, user: {}}]\ncurrent-context: a\n",
            id="a cluster without a server",
        ),
        pytest.param(
            b"contexts: [{name: a, context: {cluster: a, user: a}}]\nclusters: [{name: a, cluster: {server: 'https://x'}}]\n"
            b"users: [{name: a, user: {exec: {args: [x]}}}]\ncurrent-context: a\n",
            id="a credential plugin without a command",
        ),
        pytest.param(
            b"contexts: [{name: a, context: {cluster: a, user: a}}]\n"
            b"clusters: [{name: a, cluster: {server: 'https://x', certificate-authority-data: abc}}]\n"
            b"users: [{name: a, user: {}}]\ncurrent-context: a\n",
            id="a certificate that is not base64",
        ),
    ],
)
def test_a_broken_kubeconfig_is_one_line_that_names_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config"
    file.write_bytes(content)
    with pytest.raises(ClusterError) as refused:
        find_connection({"KUBECONFIG": str(file)})
    assert "kubeconfig" in str(refused.value)
    assert "\n" not in str(refused.value)
