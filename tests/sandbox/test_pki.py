"""The certificates do what the programs ask of them."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from sandbox.pki import Authority, KeyPair, write_signing_key


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        pass


@contextmanager
def serving(pair: KeyPair, clients: Authority | None = None) -> Iterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(clients.certificate) if clients else None)
    context.load_cert_chain(pair.certificate, pair.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    with HTTPServer(("127.0.0.1", 0), Hello) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "pki")


def test_a_client_that_trusts_the_authority_accepts_the_server(authority: Authority) -> None:
    pair = authority.issue_server_certificate("webhook", dns=["localhost"], ips=["127.0.0.1"])
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    with serving(pair) as port:
        for host in ("127.0.0.1", "localhost"):
            with urlopen(f"https://{host}:{port}/", context=trusting, timeout=10) as answer:
                assert answer.status == 200


def test_a_name_that_is_not_in_the_certificate_is_refused(authority: Authority) -> None:
    pair = authority.issue_server_certificate("webhook", dns=["webhook.example"])
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    with serving(pair) as port, pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urlopen(f"https://127.0.0.1:{port}/", context=trusting, timeout=10)


def test_a_server_accepts_client_certificates_of_the_authority(authority: Authority) -> None:
    pair = authority.issue_server_certificate("apiserver", ips=["127.0.0.1"])
    admin = authority.issue_client_certificate("admin", user="admin", groups=["system:masters"])
    client = ssl.create_default_context(cafile=str(authority.certificate))
    client.load_cert_chain(admin.certificate, admin.key)
    with serving(pair, authority) as port, urlopen(f"https://127.0.0.1:{port}/", context=client, timeout=10) as answer:
        assert answer.status == 200


def test_user_and_groups_are_where_kubernetes_reads_them(authority: Authority) -> None:
    pair = authority.issue_client_certificate("c", user="jane", groups=["a", "b"])
    certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=jane,O=b,O=a"


def test_private_keys_are_readable_by_their_owner_only(authority: Authority) -> None:
    pair = authority.issue_server_certificate("s", ips=["127.0.0.1"])
    private, public = write_signing_key(authority.folder, "service-account")
    assert {path.stat().st_mode & 0o777 for path in (authority.folder / "ca.key", pair.key, private)} == {0o600}
    serialization.load_pem_public_key(public.read_bytes())
