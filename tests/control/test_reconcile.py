"""One look at one workload, with a cluster that is a dictionary."""

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest

from mfu.control.admitting import Admitting
from mfu.control.allocation import Allocation
from mfu.control.configs import ConfigTexts, references
from mfu.control.events import Recorder
from mfu.control.exporter import ControllerMetrics
from mfu.control.judging import Judging
from mfu.control.placing import Placing
from mfu.control.reconcile import Reconciler
from mfu.control.resources import JsonObject, Key, Kind, key_of
from mfu.control.store import Store
from mfu.control.view import View
from mfu.control.writing import StatusWriter
from mfu.errors import ClusterError
from mfu.missing import Missing, Reason
from mfu.place.topology import LevelKeys
from tests.control.conftest import NODES, held_job, held_pod, node, policy, workload

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
CREATED = "2026-01-01T00:00:00Z"


class Cluster:
    """Merge patches are applied, JSON patches only kept; everything asked is kept."""

    def __init__(self) -> None:
        self.objects: dict[Key, JsonObject] = {}
        self.patches: list[tuple[Key, Any, str]] = []
        self.events: list[str] = []
        self.failure: ClusterError | None = None
        self._version = 100

    def put(self, kind: Kind, body: JsonObject) -> JsonObject:
        self._version += 1
        body = copy.deepcopy(body)
        body["metadata"] |= {"resourceVersion": str(self._version), "uid": body["metadata"]["name"], "generation": 1}
        body["metadata"].setdefault("creationTimestamp", CREATED)
        self.objects[key_of(kind, body)] = body
        return body

    async def get(self, kind: Kind, namespace: str, name: str) -> JsonObject | None:
        return self.objects.get(Key(kind=kind, namespace=namespace, name=name))

    async def create(self, kind: Kind, namespace: str, body: JsonObject) -> JsonObject:
        self.events.append(body["reason"])
        return body

    async def patch(self, kind: Kind, namespace: str, name: str, body: Any, *, subresource: str = "") -> JsonObject:
        key = Key(kind=kind, namespace=namespace, name=name)
        self.patches.append((key, body, subresource))
        if self.failure is not None:
            raise self.failure
        stored = self.objects[key]
        if isinstance(body, list):
            return stored
        return self.put(kind, _merged(stored, {"status": body["status"]} if subresource else body))


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        result[name] = _merged(result.get(name), value)
    return {name: value for name, value in result.items() if value is not None}


class World:
    """Everything between the store and the cluster, put together as the controller does."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.store = Store()
        self.now = NOW
        self.metrics = ControllerMetrics()
        self.allocation = Allocation()
        cluster: Any = self.cluster
        view = View(self.store)
        recorder = Recorder(cluster, "me")
        self.judging = Judging(self.store, view, self.allocation, ConfigTexts(cluster), LevelKeys())
        placing = Placing(view, self.allocation, LevelKeys())
        self.reconciler = Reconciler(
            store=self.store,
            view=view,
            judging=self.judging,
            placing=placing,
            admitting=Admitting(cluster, self.store, recorder, self.metrics, placing, 3600.0, lambda: self.now),
            writer=StatusWriter(cluster, self.store, self.metrics),
            recorder=recorder,
            metrics=self.metrics,
            clock=lambda: self.now,
        )
        for name in NODES:
            self.add(Kind.NODE, node(name))

    def add(self, kind: Kind, body: JsonObject) -> Key:
        stored = self.cluster.put(kind, body)
        if kind is Kind.NODE:
            stored["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
        self.store.apply(kind, stored)
        return key_of(kind, stored)

    def look(self, key: Key) -> float | None:
        return asyncio.run(self.reconciler.reconcile(key))

    def status(self, key: Key) -> Any:
        return self.cluster.objects[key].get("status") or {}

    def written(self, kind: Kind) -> list[Any]:
        return [body for key, body, _ in self.cluster.patches if key.kind is kind]


@pytest.fixture
def world() -> World:
    return World()


FLOOR = policy("floor", "team", mode="Gate", floors=[{"expectedMfu": "90%"}], hold={"maxSeconds": 600})


def gated(world: World) -> None:
    world.add(Kind.NAMESPACE, {"metadata": {"name": "team", "labels": {"kubernetes.io/metadata.name": "team"}}})
    world.add(Kind.POLICY, FLOOR)


def test_a_second_look_writes_nothing(world: World) -> None:
    key = world.add(Kind.WORKLOAD, workload("train", "team"))
    world.look(key)
    assert len(world.cluster.patches) == 1
    world.look(key)
    assert len(world.cluster.patches) == 1
    assert world.cluster.events == ["Admitted"]


def test_an_admitted_job_is_opened_once(world: World) -> None:
    key = world.add(Kind.WORKLOAD, workload("train", "team"))
    world.add(Kind.JOB, held_job("train", "team"))
    world.look(key)
    world.look(key)
    (patch,) = world.written(Kind.JOB)
    assert patch["spec"]["suspend"] is False
    assert patch["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    assert "leaf" in world.status(key)["placement"]["hint"]


def test_a_held_job_is_looked_at_again_at_its_deadline_and_then_opened(world: World) -> None:
    gated(world)
    key = world.add(Kind.WORKLOAD, workload("train", "team"))
    world.add(Kind.JOB, held_job("train", "team"))
    world.now = NOW + 100.0
    assert world.look(key) == pytest.approx(500.0)
    assert world.written(Kind.JOB) == []
    world.now = NOW + 600.0
    world.look(key)
    (patch,) = world.written(Kind.JOB)
    assert patch["metadata"]["annotations"] == {"mfu.dev/admitted": "GateTimedOut"}
    world.look(key)
    assert world.status(key)["verdict"]["reason"] == "GateTimedOut"
    assert "GateTimedOut" in world.cluster.events


def test_a_second_job_is_not_let_through_because_the_first_one_was(world: World) -> None:
    gated(world)
    key = world.add(Kind.WORKLOAD, workload("train", "team"))
    world.add(Kind.JOB, held_job("first", "team", of="train"))
    world.now = NOW + 600.0
    world.look(key)
    second = held_job("second", "team", of="train")
    second["metadata"]["creationTimestamp"] = "2026-01-01T00:09:00Z"
    world.add(Kind.JOB, second)
    assert world.look(key) == pytest.approx(540.0)
    assert len(world.written(Kind.JOB)) == 1
    assert world.status(key)["verdict"]["decision"] == "Held"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(Kind.JOB, held_job("first", "team", of="train"), id="job"),
        pytest.param(Kind.POD, held_pod("first", "team", of="train"), id="pod"),
    ],
)
def test_what_lost_the_label_while_it_was_held_is_let_through(world: World, kind: Kind, body: JsonObject) -> None:
    gated(world)
    key = world.add(Kind.WORKLOAD, workload("train", "team"))
    member = world.add(kind, body)
    world.look(key)
    assert world.written(kind) == []
    world.store.remove(member)  # the watch selects by the label and tells of it as deleted
    world.look(key)
    world.look(key)
    (patch,) = world.written(kind)
    assert "Unlabelled" in str(patch)
    assert world.cluster.objects[member]["metadata"]["uid"] in str(patch), "another object of that name is left alone"
    assert "Unlabelled" in world.cluster.events


def test_a_job_is_told_anew_why_it_is_held_when_its_workload_goes(world: World) -> None:
    gated(world)
    key = world.add(Kind.WORKLOAD, workload("train", "team"))
    world.add(Kind.JOB, held_job("train", "team"))
    world.look(key)
    world.store.remove(key)
    world.look(key)
    world.look(key)
    assert world.cluster.events.count("NoSuchWorkload") == 1
    world.store.apply(Kind.WORKLOAD, world.cluster.put(Kind.WORKLOAD, workload("train", "team")))
    world.look(key)
    assert world.cluster.events.count("Held") == 4, "of the workload and of its Job, twice"


def test_what_runs_is_not_called_held(world: World) -> None:
    key = world.add(Kind.WORKLOAD, workload("train", "team"))
    world.add(Kind.JOB, held_job("train", "team"))
    world.look(key)
    gated(world)
    world.look(key)
    status = world.status(key)
    assert (status["verdict"]["decision"], status["verdict"]["reason"]) == ("Warned", "BelowExpectedMFUFloor")
    assert "nothing waits at the gate" in status["verdict"]["message"]
    assert not status["summary"].startswith("held")


def test_a_job_that_was_annotated_beforehand_is_let_through_by_hand(world: World) -> None:
    gated(world)
    key = world.add(Kind.WORKLOAD, workload("train", "team"))
    job = held_job("train", "team")
    job["metadata"]["annotations"] = {"mfu.dev/skip-gate": "demo"}
    job["spec"]["suspend"] = False
    world.add(Kind.JOB, job)
    world.look(key)
    verdict = world.status(key)["verdict"]
    assert (verdict["decision"], verdict["reason"]) == ("Admitted", "BreakGlass")
    assert "demo" in verdict["message"]


def test_a_pod_on_a_slice_is_not_taken_for_one_on_a_whole_device(world: World) -> None:
    body = node("ctl-0-sliced")
    resources = {"nvidia.com/gpu": "2", "nvidia.com/mig-1g.10gb": "14", "nvidia.com/mig-3g.40gb": "4"}
    body["status"] = {"capacity": resources, "allocatable": resources}
    world.add(Kind.NODE, body)
    declared = workload("small", "team", accelerators={"count": 1}, training={"sequenceLength": 128})
    key = world.add(Kind.WORKLOAD, declared)
    pod = held_pod("p", "team", of="small", gpus=1, gates=())
    pod["spec"]["nodeName"] = "ctl-0-sliced"
    pod["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/mig-1g.10gb": "1"}}
    pod["status"] = {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"}
    world.add(Kind.POD, pod)
    world.look(key)
    assert world.status(key)["accelerators"]["class"] == "h100-sxm-80gb/1g.10gb"


def test_a_mistake_of_our_own_opens_the_gates_and_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gated(world)
    key = world.add(Kind.WORKLOAD, workload("train", "team"))
    world.add(Kind.JOB, held_job("train", "team"))

    async def stumble(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(world.judging, "judge", stumble)
    world.look(key)
    (patch,) = world.written(Kind.JOB)
    assert patch["metadata"]["annotations"] == {"mfu.dev/admitted": "OperatorError"}
    (ready,) = world.status(key)["conditions"]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "False", "OperatorError")
    assert "division by zero" in ready["message"]
    world.look(key)
    assert len(world.written(Kind.WORKLOAD)) == 1


def test_an_api_that_refuses_a_write_is_told_to_the_queue(world: World) -> None:
    key = world.add(Kind.WORKLOAD, workload("train", "team"))
    world.cluster.failure = ClusterError("too many requests", status=429, retry_after_seconds=3.0)
    with pytest.raises(ClusterError):
        world.look(key)
    world.cluster.failure = None
    world.look(key)
    assert world.status(key)["verdict"]["decision"] == "Admitted"
    assert world.cluster.events == ["Admitted"]


def test_an_object_that_vanished_meanwhile_needs_no_status(world: World) -> None:
    key = world.add(Kind.WORKLOAD, workload("train", "team"))
    world.cluster.failure = ClusterError("not found", status=404)
    world.look(key)


def running_pod(name: str, on: str) -> JsonObject:
    containers = [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": "8"}}}]
    metadata = {"name": name, "namespace": "team", "labels": {"mfu.dev/workload": "train"}}
    return {"metadata": metadata, "spec": {"nodeName": on, "containers": containers}, "status": {"phase": "Running", "startTime": CREATED}}


def test_after_a_restart_the_written_figures_stay_until_the_first_tick_has_looked(world: World) -> None:
    body = workload("train", "team")
    body["status"] = {"observed": {"mfu": "40.0%"}, "conditions": []}
    key = world.add(Kind.WORKLOAD, body)
    world.add(Kind.POD, running_pod("train-0", NODES[0]))
    world.look(key)
    assert world.cluster.patches == []
    world.judging.observations[key] = Missing(reason=Reason.TELEMETRY_MISSING, message="nothing reports")
    world.look(key)
    assert world.status(key)["observed"]["mfu"] == "unknown"


def test_a_broken_intent_whose_pods_run_is_corrected_in_the_status_too(world: World) -> None:
    broken = workload("train", "team", model={"config": {"model_type": "llama"}})
    key = world.add(Kind.WORKLOAD, broken)
    world.add(Kind.POD, running_pod("train-0", NODES[0]))
    world.look(key)
    assert world.status(key)["expected"]["mfu"] == "unknown"
    broken["spec"]["model"] = {"catalog": "llama-3.1-8b"}
    corrected = world.cluster.put(Kind.WORKLOAD, {**broken, "status": world.status(key)})
    corrected["metadata"]["generation"] = 2
    world.store.apply(Kind.WORKLOAD, corrected)
    world.look(key)
    assert world.status(key)["expected"]["mfu"].endswith("%")


def test_a_workload_on_its_way_out_stops_no_sum(world: World) -> None:
    going = workload("going", "team")
    going["metadata"]["deletionTimestamp"] = CREATED
    world.look(world.add(Kind.WORKLOAD, going))
    world.look(world.add(Kind.WORKLOAD, workload("train", "team")))
    assert world.judging.is_complete


def test_the_accelerator_of_the_nodes_stands_in_for_an_undeclared_class(world: World) -> None:
    other = node("ctl-2-0")
    other["metadata"]["labels"] |= {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.memory": "81920"}
    world.add(Kind.NODE, other)
    key = world.add(Kind.WORKLOAD, workload("train", "team", accelerators={"count": 16, "perNode": 8}))
    world.look(key)
    assert world.status(key)["expected"]["mfu"] == "unknown"
    for index in range(2):
        world.add(Kind.POD, running_pod(f"train-{index}", NODES[index]))
    world.judging.observations[key] = Missing(reason=Reason.TELEMETRY_MISSING, message="nothing reports")
    world.look(key)
    assert world.status(key)["accelerators"]["class"] == "h100-sxm-80gb"
    assert world.status(key)["expected"]["mfu"].endswith("%")


def test_the_only_class_that_the_pods_could_get_stands_in_before_they_run(world: World) -> None:
    key = world.add(Kind.WORKLOAD, workload("train", "team", accelerators={"count": 16, "perNode": 8}))
    world.look(key)
    assert world.status(key)["accelerators"]["class"] == "h100-sxm-80gb"
    other = node("ctl-2-0")
    other["metadata"]["labels"] |= {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.memory": "81920"}
    world.add(Kind.NODE, other)
    world.look(key)
    assert world.status(key)["expected"]["mfu"] == "unknown"
    job = held_job("train", "team")
    job["spec"]["template"]["spec"]["nodeSelector"] = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}
    world.add(Kind.JOB, job)
    world.look(key)
    assert world.status(key)["accelerators"]["class"] == "a100-sxm-80gb"


def test_a_placement_across_leaves_is_diagnosed(world: World) -> None:
    key = world.add(Kind.WORKLOAD, workload("train", "team"))
    for index, on in enumerate((NODES[0], NODES[-1])):
        world.add(Kind.POD, running_pod(f"train-{index}", on))
    world.judging.observations[key] = Missing(reason=Reason.TELEMETRY_MISSING, message="nothing reports")
    world.look(key)
    assert "2 leaves" in world.status(key)["placement"]["placed"]


def test_a_config_that_appears_later_is_read(world: World) -> None:
    spec = {"model": {"configMapRef": {"name": "llama", "key": "config.json"}}}
    key = world.add(Kind.WORKLOAD, workload("train", "team", **spec))
    again = world.look(key)
    assert again is not None and again <= 10.0
    assert "llama" in world.status(key)["conditions"][0]["message"]
    config = Path(__file__).with_name("llama-3.1-8b.json").read_text()
    world.add(Kind.CONFIG_MAP, {"metadata": {"name": "llama", "namespace": "team"}, "data": {"config.json": config}})
    world.look(key)
    assert world.status(key)["expected"]["mfu"].endswith("%")


def test_references_are_found_wherever_a_model_is_declared_but_not_inside_a_config() -> None:
    spec = {
        "model": {"configMapRef": {"name": "a", "key": "k"}},
        "inference": {"speculative": {"draftModel": {"configMapRef": {"name": "b"}}}},
    }
    assert list(references(spec)) == [("a", "k"), ("b", "config.json")]
    assert list(references({"model": {"config": {"configMapRef": {"name": "x", "key": "y"}}}})) == []
