"""Every query of a tick, evaluated by a real Prometheus over a back-filled past whose truth is known."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol

import pytest

from mfu.observe.prometheus import PrometheusMetrics
from mfu.observe.telemetry import PodKey, Snapshot, Source, TrainingCounters
from mfu.observe.tick import read_snapshot
from sandbox.monitoring import Prometheus, TargetGroup, start_prometheus
from sandbox.processes import Supervisor
from sandbox.toolchain import Tools

pytestmark = pytest.mark.cluster

SCRAPE_SECONDS = 15
PAST_SECONDS = 900
AHEAD_SECONDS = 900  # tests run for a while after the past was written
MANY_PODS = 200

Labels = Mapping[str, str]
ENGINE = {"engine": "0", "model_name": "m"}


class History:
    """Writes an OpenMetrics file, one sample each scrape. Times are seconds before (−) or after the start of the tests."""

    def __init__(self, start: float) -> None:
        self.start = start
        self._families: dict[str, list[str]] = {}

    def add(
        self, name: str, labels: Labels, value: Callable[[float], float], *, first: float = -PAST_SECONDS, last: float = AHEAD_SECONDS
    ) -> None:
        text = ",".join(f'{key}="{label}"' for key, label in labels.items())
        lines = self._families.setdefault(name, [])
        at = first
        while at <= last:
            lines.append(f"{name}{{{text}}} {value(at)} {self.start + at:.3f}")
            at += SCRAPE_SECONDS

    def counter(self, name: str, labels: Labels, rate: float, **between: float) -> None:
        self.add(name, labels, lambda at: 1000.0 + rate * (at + PAST_SECONDS), **between)

    def gauge(self, name: str, labels: Labels, value: float, **between: float) -> None:
        self.add(name, labels, lambda at: value, **between)

    def write(self, path: Path) -> None:
        # Untyped families: their sample names are taken as they stand.
        text = "".join(f"# TYPE {name} unknown\n" + "\n".join(lines) + "\n" for name, lines in self._families.items())
        path.write_text(text + "# EOF\n", encoding="utf-8")


def target(namespace: str, pod: str) -> dict[str, str]:
    return {"namespace": namespace, "pod": pod, "instance": f"{pod}:8000", "job": "pods"}


def serve(history: History, labels: Labels, *, generated: float, computed: float, cached: float = 0.0, **between: float) -> None:
    own = {**labels, **ENGINE}
    history.counter("vllm:generation_tokens_total", own, generated, **between)
    history.counter("vllm:prompt_tokens_total", own, computed + cached, **between)
    history.counter("vllm:prompt_tokens_by_source_total", {**own, "source": "local_compute"}, computed, **between)
    history.counter("vllm:prompt_tokens_by_source_total", {**own, "source": "local_cache_hit"}, cached, **between)
    history.counter("vllm:prompt_tokens_cached_total", own, cached, **between)
    history.counter("vllm:request_prompt_tokens_sum", own, computed, **between)
    history.counter("vllm:request_prompt_tokens_count", own, computed / 1000.0, **between)
    history.gauge("vllm:num_requests_running", own, 7.0, **between)
    history.gauge("vllm:kv_cache_usage_perc", own, 0.25, **between)


def device(history: History, node: str, index: int, holder: Labels, *, tensor: float, clock: float = 1500.0, renamed: bool = False) -> None:
    own = {
        "UUID": f"GPU-{node}-{index}",
        "gpu": str(index),
        "modelName": "NVIDIA H100 80GB HBM3",
        ("hostname" if renamed else "Hostname"): node,
        "instance": f"{node}:9400",
        "job": "dcgm",
        **holder,
    }
    history.gauge("DCGM_FI_PROF_TENSOR_UTIL_RATIO" if renamed else "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", own, tensor)
    history.gauge("DCGM_FI_DEV_SM_CLOCK", own, clock)
    history.gauge("DCGM_FI_DEV_GPU_UTIL", own, 97.0)


def truth(history: History) -> None:
    serve(history, target("serving", "plain-0"), generated=300.0, computed=900.0, cached=100.0)
    for replica in ("prometheus-0", "prometheus-1"):
        serve(history, {**target("serving", "stored-twice-0"), "prometheus_replica": replica}, generated=300.0, computed=900.0)
    for rank in ("0", "1"):
        history.counter("vllm:generation_tokens_total", {**target("serving", "two-ranks-0"), "engine": rank, "model_name": "m"}, 40.0)
    serve(history, target("serving", "young-0"), generated=300.0, computed=900.0, first=-45.0)
    serve(history, target("serving", "gone-0"), generated=300.0, computed=900.0, last=-90.0)
    # A restart 40 s ago: the counter begins again from nothing.
    restarted = {**target("serving", "restarted-0"), **ENGINE}
    history.add("vllm:generation_tokens_total", restarted, lambda at: 100.0 * (at + PAST_SECONDS) if at < -40 else 100.0 * (at + 40))
    # Of a gateway in another namespace that claims to speak for this one: not believed.
    claim = {"namespace": "attacker", "pod": "evil-0", "exported_namespace": "serving", "exported_pod": "victim-0", "instance": "evil:1"}
    serve(history, claim, generated=9e9, computed=9e9)
    history.counter("sglang:realtime_tokens_total", {**target("serving", "sglang-0"), "mode": "decode", "tp_rank": "0"}, 50.0)
    history.counter("sglang:realtime_tokens_total", {**target("serving", "sglang-0"), "mode": "decode", "tp_rank": "1"}, 50.0)
    history.counter("sglang:realtime_tokens_total", {**target("serving", "sglang-0"), "mode": "prefill_compute", "tp_rank": "0"}, 70.0)
    history.counter("tgi_request_generated_tokens_sum", target("serving", "tgi-0"), 20.0)
    history.counter("tgi_request_input_length_sum", target("serving", "tgi-0"), 60.0)
    history.counter("trtllm_generation_tokens_total", {**target("serving", "trt-0"), "model_name": "m"}, 30.0)
    history.counter("dynamo_frontend_output_tokens_total", {**target("serving", "dynamo-0"), "model": "m"}, 25.0)
    history.counter("dynamo_frontend_input_sequence_tokens_sum", {**target("serving", "dynamo-0"), "model": "m"}, 90.0)
    history.counter("dynamo_frontend_cached_sequence_length_sum", {**target("serving", "dynamo-0"), "model": "m"}, 10.0)
    board = {"gpu_id": "3", "hostname": "mi-1", "card_series": "AMD Instinct MI300X OAM", "serial_number": "692", "instance": "mi-1:5000"}
    history.gauge("amd_gpu_gfx_activity", {**board, **target("research", "rocm-0")}, 83.0)
    for number in range(2):
        own = target("research", f"train-{number}")
        history.counter("mfu_training_tokens_total", own, 5000.0)
        history.counter("mfu_training_steps_total", own, 0.5)
        history.counter("mfu_training_data_wait_seconds_total", own, 0.3)
        history.counter("mfu_training_tokens_total", {**target("research", f"job-{number}"), "scope": "job"}, 8000.0)
    history.counter("team_tokens_total", target("research", "custom-0"), 123.0)
    holder = {"namespace": "gpu-operator", "pod": "nvidia-dcgm-exporter-x"}
    moved = {**holder, "exported_namespace": "research", "exported_pod": "train-0"}
    device(history, "node-a", 0, moved, tensor=0.6)
    device(history, "node-a", 1, {"namespace": "research", "pod": "train-1"}, tensor=0.5, renamed=True)
    device(history, "node-a", 2, holder, tensor=0.0)  # idle: the pod is the exporter itself
    for number in (1, 2):  # time-slicing: every sharing pod shows the device's own value
        device(history, "node-b", 0, {**holder, "exported_namespace": "dev", "exported_pod": f"slice-{number}"}, tensor=0.7)
    for number in range(MANY_PODS):
        own = {**target("many", f"pod-{number}"), **ENGINE}
        history.counter("vllm:generation_tokens_total", own, 10.0 + number)


@pytest.fixture(scope="module")
def prometheus(supervisor: Supervisor, tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Prometheus:
    history = History(float(int(time.time())))
    truth(history)
    path = tmp_path_factory.mktemp("history") / "history.txt"
    history.write(path)
    return start_prometheus(supervisor, tools, [], history=path, name="prometheus-of-the-past")


@pytest.fixture(scope="module")
def metrics(prometheus: Prometheus) -> Iterator[PrometheusMetrics]:
    with PrometheusMetrics(prometheus.url) as adapter:
        yield adapter


@pytest.fixture(scope="module")
def read(metrics: PrometheusMetrics) -> Snapshot:
    return read_snapshot(metrics, now=time.time(), training_counters=[TrainingCounters(tokens_metric="team_tokens_total")])


def served(pod: str) -> PodKey:
    return PodKey(namespace="serving", pod=pod)


def test_every_query_is_one_that_a_real_prometheus_evaluates(read: Snapshot) -> None:
    assert read.problem is None
    assert 0 < read.queries <= 25


def test_token_rates_lengths_and_gauges_are_those_of_the_truth(read: Snapshot) -> None:
    found = read.serving[served("plain-0")]
    assert found.source is Source.VLLM
    assert found.generation_tokens_per_second == pytest.approx(300.0, rel=0.01)
    assert found.computed_prompt_tokens_per_second == pytest.approx(900.0, rel=0.01)
    assert found.cached_prompt_tokens_per_second == pytest.approx(100.0, rel=0.01)
    assert found.mean_prompt_tokens == pytest.approx(1000.0, rel=0.01)
    assert found.running_requests == pytest.approx(7.0)
    assert found.cache_usage_ratio == pytest.approx(0.25)
    assert found.covers_window
    assert found.sampled_at_seconds == pytest.approx(read.at_seconds, abs=2 * SCRAPE_SECONDS)


def test_a_series_stored_by_two_replicas_counts_once(read: Snapshot) -> None:
    assert read.serving[served("stored-twice-0")].generation_tokens_per_second == pytest.approx(300.0, rel=0.01)
    assert read.serving[served("stored-twice-0")].running_requests == pytest.approx(7.0)


def test_data_parallel_ranks_of_one_pod_add_up_and_tensor_parallel_ranks_do_not(read: Snapshot) -> None:
    assert read.serving[served("two-ranks-0")].generation_tokens_per_second == pytest.approx(80.0, rel=0.01)
    assert read.serving[served("sglang-0")].generation_tokens_per_second == pytest.approx(50.0, rel=0.01)


def test_a_counter_that_starts_again_gives_its_rate_and_nothing_negative(read: Snapshot) -> None:
    assert read.serving[served("restarted-0")].generation_tokens_per_second == pytest.approx(100.0, rel=0.2)


def test_a_series_younger_than_the_window_is_marked(read: Snapshot) -> None:
    assert not read.serving[served("young-0")].covers_window


def test_a_series_without_recent_scrapes_is_old_by_its_own_time(read: Snapshot) -> None:
    gone = read.serving[served("gone-0")]
    assert gone.sampled_at_seconds is not None
    assert read.at_seconds - gone.sampled_at_seconds >= 90.0


def test_a_claim_for_another_namespace_is_not_believed(read: Snapshot) -> None:
    assert served("victim-0") not in read.serving
    assert served("victim-0") in read.claimed
    assert all(key.namespace != "attacker" for key in read.serving)


@pytest.mark.parametrize(
    ("pod", "source", "generated", "computed"),
    [
        pytest.param("sglang-0", Source.SGLANG, 50.0, 70.0, id="sglang"),
        pytest.param("tgi-0", Source.TGI, 20.0, 60.0, id="tgi"),
        pytest.param("dynamo-0", Source.DYNAMO, 25.0, 80.0, id="dynamo"),
        pytest.param("trt-0", Source.TENSORRT_LLM, 30.0, 0.0, id="tensorrt-llm"),
    ],
)
def test_every_engine_is_read_under_its_own_names(read: Snapshot, pod: str, source: Source, generated: float, computed: float) -> None:
    found = read.serving[served(pod)]
    assert found.source is source
    assert found.generation_tokens_per_second == pytest.approx(generated, rel=0.01)
    assert found.computed_prompt_tokens_per_second == pytest.approx(computed, rel=0.01)


def test_training_counters_are_read_with_their_scope(read: Snapshot) -> None:
    own = read.training[PodKey(namespace="research", pod="train-0")]
    whole = read.training[PodKey(namespace="research", pod="job-0")]
    assert (own.tokens_per_second, own.steps_per_second, own.data_wait_ratio) == pytest.approx((5000.0, 0.5, 0.3), rel=0.01)
    assert not own.counts_whole_job and whole.counts_whole_job


def test_a_declared_counter_is_read_for_its_pods_only(read: Snapshot) -> None:
    found = read.declared[TrainingCounters(tokens_metric="team_tokens_total")]
    assert {key.pod for key in found} == {"custom-0"}
    assert found[PodKey(namespace="research", pod="custom-0")].tokens_per_second == pytest.approx(123.0, rel=0.01)


def test_devices_are_read_with_old_and_new_names_and_their_holder(read: Snapshot) -> None:
    by_uuid = {found.uuid: found for found in read.devices}
    first, second, idle = (by_uuid[f"GPU-node-a-{index}"] for index in range(3))
    assert (first.node, second.node) == ("node-a", "node-a")
    assert first.pod == PodKey(namespace="research", pod="train-0")
    assert second.pod == PodKey(namespace="research", pod="train-1")
    assert idle.pod is None
    assert (first.tensor_active_ratio, second.tensor_active_ratio) == pytest.approx((0.6, 0.5))
    assert first.clock_hertz == pytest.approx(1.5e9)
    assert first.busy_ratio == pytest.approx(0.97)


def test_amd_devices_are_read_under_their_exporters_own_names(read: Snapshot) -> None:
    found = next(each for each in read.devices if each.node == "mi-1")
    assert (found.pod, found.busy_ratio) == (PodKey(namespace="research", pod="rocm-0"), pytest.approx(0.83))


def test_a_time_sliced_device_is_one_device_that_belongs_to_nobody(read: Snapshot) -> None:
    found = [each for each in read.devices if each.uuid == "GPU-node-b-0"]
    assert len(found) == 1
    assert found[0].pod is None
    assert {key.pod for key in found[0].sharers} == {"slice-1", "slice-2"}


def test_the_number_of_queries_is_the_same_for_5_and_for_200_pods(
    metrics: PrometheusMetrics, supervisor: Supervisor, tools: Tools, tmp_path: Path
) -> None:
    history = History(float(int(time.time())))
    for number in range(5):
        history.counter("vllm:generation_tokens_total", {**target("many", f"pod-{number}"), **ENGINE}, 10.0 + number)
    history.write(tmp_path / "few.txt")
    small = start_prometheus(supervisor, tools, [], history=tmp_path / "few.txt", name="prometheus-of-five-pods")
    with PrometheusMetrics(small.url) as adapter:
        few = read_snapshot(adapter, now=time.time())
    many = read_snapshot(metrics, now=time.time())
    assert sum(key.namespace == "many" for key in few.serving) == 5
    assert sum(key.namespace == "many" for key in many.serving) == MANY_PODS
    assert few.queries == many.queries
    assert many.serving[PodKey(namespace="many", pod="pod-150")].generation_tokens_per_second == pytest.approx(160.0, rel=0.01)


class Exporter:
    """Serves what a vLLM pod and the device exporter of its node would, growing with real time."""

    RATE = 500.0

    def __init__(self) -> None:
        exporter = self
        self.started = time.monotonic()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = exporter.text().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def text(self) -> str:
        tokens = self.RATE * (time.monotonic() - self.started)
        # The device exporter names the pod in labels that collide with the target's own, so Prometheus moves them to exported_*.
        holder = 'namespace="live",pod="chat-0"'
        return (
            f'vllm:generation_tokens_total{{engine="0",model_name="m"}} {tokens}\n'
            f'DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{{UUID="GPU-live",Hostname="node-live",{holder}}} 0.4\n'
            f'DCGM_FI_DEV_SM_CLOCK{{UUID="GPU-live",Hostname="node-live",{holder}}} 1700\n'
        )

    def close(self) -> None:
        """May be called twice."""
        if not self._thread.is_alive():
            return
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


class HasPrometheus(Protocol):
    prometheus: Prometheus


def test_a_scraped_exporter_warms_up_is_read_and_becomes_stale_when_it_dies(monitoring: HasPrometheus, supervisor: Supervisor) -> None:
    exporter = Exporter()
    key = PodKey(namespace="live", pod="chat-0")
    live = monitoring.prometheus
    live.set_targets("tests", [TargetGroup(targets=[exporter.address], labels={"namespace": "live", "pod": "chat-0"})])
    try:
        with PrometheusMetrics(live.url) as adapter:

            def look() -> Snapshot:
                return read_snapshot(adapter, now=time.time(), window_seconds=6.0)

            supervisor.wait_until("the exporter's tokens are read", lambda: key in look().serving, seconds=30)
            assert not look().serving[key].covers_window
            supervisor.wait_until("the window is covered", lambda: look().serving[key].covers_window, seconds=30)
            seen = look()
            exporter.close()
            assert seen.serving[key].generation_tokens_per_second == pytest.approx(Exporter.RATE, rel=0.1)
            assert [(found.pod, found.clock_hertz) for found in seen.devices if found.uuid == "GPU-live"] == [(key, 1.7e9)]

            def ended() -> bool:
                left = look().serving.get(key)
                return left is not None and left.sampled_at_seconds is None

            supervisor.wait_until("the dead exporter's series have ended", ended, seconds=30)
    finally:
        exporter.close()
        live.set_targets("tests", [])
