"""Which held objects are placed together, and where."""

from typing import Any

import pytest

from mfu.api.resolve import resolve
from mfu.control.allocation import Allocation
from mfu.control.gates import Held, held
from mfu.control.placing import MOST_GANGS, Placing
from mfu.control.resources import Key, Kind
from mfu.control.store import Store
from mfu.control.view import View
from mfu.place.hint import Hint
from mfu.place.topology import LevelKeys
from tests.control.conftest import NODES, held_job, held_pod, node, workload

KEY = Key(kind=Kind.WORKLOAD, namespace="team", name="train")


def placing(allocation: Allocation) -> Placing:
    store = Store()
    for name in NODES:
        body = node(name)
        body["metadata"] |= {"uid": name, "resourceVersion": "1"}
        body["status"] = {**body["status"], "conditions": []}
        store.apply(Kind.NODE, body)
    return Placing(View(store), allocation, LevelKeys())


def waiting(kind: Kind, body: dict[str, Any]) -> Held:
    body["metadata"] |= {"creationTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "1", "uid": body["metadata"]["name"]}
    found = held(kind, body)
    assert found is not None
    return found


def jobs(*names: str, pods: int = 2) -> list[Held]:
    return [waiting(Kind.JOB, held_job(name, "team", pods=pods, of="train")) for name in names]


def domains(chosen: Placing, intent: dict[str, Any], members: list[Held]) -> list[str]:
    releases = chosen.choose(KEY, resolve(intent), members, now=0.0)
    assert all(isinstance(release.hint, Hint) for release in releases)
    return [release.hint.domain for release in releases if isinstance(release.hint, Hint)]


def test_the_jobs_that_make_up_one_training_job_stay_together() -> None:
    allocation = Allocation()
    found = domains(placing(allocation), workload("train", "team"), jobs("workers-0", "workers-1", pods=1))
    assert len(set(found)) == 1
    assert sum(allocation.reserved(1.0).values()) == 16


def test_more_jobs_than_the_intent_spans_are_gangs_of_their_own() -> None:
    allocation = Allocation()
    domains(placing(allocation), workload("train", "team"), jobs("run-1", "run-2", pods=2))
    assert sum(allocation.reserved(1.0).values()) == 32


def test_replicas_are_placed_one_by_one() -> None:
    inference = {
        "model": {"catalog": "llama-3.1-8b"},
        "accelerators": {"class": "h100-sxm-80gb", "count": 8, "perNode": 8},
        "training": None,
        "inference": {"inputTokens": 1024, "outputTokens": 256, "parallelism": {"tensor": 8}},
    }
    intent = workload("train", "team", **inference)
    del intent["spec"]["training"]
    pods = [waiting(Kind.POD, held_pod(f"replica-{index}", "team", of="train")) for index in range(4)]
    found = domains(placing(Allocation()), intent, pods)
    assert len(set(found)) == 4


def test_many_replicas_are_taken_a_few_at_a_time() -> None:
    intent = workload("train", "team", accelerators={"class": "h100-sxm-80gb", "count": 1, "perNode": 1})
    intent["spec"]["inference"] = {"inputTokens": 1024, "outputTokens": 256}
    del intent["spec"]["training"]
    pods = [waiting(Kind.POD, held_pod(f"replica-{index:02}", "team", of="train", gpus=1)) for index in range(MOST_GANGS + 3)]
    releases = placing(Allocation()).choose(KEY, resolve(intent), pods, now=0.0)
    assert [release.held.key.name for release in releases] == [pod.key.name for pod in pods[:MOST_GANGS]]


def test_a_late_pod_of_a_gang_goes_where_the_others_are() -> None:
    allocation = Allocation()
    chosen = placing(allocation)
    first, late = (waiting(Kind.POD, held_pod(f"rank-{index}", "team", of="train")) for index in range(2))
    intent = workload("train", "team")
    (where,) = domains(chosen, intent, [first])
    bound = {
        "metadata": {"name": "rank-0", "namespace": "team", "labels": {"mfu.dev/workload": "train"}},
        "spec": {**first.body["spec"], "nodeName": NODES[0]},
        "status": {"phase": "Running"},
    }
    allocation.apply(Key(kind=Kind.POD, namespace="team", name="rank-0"), bound)
    assert domains(chosen, intent, [late]) == [where]


@pytest.mark.parametrize("gpus", [0], ids=["no accelerators"])
def test_pods_without_accelerators_get_no_hint(gpus: int) -> None:
    member = waiting(Kind.POD, held_pod("driver", "team", of="train", gpus=gpus))
    (release,) = placing(Allocation()).choose(KEY, resolve(workload("train", "team")), [member], now=0.0)
    assert release.hint is None
    assert release.affinity is None
