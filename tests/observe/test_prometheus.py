"""The adapter against a real HTTP server on loopback that answers as Prometheus does, or as proxies and log-in pages do."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from mfu.errors import MetricsError
from mfu.observe.port import Sample
from mfu.observe.prometheus import PrometheusMetrics
from sandbox.pki import Authority, KeyPair


@dataclass
class Server:
    """What the server is to answer, and what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    silent: threading.Event | None = None  # set: answer only once this is
    asked: list[dict[str, str]] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)

    def answers(self, result: object, *, result_type: str = "vector") -> None:
        self.body = json.dumps({"status": "success", "data": {"resultType": result_type, "result": result}}).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as told:
        yield told


@contextmanager
def serving(told: Server, pair: KeyPair | None = None) -> Iterator[Server]:
    """Over TLS where a certificate is given."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(dict(self.headers.items()))
            told.queries.append(parse_qs(urlsplit(self.path).query).get("query", [""])[0])
            if told.silent is not None:
                told.silent.wait(20)
            with suppress(BrokenPipeError):  # the client may have given up by now
                self.send_response(told.status)
                self.send_header("Content-Type", told.content_type)
                self.send_header("Content-Length", str(len(told.body)))
                self.end_headers()
                self.wfile.write(told.body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if pair is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.certificate, pair.key)
        http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    told.url = f"http{'s' if pair else ''}://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield told
    finally:
        if told.silent is not None:
            told.silent.set()
        http.shutdown()
        http.server_close()
        thread.join()


def ask(server: Server, promql: str = "up", **options: object) -> tuple[Sample, ...]:
    with PrometheusMetrics(server.url, retries=0, **options) as metrics:  # type: ignore[arg-type]  # options are spelled out by the tests
        return metrics.query(promql)


def test_a_vector_becomes_samples_and_nan_and_infinity_are_dropped(server: Server) -> None:
    server.answers(
        [
            {"metric": {"pod": "a"}, "value": [1.5, "0.42"]},
            {"metric": {"pod": "b"}, "value": [1.5, "NaN"]},
            {"metric": {"pod": "c"}, "value": [1.5, "+Inf"]},
        ]
    )
    assert ask(server, 'sum by (pod) (rate(x{a="b"}[2m]))') == (Sample(labels={"pod": "a"}, value=0.42, at_seconds=1.5),)
    assert server.queries == ['sum by (pod) (rate(x{a="b"}[2m]))']


def test_a_bare_scalar_is_one_sample_without_labels(server: Server) -> None:
    server.answers([12.0, "3.5"], result_type="scalar")
    assert ask(server) == (Sample(labels={}, value=3.5, at_seconds=12.0),)


def test_native_histograms_are_left_out(server: Server) -> None:
    server.answers([{"metric": {}, "histogram": [1.0, {"count": "3"}]}, {"metric": {"pod": "a"}, "value": [1.0, "1"]}])
    assert [found.value for found in ask(server)] == [1.0]


@pytest.mark.parametrize(
    ("status", "content_type", "body", "said"),
    [
        pytest.param(
            200, "text/html", b"<!DOCTYPE html><html><title>Sign in</title></html>", ["HTML", "'Sign in'", "token"], id="log-in page"
        ),
        pytest.param(503, "text/html", b"<html><title>503 Unavailable</title></html>", ["503", "503 Unavailable", "health"], id="proxy"),
        pytest.param(503, "text/plain", b"Service Unavailable\n", ["503", "Service Unavailable"], id="starting"),
        pytest.param(401, "text/plain", b"Unauthorized", ["401", "--prometheus-token-file"], id="unauthorised"),
        pytest.param(403, "application/json", b'{"error": "no org id"}', ["403", "no org id", "tenant header"], id="no tenant"),
        pytest.param(404, "text/plain", b"404 page not found", ["404", "root"], id="wrong path"),
        pytest.param(
            400,
            "application/json",
            b'{"status":"error","errorType":"bad_data","error":"invalid parameter \\"query\\": parse error"}',
            ["400", 'invalid parameter "query": parse error'],
            id="bad query",
        ),
        pytest.param(422, "application/json", b'{"status":"error","error":"too many samples"}', ["422", "too many samples"], id="too many"),
        pytest.param(200, "application/json", b'{"status":"success"}', ["no query result"], id="no data"),
        pytest.param(200, "application/json", b"[1, 2]", ["no query result"], id="a list"),
        pytest.param(200, "application/json", b'{"data": {"result": {"a": 1}}}', ["no query result"], id="result is an object"),
        pytest.param(200, "application/json", b'{"data": {"result": [{"value": "x"}]}}', ["no sample"], id="element is no sample"),
        pytest.param(200, "text/plain", b"ok", ["'ok' instead of JSON"], id="plain text"),
        pytest.param(200, "text/plain", b"", ["instead of JSON"], id="nothing"),
    ],
)
def test_whatever_is_answered_instead_is_said_in_one_line(
    server: Server, status: int, content_type: str, body: bytes, said: list[str]
) -> None:
    server.status, server.content_type, server.body = status, content_type, body
    with pytest.raises(MetricsError) as raised:
        ask(server)
    message = str(raised.value)
    assert server.url in message and "\n" not in message and len(message) < 400
    for part in said:
        assert part in message


def test_a_server_that_never_answers_costs_one_time_limit_and_is_not_asked_twice(server: Server) -> None:
    server.silent = threading.Event()
    with PrometheusMetrics(server.url, timeout_seconds=0.2) as metrics, pytest.raises(MetricsError, match=r"did not answer within 0\.2 s"):
        metrics.query("up")
    assert len(server.asked) == 1


def test_a_passing_failure_is_asked_again(server: Server) -> None:
    server.status, server.body = 503, b"starting"
    with PrometheusMetrics(server.url, retries=2) as metrics, pytest.raises(MetricsError, match="503"):
        metrics.query("up")
    assert len(server.asked) == 3


def test_nobody_listening_is_said_with_what_to_check() -> None:
    with (
        PrometheusMetrics("http://127.0.0.1:9", retries=0) as metrics,
        pytest.raises(MetricsError, match=r"connection refused.*check the address"),
    ):
        metrics.query("up")


def test_the_token_file_is_read_again_for_every_request(server: Server, tmp_path: Path) -> None:
    server.answers([])
    token = tmp_path / "token"
    token.write_text("first\n")
    with PrometheusMetrics(server.url, token_file=token) as metrics:
        metrics.query("up")
        token.write_text("second\n")
        metrics.query("up")
        token.unlink()
        with pytest.raises(MetricsError, match=r"token file .* cannot be read"):
            metrics.query("up")
    assert [headers["Authorization"] for headers in server.asked] == ["Bearer first", "Bearer second"]


def test_headers_go_with_every_request_and_a_trailing_slash_does_not_matter(server: Server) -> None:
    server.answers([])
    with PrometheusMetrics(server.url + "/", headers={"X-Scope-OrgID": "gpu"}) as metrics:
        metrics.query("up")
    assert server.asked[0]["X-Scope-OrgID"] == "gpu"


@pytest.mark.parametrize("url", ["prometheus:9090", "", "ftp://prometheus"])
def test_a_url_without_http_is_refused_at_once(url: str) -> None:
    with pytest.raises(MetricsError, match="http://"):
        PrometheusMetrics(url)


def test_a_missing_ca_file_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(MetricsError, match="does not exist"):
        PrometheusMetrics("https://prometheus", ca_file=tmp_path / "ca.crt")


def test_a_password_in_the_url_is_never_shown() -> None:
    with PrometheusMetrics("http://user:secret@127.0.0.1:9", retries=0) as metrics, pytest.raises(MetricsError) as raised:
        metrics.query("up")
    assert "secret" not in str(raised.value)


def test_the_ca_file_is_what_is_trusted_and_without_it_the_message_names_the_flag(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path)
    pair = authority.issue_server_certificate("prometheus", ips=["127.0.0.1"])
    with serving(Server(), pair) as server:
        server.answers([12.0, "1"], result_type="scalar")
        with PrometheusMetrics(server.url, ca_file=authority.certificate) as metrics:
            assert metrics.query("time()")[0].value == 1.0
        with PrometheusMetrics(server.url, retries=0) as stranger, pytest.raises(MetricsError, match=r"not trusted.*--prometheus-ca-file"):
            stranger.query("time()")
