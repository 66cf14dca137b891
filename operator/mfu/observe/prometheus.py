"""The adapter from the `Metrics` port to a Prometheus HTTP API, over prometheus-api-client."""

import math
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from json import JSONDecodeError, loads
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests.auth import AuthBase
from urllib3.util.retry import Retry

from mfu.errors import MetricsError
from mfu.observe.port import Sample

__all__ = ["PrometheusMetrics"]

_RETRIED = (429, 502, 503, 504)
_SHOWN_CHARACTERS = 160
# Half of a job's pods would look like a slow job: rather an error than a part of the answer (Thanos, VictoriaMetrics; others ignore it).
_WHOLE_ANSWERS = {"partial_response": "false", "deny_partial_response": "1"}


class PrometheusMetrics:
    """Instant queries against one Prometheus-compatible API. Blocking; may be used from several threads.

    `url`: the root of the API, without `/api/v1`. `token_file`: a bearer token, read again for every request since projected tokens rotate.
    `ca_file`: certificates to trust instead of the system's. `headers`: a tenant header or other constants. Every request has a time limit.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 10.0,
        token_file: Path | None = None,
        ca_file: Path | None = None,
        headers: Mapping[str, str] | None = None,
        retries: int = 1,
    ) -> None:
        root = url.rstrip("/")
        if urlsplit(root).scheme not in ("http", "https"):
            raise MetricsError(f"the Prometheus URL {url!r} must start with http:// or https://; give the root of the API")
        if ca_file is not None and not ca_file.is_file():
            raise MetricsError(f"the file with Prometheus's CA certificates, {ca_file}, does not exist")
        self._shown_url = _without_password(root)
        self._timeout_seconds = timeout_seconds
        session = requests.Session()
        # A client with a session of its own ignores `disable_ssl`: the certificates to trust belong on the session.
        session.verify = str(ca_file) if ca_file is not None else True
        self._client = PrometheusConnect(
            url=root,
            headers=dict(headers or {}),
            session=session,
            # The last answer is kept instead of raised, so that the message can say what it was; a silent server is not asked twice.
            retry=Retry(total=retries, read=False, backoff_factor=0.2, status_forcelist=_RETRIED, raise_on_status=False),
            timeout=timeout_seconds,
            auth=_TokenFile(token_file) if token_file is not None else None,
        )

    def query(self, promql: str) -> tuple[Sample, ...]:
        try:
            result = self._client.custom_query(promql, params=dict(_WHOLE_ANSWERS))
        except requests.JSONDecodeError as error:
            raise MetricsError(f"{self._shown_url} {_not_json(error.doc)}") from error
        except requests.RequestException as error:
            raise MetricsError(self._unreachable(error)) from error
        except PrometheusApiClientException as error:
            raise MetricsError(f"{self._shown_url} {_refusal(str(error))}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise MetricsError(
                f"{self._shown_url} answered JSON that is no query result: check that the URL is the root of a Prometheus API"
            ) from error
        return _samples(result, self._shown_url)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _unreachable(self, error: requests.RequestException) -> str:
        match error:
            case requests.exceptions.SSLError():
                return f"{self._shown_url} has a certificate that is not trusted: give its CA with --prometheus-ca-file"
            case requests.Timeout():
                return (
                    f"{self._shown_url} did not answer within {self._timeout_seconds:g} s: check its load, or raise --query-timeout-seconds"
                )
            case requests.ConnectionError():
                return f"{self._shown_url} cannot be reached ({_reason(error)}): check the address, the Service and network policies"
            case _:
                return f"{self._shown_url} could not be asked: {type(error).__name__}: {error}"


class _TokenFile(AuthBase):
    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        try:
            token = self._path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise MetricsError(f"the Prometheus token file {self._path} cannot be read: {error}") from error
        request.headers["Authorization"] = f"Bearer {token}"
        return request


def _samples(result: object, shown_url: str) -> tuple[Sample, ...]:
    if not isinstance(result, list):
        raise MetricsError(f"{shown_url} answered JSON that is no query result: check that the URL is the root of a Prometheus API")
    # A scalar or a string comes bare, as [time, "value"], instead of as a vector.
    elements: list[Any] = [{"metric": {}, "value": result}] if result and not isinstance(result[0], dict) else result
    # A fleet's answer has a hundred thousand elements: nothing is copied, and a label is what JSON made of it.
    found = []
    for element in elements:
        try:
            if "value" not in element:  # a native histogram
                continue
            at, text = element["value"]
            value, labels = float(text), element["metric"]
            if not isinstance(labels, dict):
                raise TypeError(labels)
            if math.isfinite(value):
                found.append(Sample(labels=labels, value=value, at_seconds=float(at)))
        except (KeyError, TypeError, ValueError) as error:
            raise MetricsError(f"{shown_url} answered an element that is no sample: {str(element)[:_SHOWN_CHARACTERS]}") from error
    return tuple(found)


def _not_json(body: str) -> str:
    if "<html" in body[:2000].lower() or "<!doctype" in body[:200].lower():
        title = _title(body)
        said = f" titled {title!r}" if title else ""
        return f"answered an HTML page{said} instead of a query result: check that the URL is the API's root (no log-in page) and the token"
    return f"answered {body[:60]!r} instead of JSON: check that the URL is the root of a Prometheus API"


def _refusal(text: str) -> str:
    """`text` is the client's only account of a refusal: the status code and the bytes of the body."""
    found = re.match(r"HTTP Status Code (\d+) \((b['\"].*)\)$", text, re.DOTALL)
    if found is None:
        return f"refused: {text[:_SHOWN_CHARACTERS]}"
    status, body = int(found[1]), found[2][2:-1]
    advice = {
        400: "this is a query it does not understand",
        401: "check the token given with --prometheus-token-file",
        403: "check the token's rights and the tenant header",
        404: "check that the URL is the API's root, with its path prefix if it has one",
        422: "it could not evaluate the query",
        429: "it limits the rate of queries",
    }.get(status, "check its health and its log" if status >= 500 else "check the URL")
    return f"answered status {status}{_said(body)}: {advice}"


def _said(body: str) -> str:
    try:
        told = loads(body.replace("\\'", "'").replace("\\\\", "\\"))["error"]
    except (JSONDecodeError, KeyError, TypeError):
        told = _title(body) if "<" in body else body.replace("\\n", " ")
    told = str(told).strip()[:_SHOWN_CHARACTERS]
    return f" ({told})" if told else ""


class _Title(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "title"

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.text += data


def _title(body: str) -> str:
    parser = _Title()
    parser.feed(body[:4000])
    return " ".join(parser.text.split())[:60]


def _reason(error: requests.ConnectionError) -> str:
    text = str(error)
    for known in (
        "Connection refused",
        "Name or service not known",
        "No route to host",
        "Network is unreachable",
        "Connection reset",
        "timed out",
    ):
        if known in text:
            return known.lower()
    return "connection failed" if "RemoteDisconnected" not in text else "it closed the connection"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rsplit("@", 1)[-1]))
