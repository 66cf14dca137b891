"""Reading figures back into telemetry: fallbacks, absent figures, values that are not numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mfu.observe import serving, training
from mfu.observe.amd import AMD
from mfu.observe.dcgm import DCGM
from mfu.observe.device_exporter import DeviceExporter
from mfu.observe.device_exporter import read as read_devices
from mfu.observe.port import Sample
from mfu.observe.telemetry import DeviceTelemetry, PodKey, Source
from mfu.observe.vllm import VLLM
from tests.observe.cases import NOW, sample

POD = PodKey(namespace="team", pod="job-0")
HOME = {"namespace": "team", "pod": "job-0"}


def test_computed_prompt_tokens_come_from_their_own_counter_where_it_exists() -> None:
    found = serving.read(VLLM, [sample("generation", 1.0, **HOME), sample("prompt", 100.0, **HOME), sample("computedPrompt", 60.0, **HOME)])
    assert found[POD].computed_prompt_tokens_per_second == 60.0


@pytest.mark.parametrize(
    ("cached", "computed"),
    [
        pytest.param(None, 100.0, id="no cache figure"),
        pytest.param(30.0, 70.0, id="hits taken off"),
        pytest.param(130.0, 0.0, id="never negative"),
    ],
)
def test_without_that_counter_cache_hits_are_taken_off_all_prompt_tokens(cached: float | None, computed: float) -> None:
    samples = [sample("generation", 1.0, **HOME), sample("prompt", 100.0, **HOME)]
    if cached is not None:
        samples.append(sample("cachedPrompt", cached, **HOME))
    assert serving.read(VLLM, samples)[POD].computed_prompt_tokens_per_second == computed


def test_what_an_engine_does_not_export_is_none_and_not_zero() -> None:
    found = serving.read(VLLM, [sample("generation", 5.0, **HOME)])[POD]
    assert found.source is Source.VLLM
    assert found.running_requests is None and found.cache_usage_ratio is None and found.mean_prompt_tokens is None
    assert found.sampled_at_seconds is None and not found.covers_window


def test_a_mean_length_needs_requests_that_finished() -> None:
    quiet = [sample("generation", 5.0, **HOME), sample("promptSum", 0.0, **HOME), sample("promptCount", 0.0, **HOME)]
    busy = [sample("generation", 5.0, **HOME), sample("promptSum", 3000.0, **HOME), sample("promptCount", 2.0, **HOME)]
    assert serving.read(VLLM, quiet)[POD].mean_prompt_tokens is None
    assert serving.read(VLLM, busy)[POD].mean_prompt_tokens == 1500.0


def test_a_pod_with_gauges_but_no_token_counter_reports_nothing() -> None:
    assert serving.read(VLLM, [sample("running", 3.0, **HOME)]) == {}


def test_waiting_for_data_is_a_share_of_at_most_one() -> None:
    found = training.read([sample("tokens", 10.0, **HOME), sample("dataWait", 1.3, **HOME), sample("lastScrape", NOW, **HOME)])
    assert found[POD].data_wait_ratio == 1.0


def test_the_reporters_figures_and_declared_ones_do_not_mix() -> None:
    samples = [sample("tokens 0", 7.0, **HOME), sample("tokens", 10.0, **HOME)]
    counters = training.TrainingCounters(tokens_metric="team_tokens")
    assert training.read(samples)[POD].tokens_per_second == 10.0
    assert training.read_declared(samples, [counters])[counters][POD].tokens_per_second == 7.0


def devices(exporter: DeviceExporter, figures: Sequence[Sample]) -> tuple[DeviceTelemetry, ...]:
    """Reads figures beside the rows that name each device's holder."""
    holders = [sample("held", 1.0, **{name: value for name, value in each.labels.items() if name != "figure"}) for each in figures]
    return read_devices(exporter, [*holders, *figures])


def test_a_device_that_is_not_reported_any_more_is_left_out() -> None:
    assert read_devices(DCGM, [sample("clock", 1500.0, **DEVICE)]) == ()


def test_a_device_answers_only_for_the_pod_that_holds_it_now() -> None:
    before = sample("busy", 90.0, **{**DEVICE, "pod": "gone-0"})
    now = [sample("held", 1.0, **DEVICE), sample("busy", 10.0, **DEVICE)]
    found = read_devices(DCGM, [before, *now])
    assert [(each.pod, each.busy_ratio) for each in found] == [(POD, pytest.approx(0.1))]


DEVICE = {"UUID": "GPU-1", "gpu": "0", "Hostname": "node-1", "modelName": "NVIDIA H100 80GB HBM3", **HOME}


@pytest.mark.parametrize("value", [9223372036854775794.0, 9223372036854775794.0 + 2, -9.3e18])
def test_numbers_that_mean_not_supported_are_dropped(value: float) -> None:
    found = devices(DCGM, [sample("power", value, **DEVICE), sample("busy", 50.0, **DEVICE)])
    assert found[0].power_watts is None
    assert found[0].busy_ratio == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("value", "ratio"),
    [
        pytest.param(0.42, 0.42, id="a ratio"),
        pytest.param(1.01, 1.0, id="a little over"),
        pytest.param(42.0, None, id="not a ratio at all"),
    ],
)
def test_tensor_activity_is_a_ratio_or_unknown(value: float, ratio: float | None) -> None:
    assert devices(DCGM, [sample("tensorActive", value, **DEVICE)])[0].tensor_active_ratio == ratio


def test_instances_of_one_device_are_told_apart() -> None:
    slices = [{**DEVICE, "GPU_I_ID": str(number), "GPU_I_PROFILE": "1g.10gb", "pod": f"job-{number}"} for number in (1, 2)]
    found = devices(DCGM, [sample("tensorActive", 0.1 * number, **labels) for number, labels in enumerate(slices, start=1)])
    assert [(each.partition, each.pod and each.pod.pod, each.sharers) for each in found] == [
        ("1g.10gb", "job-1", ()),
        ("1g.10gb", "job-2", ()),
    ]


def test_a_device_that_two_pods_show_belongs_to_neither() -> None:
    holders = [{**DEVICE, "pod": name} for name in ("job-1", "job-2")]
    found = devices(DCGM, [sample("tensorActive", 0.7, **labels) for labels in holders])
    assert len(found) == 1 and found[0].pod is None
    assert [key.pod for key in found[0].sharers] == ["job-1", "job-2"]


def test_traffic_is_the_sum_of_both_directions() -> None:
    found = devices(DCGM, [sample("linkOut", 3.0, **DEVICE), sample("linkIn", 4.0, **DEVICE)])[0]
    assert found.link_bytes_per_second == 7.0 and found.pcie_bytes_per_second is None


def test_devices_without_a_uuid_are_told_apart_by_node_and_index() -> None:
    labels = [{"hostname": "node-1", "gpu": str(index)} for index in range(3)]
    assert len(devices(DCGM, [sample("busy", 1.0, **each) for each in labels])) == 3


BOARD = {"hostname": "mi-1", "card_series": "AMD Instinct MI300X OAM", "serial_number": "692409005408", "gpu_uuid": "ccff74a1", **HOME}


def test_amd_percentages_and_megahertz_become_ratios_and_hertz() -> None:
    samples = [sample("tensorActive", 42.0, gpu_id="0", **BOARD), sample("clock", 2100.0, gpu_id="0", **BOARD)]
    found = devices(AMD, samples)[0]
    assert (found.tensor_active_ratio, found.clock_hertz, found.model_name) == (pytest.approx(0.42), 2.1e9, "AMD Instinct MI300X OAM")
    assert found.pod == POD


def test_amd_virtual_functions_without_uuid_are_told_apart_by_their_index() -> None:
    labels = {"hostname": "mi-2", "gpu_uuid": "00000000-0000-0000-0000-000000000000", "serial_number": ""}
    found = devices(AMD, [sample("busy", 83.0, gpu_id=str(index), **labels) for index in range(8)])
    assert len({each.uuid for each in found}) == 8
