"""The memory of the ticks: what pods run with, and what all workloads teach together."""

from __future__ import annotations

from typing import Any

from mfu.control.resources import Key, Kind
from mfu.control.setups import Intents, setup_of
from mfu.control.tracking import Tracking, where_of
from mfu.judge.change import Setup
from mfu.judge.policy import DriftRule
from mfu.missing import Missing, Reason
from tests.judge.cases import NOW, estimate, fabric, observed, training

BODY: dict[str, Any] = {"metadata": {"uid": "1", "generation": 1}, "spec": {"training": {"globalBatchSize": 8}}}


def pod(node: str, image: str) -> dict[str, Any]:
    worker = {"name": "worker", "image": image, "resources": {"limits": {"nvidia.com/gpu": "8"}}}
    return {"spec": {"nodeName": node, "containers": [worker, {"name": "sidecar", "image": "logs:9"}]}}


def labels(node: str) -> dict[str, str]:
    return {"nvidia.com/cuda.driver-version.full": "570.1" if node == "gpu-2" else "550.90"}


def setup(pods: list[dict[str, Any]], *, whole: bool = True, fixed: bool = True) -> Setup:
    return setup_of(BODY, pods, labels, Intents().of("a", BODY, "h100"), is_whole=whole, has_fixed_nodes=fixed)


def test_a_setup_is_read_off_pods_and_nodes() -> None:
    found = setup([pod("gpu-1", "train:1"), pod("gpu-2", "train:1"), pod("gpu-3", "train:2")])
    assert (found.image, found.driver, found.nodes) == ("train:1", "550.90, 570.1", "gpu-1, gpu-2, gpu-3")
    assert ("accelerators.class", "h100") in found.leaves and found.spec


def test_of_a_part_of_a_job_and_of_replicas_no_nodes_are_told() -> None:
    assert setup([pod("gpu-1", "train:1")], whole=False).nodes == ""
    assert setup([pod("gpu-1", "train:1")], fixed=False).nodes == ""


def test_an_intent_is_another_on_another_class() -> None:
    intents = Intents()
    assert intents.of("a", BODY, "h100") == intents.of("a", BODY, "h100") != intents.of("a", BODY, "h200")


def fed(tracking: Tracking, name: str, ratio: float, *, count: int = 32, hours: float = 13.0) -> Key:
    key = Key(kind=Kind.WORKLOAD, namespace="team", name=name)
    workload, expected = training(on=fabric(count=count)), estimate(0.4)
    for number in range(round(hours * 120)):
        seen = observed(ratio)
        at = NOW + 30.0 * number
        moment = type(seen)(at_seconds=at, mfu_ratio=ratio, hardware_ratio=seen.hardware_ratio)
        tracking.look(key, {}, workload, expected, moment, Setup(spec="a"), DriftRule())
    return key


def test_stable_workloads_teach_and_drifting_ones_do_not() -> None:
    tracking = Tracking()
    for number in range(5):
        fed(tracking, f"stable-{number}", 0.36)
    drifting = fed(tracking, "drifting", 0.36)
    fed_again = training()
    for number in range(30):
        moment = observed(0.2)
        late = type(moment)(at_seconds=NOW + 14 * 3600 + 30.0 * number, mfu_ratio=0.2, hardware_ratio=moment.hardware_ratio)
        tracking.look(drifting, {}, fed_again, estimate(0.4), late, Setup(spec="a"), DriftRule())
    assert tracking.record(drifting, {}).deviation.drifting
    tracking.learn(NOW + 15 * 3600)
    learned = tracking.calibrated(training(), estimate(0.4))
    assert learned is not None and learned.workloads == 5 and 0.36 < learned.mfu_ratio < 0.39
    assert learned.low_ratio < learned.mfu_ratio < learned.high_ratio
    assert tracking.calibrated(Missing(reason=Reason.UNKNOWN_MODEL, message="?"), estimate(0.4)) is None
    assert where_of(training()).software == "megatron-core"


def test_peers_are_the_same_work_elsewhere_in_the_namespace() -> None:
    tracking = Tracking()
    here, there = fed(tracking, "small", 0.36, hours=1.0), fed(tracking, "large", 0.30, count=64, hours=1.0)
    tracking.learn(NOW + 7200)
    assert [(peer.count, round(peer.observed_ratio, 2)) for peer in tracking.peers(here)] == [(64, 0.30)]
    assert [(peer.count, round(peer.observed_ratio, 2)) for peer in tracking.peers(there)] == [(32, 0.36)]


def test_news_are_told_once() -> None:
    tracking = Tracking()
    key = Key(kind=Kind.WORKLOAD, namespace="team", name="a")
    told = []
    for number in range(200):
        seen = observed(0.36 if number < 120 else 0.2)
        moment = type(seen)(at_seconds=NOW + 30.0 * number, mfu_ratio=seen.mfu_ratio, hardware_ratio=seen.hardware_ratio)
        told.append(tracking.look(key, {}, training(), estimate(0.4), moment, Setup(spec="a"), DriftRule()))
    assert 2 <= sum(told) <= 5 and sum(told[120:]) == 1


def test_a_silence_freezes_and_what_is_gone_is_forgotten() -> None:
    tracking = Tracking()
    key = fed(tracking, "a", 0.36, hours=1.0)
    tracking.silent(key)
    assert tracking.record(key, {}).last is None and tracking.record(key, {}).levels.top is not None
    tracking.forget(key)
    assert tracking.record(key, {}).levels.top is None
