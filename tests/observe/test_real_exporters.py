"""What exporters really do, written into a real Prometheus and read back by a tick."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

import pytest

from mfu.observe import alternation
from mfu.observe.dcgm import DCGM
from mfu.observe.prometheus import PrometheusMetrics
from mfu.observe.telemetry import DeviceTelemetry, PodKey, Snapshot
from mfu.observe.tick import read_snapshot
from sandbox.monitoring import start_prometheus
from sandbox.processes import Supervisor
from sandbox.toolchain import Tools

pytestmark = pytest.mark.cluster

SCRAPE_SECONDS = 15
FIRST, LAST = -900, 900
EXPORTER = {"namespace": "gpu-operator", "pod": "nvidia-dcgm-exporter-x", "instance": "node-1:9400"}
SENTINEL = 9223372036854775794.0

Series = tuple[str, Mapping[str, str], float, Sequence[int]]
ALWAYS = range(FIRST, LAST + 1, SCRAPE_SECONDS)


def gpu(number: int, pod: str = "", **more: str) -> dict[str, str]:
    own = {
        "UUID": f"GPU-{number}",
        "gpu": str(number),
        "Hostname": "nvidia-dcgm-exporter-x",
        "nodeName": "node-1",
        "modelName": "NVIDIA H100",
    }
    return {**EXPORTER, **own, **({"exported_namespace": "team", "exported_pod": pod} if pod else {}), **more}


def application(pod: str, **more: str) -> dict[str, str]:
    return {"namespace": "team", "pod": pod, "instance": f"{pod}:8000", **more}


def counters() -> Iterator[tuple[str, Mapping[str, str], float]]:
    for rank in ("0", "1"):
        yield "mfu_training_tokens_total", application("ranks-0", scope="rank", rank=rank), 1000.0
    for pod in ("whole-0", "whole-1"):
        yield "mfu_training_tokens_total", application(pod, scope="job", rank="0"), 7000.0
    worker = application("gateway-0", worker_addr="grpc://w:1", mode="prefill_compute")
    yield "sglang_realtime_tokens_total", worker, 55.0
    yield "dynamo_frontend_output_sequence_tokens_sum", application("dynamo-0", model="m"), 25.0
    yield "dynamo_frontend_input_sequence_tokens_sum", application("dynamo-0", model="m"), 90.0
    yield "nv_inference_count", application("triton-0", model="ensemble", version="1"), 3.0


def gauges() -> Iterator[Series]:
    for number, (instance, pod) in enumerate((("7", "slice-a"), ("9", "slice-b"))):
        own = gpu(0, pod, GPU_I_ID=instance, GPU_I_PROFILE="1g.10gb")
        yield "DCGM_FI_DEV_SM_CLOCK", own, 1410.0, ALWAYS
        yield "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", own, 0.1 + 0.2 * number, ALWAYS
        yield "DCGM_FI_PROF_GR_ENGINE_ACTIVE", own, 0.5, ALWAYS
        yield "DCGM_FI_DEV_POWER_USAGE", own, 300.0, ALWAYS
    for name, value in (("DCGM_FI_DEV_SM_CLOCK", 1500.0), ("DCGM_FI_DEV_GPU_UTIL", 90.0), ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", 0.4)):
        yield name, gpu(1, "steady-0"), value, ALWAYS
        yield name, gpu(5, "steady-0"), value, ALWAYS
    yield "DCGM_FI_DEV_POWER_USAGE", gpu(1, "steady-0"), SENTINEL, ALWAYS
    yield "DCGM_FI_DEV_POWER_USAGE", gpu(5, "steady-0"), 400.0, ALWAYS
    # Shared: at each scrape the exporter names another of the two pods.
    for turn, pod in enumerate(("turn-a", "turn-b")):
        yield "DCGM_FI_DEV_SM_CLOCK", gpu(2, pod), 1500.0, ALWAYS[turn::2]
    # Handed on: one pod ended seven minutes ago, and then the next began.
    yield "DCGM_FI_DEV_SM_CLOCK", gpu(3, "before-0"), 1500.0, range(FIRST, -420, SCRAPE_SECONDS)
    yield "DCGM_FI_DEV_SM_CLOCK", gpu(3, "after-0"), 1500.0, range(-390, LAST, SCRAPE_SECONDS)
    yield "DCGM_FI_DEV_SM_CLOCK", gpu(4), 210.0, ALWAYS
    # A provider's list of figures without clocks and utilisation.
    yield "DCGM_FI_PROF_GR_ENGINE_ACTIVE", gpu(6, "profiled-0"), 0.7, ALWAYS
    yield "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", gpu(6, "profiled-0"), 0.3, ALWAYS
    no_uuid = "00000000-0000-0000-0000-000000000000"
    for index in ("0", "1"):
        board = {
            "gpu_id": index,
            "gpu_uuid": no_uuid,
            "hostname": "mi-1",
            "card_series": "Aqua Vanjaram [Instinct MI300X VF]",
            "card_model": "",
        }
        yield "GPU_GFX_ACTIVITY", {**application(f"rocm-{index}"), **board}, 83.0, ALWAYS
        partition = {
            "gpu_id": index,
            "serial_number": "6924",
            "hostname": "0123456789ab",
            "gpu_compute_partition_type": "cpx",
            "node": "mi-2",
        }
        yield "gpu_gfx_activity", {**application(f"cpx-{index}"), **partition}, 50.0, ALWAYS


def openmetrics(start: float) -> str:
    families: dict[str, list[str]] = {}
    series: list[Series] = [*gauges(), *((name, labels, -rate, ALWAYS) for name, labels, rate in counters())]
    for name, labels, value, times in series:
        text = ",".join(f'{key}="{label}"' for key, label in labels.items())
        # Counters are marked by a negative value: their rate.
        families.setdefault(name, []).extend(
            f"{name}{{{text}}} {value if value >= 0.0 else -value * (at - FIRST)} {start + at:.3f}" for at in times
        )
    return "".join(f"# TYPE {name} unknown\n" + "\n".join(lines) + "\n" for name, lines in families.items()) + "# EOF\n"


@pytest.fixture(scope="module")
def metrics(supervisor: Supervisor, tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusMetrics]:
    path = tmp_path_factory.mktemp("exporters") / "history.txt"
    path.write_text(openmetrics(float(int(time.time()))), encoding="utf-8")
    with PrometheusMetrics(start_prometheus(supervisor, tools, [], history=path, name="prometheus-of-exporters").url) as adapter:
        yield adapter


@pytest.fixture(scope="module")
def read(metrics: PrometheusMetrics) -> Snapshot:
    return read_snapshot(metrics, now=time.time())


def pod(name: str) -> PodKey:
    return PodKey(namespace="team", pod=name)


def held(read: Snapshot, name: str) -> tuple[DeviceTelemetry, ...]:
    return read.held_by([pod(name)])


def test_every_query_is_understood(read: Snapshot) -> None:
    assert read.problem is None and read.queries <= 25


def test_instances_of_a_device_are_devices_of_their_own(read: Snapshot) -> None:
    for name, tensor in (("slice-a", 0.1), ("slice-b", 0.3)):
        (found,) = held(read, name)
        assert (found.partition, found.sharers, found.node) == ("1g.10gb", (), "node-1")
        assert found.tensor_active_ratio == pytest.approx(tensor)
        assert found.busy_ratio == pytest.approx(0.5), "an instance has no GPU utilisation, its engine's activity stands for it"
        assert found.power_watts is None, "the board's power is no instance's"


def test_a_figure_that_is_not_supported_on_one_device_spoils_no_mean(read: Snapshot) -> None:
    found = held(read, "steady-0")
    assert len(found) == 2
    assert all(each.power_watts is None or each.power_watts == pytest.approx(400.0) for each in found)
    assert all(each.busy_ratio == pytest.approx(0.9) for each in found)


def test_pods_that_take_turns_share_the_device_and_pods_that_follow_one_another_do_not(metrics: PrometheusMetrics) -> None:
    found = metrics.query(alternation.expression(DCGM))
    assert {sample.labels["exported_pod"] for sample in found} == {"turn-a", "turn-b"}


def test_a_shared_devices_figures_belong_to_none_of_its_pods(read: Snapshot) -> None:
    (found,) = held(read, "turn-a")
    assert found.pod is None and [each.pod for each in found.sharers] == ["turn-a", "turn-b"]
    (after,) = held(read, "after-0")
    assert after.pod == pod("after-0") and after.sharers == ()


def test_a_device_with_profiling_fields_alone_has_its_holder(read: Snapshot) -> None:
    (found,) = held(read, "profiled-0")
    assert (found.tensor_active_ratio, found.busy_ratio) == (pytest.approx(0.3), pytest.approx(0.7))


def test_the_exporter_is_no_holder(read: Snapshot) -> None:
    assert [each.pod for each in read.devices if each.uuid == "GPU-4"] == [None]


def test_amd_in_capitals_without_uuids_is_read(read: Snapshot) -> None:
    for index in (0, 1):
        (found,) = held(read, f"rocm-{index}")
        assert found.busy_ratio == pytest.approx(0.83)
        assert found.model_name == "Aqua Vanjaram [Instinct MI300X VF]" and found.partition == ""


def test_amd_partitions_of_a_board_are_devices_of_their_own(read: Snapshot) -> None:
    found = [*held(read, "cpx-0"), *held(read, "cpx-1")]
    assert [(each.uuid, each.instance, each.partition, each.node) for each in found] == [
        ("6924", "0", "cpx", "mi-2"),
        ("6924", "1", "cpx", "mi-2"),
    ]


def test_ranks_of_a_pod_add_up_and_a_whole_jobs_count_does_not(read: Snapshot) -> None:
    ranks, whole = read.training[pod("ranks-0")], read.training[pod("whole-0")]
    assert ranks.tokens_per_second == pytest.approx(2000.0, rel=0.02) and not ranks.counts_whole_job
    assert whole.tokens_per_second == pytest.approx(7000.0, rel=0.02) and whole.counts_whole_job


def test_a_gateway_whose_workers_only_prefill_reports(read: Snapshot) -> None:
    found = read.serving[pod("gateway-0")]
    assert found.computed_prompt_tokens_per_second == pytest.approx(55.0, rel=0.02)
    assert found.generation_tokens_per_second == 0.0 and found.sampled_at_seconds is not None


def test_a_dynamo_release_without_an_output_counter_is_read_off_its_histogram(read: Snapshot) -> None:
    assert read.serving[pod("dynamo-0")].generation_tokens_per_second == pytest.approx(25.0, rel=0.02)


def test_triton_is_recognised(read: Snapshot) -> None:
    assert read.countless == {pod("triton-0")}
