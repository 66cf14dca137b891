"""Stores that speak Prometheus's API with habits of their own, each a real HTTP(S) server on loopback that answers as it does."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from mfu.errors import MetricsError
from mfu.missing import Reason
from mfu.observe.prometheus import PrometheusMetrics
from mfu.observe.telemetry import PodKey
from mfu.observe.tick import read_snapshot
from sandbox.pki import Authority, KeyPair

NOW = 1_800_000_000.0
POD = PodKey(namespace="team", pod="chat-0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int = 200
    body: str


@dataclass
class Store:
    """`answers`: what the store says to a request."""

    answers: Callable[[Asked], Answer]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def serving(answers: Callable[[Asked], Answer], pair: KeyPair | None = None) -> Iterator[Store]:
    store = Store(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            asked = Asked(path=parts.path, query=query, headers=dict(self.headers.items()))
            store.asked.append(asked)
            answer = store.answers(asked)
            body = answer.body.encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if pair is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.certificate, pair.key)
        http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    store.url = f"http{'s' if pair else ''}://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield store
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def vector(promql: str) -> dict[str, object]:
    """The data of an answer: our pod's generated tokens, and nothing else."""
    if promql == "time()":
        return {"resultType": "scalar", "result": [NOW, str(NOW)]}
    if "rate(vllm:generation_tokens_total" not in promql:
        return {"resultType": "vector", "result": []}
    figures = {"generation": "250", "lastScrape": str(NOW - 5), "beforeWindow": "1"}
    labels = {"namespace": "team", "pod": "chat-0"}
    return {
        "resultType": "vector",
        "result": [{"metric": {**labels, "figure": name}, "value": [NOW, value]} for name, value in figures.items()],
    }


def success(asked: Asked, **more: object) -> Answer:
    return Answer(body=json.dumps({"status": "success", "data": vector(asked.query["query"]), **more}))


def error(status: int, kind: str, message: str) -> Answer:
    return Answer(status=status, body=json.dumps({"status": "error", "errorType": kind, "error": message}))


def prometheus_with_infos(asked: Asked) -> Answer:
    """Release 3 adds remarks on the query to a whole answer."""
    return success(asked, infos=['PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "x"'])


def thanos(asked: Asked) -> Answer:
    return success(asked, warnings=["No StoreAPIs matched for this query"])


def mimir(asked: Asked) -> Answer:
    if asked.headers.get("X-Scope-OrgID") != "research":
        return Answer(status=401, body="no org id\n")
    if not asked.path.startswith("/prometheus/api/v1/"):
        return Answer(status=404, body="404 page not found\n")
    return success(asked)


def victoria_metrics(asked: Asked) -> Answer:
    if not asked.path.startswith("/select/42/prometheus/api/v1/query"):
        return Answer(status=400, body=f'unsupported path requested: "{asked.path}"')
    return success(asked, isPartial=False, stats={"seriesFetched": "3", "executionTimeMsec": 2})


BACKENDS = [
    pytest.param(prometheus_with_infos, "", {}, id="prometheus with infos"),
    pytest.param(thanos, "", {}, id="thanos with warnings about a whole answer"),
    pytest.param(mimir, "/prometheus", {"X-Scope-OrgID": "research"}, id="mimir with a tenant"),
    pytest.param(victoria_metrics, "/select/42/prometheus", {}, id="victoriametrics cluster behind vmselect"),
    pytest.param(victoria_metrics, "/select/42/prometheus/", {}, id="a trailing slash"),
]


@pytest.mark.parametrize(("answers", "prefix", "headers"), BACKENDS)
def test_a_whole_tick_is_read_from_every_kind_of_store(answers: Callable[[Asked], Answer], prefix: str, headers: Mapping[str, str]) -> None:
    with serving(answers) as store, PrometheusMetrics(store.url + prefix, headers=headers) as metrics:
        read = read_snapshot(metrics, now=NOW)
    assert read.problem is None
    assert read.at_seconds == NOW
    assert read.serving[POD].generation_tokens_per_second == 250.0
    assert all(asked.path.endswith("/api/v1/query") for asked in store.asked)


def test_a_part_of_the_answer_is_not_taken_for_the_whole() -> None:
    def a_store_is_down(asked: Asked) -> Answer:
        if asked.query.get("partial_response") == "false" or asked.query.get("deny_partial_response") == "1":
            return error(503, "internal", "proxy Series(): fetch series for store-1: connection refused")
        return success(asked, warnings=["proxy Series(): store-1 is down"], isPartial=True)

    with serving(a_store_is_down) as store, PrometheusMetrics(store.url, retries=0) as metrics:
        read = read_snapshot(metrics, now=NOW)
    assert read.serving == {}
    assert read.problem is not None and read.problem.reason is Reason.PROMETHEUS_UNAVAILABLE
    assert "store-1" in read.problem.message


@pytest.mark.parametrize(
    ("answers", "prefix", "advice"),
    [
        pytest.param(mimir, "/prometheus", r"401.*no org id.*", id="mimir without its tenant"),
        pytest.param(victoria_metrics, "", r"400.*unsupported path", id="vmselect without its prefix"),
        pytest.param(lambda _: error(422, "too_many_series", "max series 500000"), "", r"422.*max series", id="a limit of the tenant"),
        pytest.param(lambda _: error(429, "too_many_requests", "ingestion"), "", r"429.*rate of queries", id="a rate limit"),
        pytest.param(lambda _: error(503, "timeout", "query timed out in expression evaluation"), "", r"503.*timed out", id="too slow"),
    ],
)
def test_a_refusal_says_what_the_store_said_and_what_to_do(answers: Callable[[Asked], Answer], prefix: str, advice: str) -> None:
    with (
        serving(answers) as store,
        PrometheusMetrics(store.url + prefix, retries=0) as metrics,
        pytest.raises(MetricsError, match=advice) as told,
    ):
        metrics.query("up")
    assert "\n" not in str(told.value)


def test_token_tenant_and_certificate_work_together(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "pki")
    pair = authority.issue_server_certificate("mimir", dns=["localhost"], ips=["127.0.0.1"])
    token = tmp_path / "token"
    token.write_text("first\n")
    with serving(success, pair) as store:
        options = {"token_file": token, "ca_file": authority.certificate, "headers": {"X-Scope-OrgID": "research|serving"}}
        with PrometheusMetrics(store.url, **options) as metrics:
            metrics.query("up")
            token.write_text("second\n")
            metrics.query("up")
    assert [asked.headers["Authorization"] for asked in store.asked] == ["Bearer first", "Bearer second"]
    assert {asked.headers["X-Scope-OrgID"] for asked in store.asked} == {"research|serving"}


def test_a_secret_never_shows_in_a_message(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hunter2")
    with serving(lambda _: Answer(status=403, body="forbidden")) as store:
        url = store.url.replace("http://", "http://user:hunter3@")
        with PrometheusMetrics(url, token_file=token, retries=0) as metrics, pytest.raises(MetricsError) as told:
            metrics.query("up")
    assert "hunter" not in str(told.value)
