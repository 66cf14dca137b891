"""Admission reviews over HTTP, with a store filled by hand."""

import asyncio
import io
import json
from collections.abc import Awaitable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from mfu.control.configs import ConfigTexts
from mfu.control.exporter import WebhookMetrics
from mfu.control.resources import JsonObject, Kind
from mfu.control.review import Answer, Reviewer, unchanged
from mfu.control.store import Store
from mfu.control.view import View
from mfu.control.webhook import LONGEST_BODY, ReviewServer
from mfu.errors import ClusterError
from tests.control.conftest import policy, workload


class Nothing:
    """A cluster without ConfigMaps, or one that does not answer."""

    def __init__(self, failure: ClusterError | None = None) -> None:
        self.failure = failure

    async def get(self, kind: Kind, namespace: str, name: str) -> JsonObject | None:
        if self.failure is not None:
            raise self.failure
        return None


def reviewer(*policies: JsonObject, cluster: Nothing | None = None) -> Reviewer:
    store = Store()
    namespace = {"metadata": {"name": "team", "labels": {"kubernetes.io/metadata.name": "team"}, "resourceVersion": "1"}}
    store.apply(Kind.NAMESPACE, namespace)
    for body in policies:
        body["metadata"]["resourceVersion"] = "1"
        store.apply(Kind.POLICY, body)
    return Reviewer(View(store), ConfigTexts(cluster or Nothing()))


def request(body: JsonObject, operation: str = "CREATE", **rest: Any) -> JsonObject:
    return {"request": {"uid": "u1", "operation": operation, "namespace": "team", "name": "train", "object": body, **rest}}


def ask(server: ReviewServer, review: Any, path: str = "/validate-modelworkload") -> JsonObject:
    async def run() -> JsonObject:
        async with TestClient(TestServer(server.application())) as client:
            answer = await client.post(path, json=review)
            assert answer.status == 200
            found: JsonObject = await answer.json()
            return found

    review_answer = asyncio.run(run())
    assert review_answer["kind"] == "AdmissionReview"
    assert review_answer["response"]["uid"] == "u1"
    return dict(review_answer["response"])


def ready(*policies: JsonObject, cluster: Nothing | None = None) -> ReviewServer:
    server = ReviewServer(reviewer(*policies, cluster=cluster), WebhookMetrics())
    server.ready = True
    return server


def test_a_healthy_intent_is_allowed_without_a_word() -> None:
    assert ask(ready(), request(workload("train", "team"))) == {"uid": "u1", "allowed": True}


def test_an_invalid_intent_is_refused_in_one_line_with_status_422() -> None:
    broken = workload("train", "team", model={"config": {"model_type": "llama"}})
    found = ask(ready(), request(broken))
    assert found["allowed"] is False
    assert found["status"]["code"] == 422
    assert "spec.model.config" in found["status"]["message"]
    assert "\n" not in found["status"]["message"]


def test_warnings_are_short_and_lose_no_word() -> None:
    floor = policy("floor", "team", mode="Gate", floors=[{"expectedMfu": "90%"}])
    found = ask(ready(floor), request(workload("train", "team")))
    assert found["allowed"] is True
    assert all(len(line) <= 120 for line in found["warnings"])
    assert "BelowExpectedMFUFloor" in " ".join(found["warnings"])


def test_break_glass_on_the_object_is_let_through_and_shown() -> None:
    floor = policy("floor", "team", mode="Gate", floors=[{"expectedMfu": "90%"}])
    urgent = workload("train", "team")
    urgent["metadata"]["annotations"] = {"mfu.dev/skip-gate": "incident 42"}
    found = ask(ready(floor), request(urgent))
    assert found["allowed"] is True
    assert "incident 42" in " ".join(found["warnings"])


def test_a_cluster_that_does_not_answer_refuses_nobody() -> None:
    referring = workload("train", "team", model={"configMapRef": {"name": "llama", "key": "config.json"}})
    found = ask(ready(cluster=Nothing(ClusterError("no answer"))), request(referring))
    assert found["allowed"] is True


def failing(_: JsonObject) -> Awaitable[Answer]:
    raise ZeroDivisionError


def test_a_mistake_of_our_own_lets_the_object_through_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reviewer, "workload", lambda self, body: failing(body))
    found = ask(ready(), request(workload("train", "team")))
    assert found["allowed"] is True
    assert "let it through" in found["warnings"][0]


def test_before_the_policies_are_known_nothing_is_refused() -> None:
    server = ReviewServer(reviewer(), WebhookMetrics())
    found = ask(server, request(workload("train", "team", model={"config": {"model_type": "llama"}})))
    assert found["allowed"] is True
    assert "not checked" in found["warnings"][0]


def test_a_policy_is_reviewed_on_its_own_path() -> None:
    assert ask(ready(), request(policy("p", "team", mode="Gate")), "/validate-mfupolicy")["allowed"] is True
    broken = policy("p", "team", mode="Gate", floors=[{"acceleratorClasses": ["h100-sxm-80gb"], "expectedMfu": "140%"}])
    assert ask(ready(), request(broken), "/validate-mfupolicy")["allowed"] is False


SPEC = {"model": {"catalog": "x"}}


@pytest.mark.parametrize(
    ("review", "is_unchanged"),
    [
        pytest.param({"operation": "CREATE", "object": {"metadata": {}, "spec": SPEC}}, False, id="created"),
        pytest.param(
            {"operation": "UPDATE", "object": {"metadata": {}, "spec": SPEC}, "oldObject": {"metadata": {}, "spec": {}}}, False, id="edited"
        ),
        pytest.param(
            {"operation": "UPDATE", "object": {"metadata": {"labels": {"a": "b"}}, "spec": SPEC}, "oldObject": {"spec": SPEC}},
            True,
            id="labelled",
        ),
        pytest.param(
            {"operation": "UPDATE", "subResource": "status", "object": {"spec": SPEC}, "oldObject": {"spec": {}}}, True, id="status"
        ),
        pytest.param(
            {"operation": "UPDATE", "object": {"metadata": {"deletionTimestamp": "x"}, "spec": SPEC}, "oldObject": {"spec": {}}},
            True,
            id="finalizer removed",
        ),
        pytest.param({"operation": "DELETE", "oldObject": {"spec": SPEC}}, True, id="deleted"),
    ],
)
def test_only_a_new_spec_is_judged(review: JsonObject, is_unchanged: bool) -> None:
    assert unchanged(review) is is_unchanged


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"request": 1}'], ids=["empty", "cut off", "a list", "no request"])
def test_what_is_no_review_is_answered_with_status_400(body: bytes) -> None:
    async def run() -> int:
        async with TestClient(TestServer(ready().application())) as client:
            return (await client.post("/validate-modelworkload", data=body)).status

    assert asyncio.run(run()) == 400


@pytest.mark.parametrize(("size", "status"), [(3 * 2**20, 200), (LONGEST_BODY + 1, 413)], ids=["large", "endless"])
def test_a_large_object_is_read_and_an_endless_one_is_not(size: int, status: int) -> None:
    large = workload("train", "team")
    large["metadata"]["annotations"] = {"note": "x" * size}

    async def run() -> int:
        async with TestClient(TestServer(ready().application())) as client:
            return (await client.post("/validate-modelworkload", data=io.BytesIO(json.dumps(request(large)).encode()))).status

    assert asyncio.run(run()) == status
