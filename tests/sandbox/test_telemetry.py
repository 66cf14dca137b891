"""The telemetry simulator serves the real exporters' names and labels for the pods that really run."""

import json
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from sandbox.story import read_story
from sandbox.telemetry import DEVICES, Node, Pod, Simulation, _handler

ROOT = Path(__file__).resolve().parents[2]
STORY = ROOT / "sandbox" / "scenarios" / "demo" / "story.yaml"
H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
L40S = {"nvidia.com/gpu.product": "NVIDIA-L40S"}


def _pod(namespace: str, workload: str, index: int, node: str, devices: int) -> Pod:
    return Pod(
        namespace=namespace, name=f"{workload}-{index}", workload=workload, node=node, devices=devices, index=index, container="main"
    )


def _pods(*pods: Pod) -> dict[tuple[str, str], Pod]:
    return {pod.key: pod for pod in pods}


@pytest.fixture
def simulation() -> Simulation:
    made = Simulation(story=read_story(STORY), products=yaml.safe_load(DEVICES.read_text()))
    made.nodes = {
        "h100-00": Node(name="h100-00", labels=H100, devices=8),
        "h100-01": Node(name="h100-01", labels=H100, devices=8),
        "l40s-00": Node(name="l40s-00", labels=L40S, devices=4),
        "cpu-00": Node(name="cpu-00", labels={}, devices=0),
    }
    return made


@pytest.fixture
def url(simulation: Simulation) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(simulation))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _value(simulation: Simulation, path: str, name: str) -> float:
    families = simulation.families(path)
    assert families is not None
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def test_only_the_first_rank_of_a_training_job_counts_and_it_counts_for_all(simulation: Simulation) -> None:
    gang = _pods(_pod("research", "llama-70b-pretrain", 0, "h100-00", 8), _pod("research", "llama-70b-pretrain", 1, "h100-01", 8))
    simulation.advance(0.0, gang)
    simulation.advance(10.0, gang)
    counted = _value(simulation, "/pods/research/llama-70b-pretrain-0", "mfu_training_tokens_total")
    assert counted == pytest.approx(0.42 * 989.4e12 / 4.49e11 * 16 * 10.0)
    assert simulation.families("/pods/research/llama-70b-pretrain-1") is None


def test_every_replica_of_an_engine_serves_its_own_counters(simulation: Simulation) -> None:
    replicas = _pods(_pod("serving", "chat-8b", 0, "l40s-00", 1), _pod("serving", "chat-8b", 1, "l40s-00", 1))
    simulation.advance(0.0, replicas)
    simulation.advance(5.0, replicas)
    for index in (0, 1):
        assert _value(simulation, f"/pods/serving/chat-8b-{index}", "vllm:num_requests_running") == 3
        assert _value(simulation, f"/pods/serving/chat-8b-{index}", "vllm:generation_tokens_total") == pytest.approx(3 / 0.0222 * 5)


def test_a_node_shows_the_pods_devices_and_its_idle_ones(simulation: Simulation) -> None:
    simulation.advance(1.0, _pods(_pod("serving", "chat-8b", 0, "l40s-00", 1)))
    families = simulation.families("/dcgm/l40s-00")
    assert families is not None
    busy = {sample.labels["gpu"]: sample for family in families for sample in family.samples if sample.name == "DCGM_FI_DEV_GPU_UTIL"}
    assert len(busy) == 4
    assert busy["0"].labels["pod"] == "chat-8b-0"
    assert busy["0"].value > 90
    assert all(busy[str(index)].labels["pod"] == "" and busy[str(index)].value == 0 for index in (1, 2, 3))
    assert len({sample.labels["UUID"] for sample in busy.values()}) == 4


def test_a_pod_that_is_gone_is_no_target_any_more(simulation: Simulation) -> None:
    simulation.advance(1.0, _pods(_pod("serving", "chat-8b", 0, "l40s-00", 1)))
    assert any(target["labels"]["pod"] == "chat-8b-0" for target in simulation.targets("x"))  # type: ignore[index]
    simulation.advance(1.0, {})
    assert not any(target["labels"]["pod"] == "chat-8b-0" for target in simulation.targets("x"))  # type: ignore[index]


def test_nodes_without_known_devices_have_no_exporter(simulation: Simulation) -> None:
    paths = {target["labels"]["__metrics_path__"] for target in simulation.targets("x")}  # type: ignore[index]
    assert paths == {"/dcgm/h100-00", "/dcgm/h100-01", "/dcgm/l40s-00"}


def test_what_it_serves_is_prometheus_text_behind_service_discovery(simulation: Simulation, url: str) -> None:
    simulation.advance(1.0, _pods(_pod("serving", "chat-8b", 0, "l40s-00", 1)))
    with urlopen(f"{url}/targets") as response:
        targets = json.load(response)
    assert all(target["targets"] == [url.removeprefix("http://")] for target in targets)
    for target in targets:
        with urlopen(url + target["labels"]["__metrics_path__"]) as response:
            assert list(text_string_to_metric_families(response.read().decode()))
