"""The Kubernetes API as plain JSON objects, over the kubernetes client's transport.

Objects stay dictionaries: a typed model would drop the fields of newer API versions on the way back.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

from mfu.control.connection import Connection
from mfu.control.resources import JsonObject, Kind, resource_of
from mfu.errors import ClusterError

__all__ = ["JSON_PATCH", "MERGE_PATCH", "Cluster"]

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
PAGE_OBJECTS = 500
REQUEST_SECONDS = 30.0


class Cluster:
    """Every failure is a ClusterError that carries the HTTP status; nothing is retried here: the queue does that."""

    def __init__(self, connection: Connection, *, request_seconds: float = REQUEST_SECONDS) -> None:
        self._connection = connection
        self._timeout = aiohttp.ClientTimeout(total=request_seconds)
        self._client: ApiClient | None = None

    async def __aenter__(self) -> Self:
        connection = self._connection
        configuration = Configuration(
            host=connection.server,
            ssl_ca_cert=str(connection.authority_file) if connection.authority_file else None,
            cert_file=str(connection.certificate_file) if connection.certificate_file else None,
            key_file=str(connection.key_file) if connection.key_file else None,
            verify_ssl=connection.verify,
        )
        self._client = ApiClient(configuration)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]  # the client is not annotated there

    async def get(self, kind: Kind, namespace: str, name: str) -> JsonObject | None:
        """One object, None when there is none of that name."""
        try:
            return await self._request("GET", resource_of(kind).path(namespace, name))
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    async def objects(self, kind: Kind, *, namespace: str = "", fields: str = "", selector: str | None = None) -> AsyncIterator[JsonObject]:
        """Every object of a kind, page by page; `selector` defaults to the label selector of the kind."""
        resource = resource_of(kind)
        labels = resource.selector if selector is None else selector
        query: dict[str, str] = {"limit": str(PAGE_OBJECTS)}
        if labels:
            query["labelSelector"] = labels
        if fields:
            query["fieldSelector"] = fields
        while True:
            page = await self._request("GET", resource.path(namespace), query=query)
            for item in page.get("items") or ():
                yield item
            proceed = (page.get("metadata") or {}).get("continue")
            if not proceed:
                return
            query["continue"] = proceed

    async def create(self, kind: Kind, namespace: str, body: JsonObject) -> JsonObject:
        return await self._request("POST", resource_of(kind).path(namespace), body=body)

    async def replace(self, kind: Kind, namespace: str, name: str, body: JsonObject) -> JsonObject:
        """PUT; refused with status 409 when `metadata.resourceVersion` is not the stored one."""
        return await self._request("PUT", resource_of(kind).path(namespace, name), body=body)

    async def patch(
        self, kind: Kind, namespace: str, name: str, body: JsonObject | list[JsonObject], *, subresource: str = ""
    ) -> JsonObject:
        """A merge patch when `body` is an object, a JSON patch when it is a list of operations."""
        content_type = JSON_PATCH if isinstance(body, list) else MERGE_PATCH
        return await self._request("PATCH", resource_of(kind).path(namespace, name, subresource), body=body, content_type=content_type)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        if self._client is None:
            raise ClusterError("the connection is not open; enter it with `async with` first")
        headers = {"Accept": "application/json", "Content-Type": content_type, "User-Agent": "mfu-operator"}
        token = self._connection.token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        url = self._connection.server + path + (f"?{urlencode(query)}" if query else "")
        try:
            answer = await self._client.call_api(method, url, header_params=headers, body=body, _request_timeout=self._timeout)
            content = await answer.read()  # type: ignore[no-untyped-call]  # likewise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ClusterError(f"{method} {path}: no answer from {self._connection.server} ({error or type(error).__name__})") from error
        if answer.status >= 400:
            raise _refusal(method, path, answer.status, content, answer.headers.get("Retry-After"))
        try:
            decoded = json.loads(content)
        except ValueError as error:
            raise ClusterError(f"{method} {path}: the answer is not JSON; is {self._connection.server} a Kubernetes API?") from error
        return dict(decoded)


def _refusal(method: str, path: str, status: int, content: bytes, retry_after: str | None) -> ClusterError:
    message = content.decode(errors="replace")[:200]
    with contextlib.suppress(ValueError, AttributeError):
        message = json.loads(content).get("message") or message
    seconds = 0.0
    with contextlib.suppress(TypeError, ValueError):
        seconds = float(retry_after or 0)
    return ClusterError(f"{method} {path}: {status} {message}", status=status, retry_after_seconds=seconds)
