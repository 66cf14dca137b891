"""How AMD's exporter names devices, and what is said when it gives no activity."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mfu.hardware.accelerator import Vendor
from mfu.missing import Missing, Reason
from mfu.observe.amd import AMD
from mfu.observe.device_exporter import DeviceFigure
from mfu.observe.devices import hardware_ratio
from mfu.observe.telemetry import DeviceTelemetry, PodKey
from tests.observe.cases import ACCELERATOR

NO_UUID = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("labels", "uuid", "node", "model", "partition"),
    [
        pytest.param(
            {
                "gpu_uuid": "ccff74a1",
                "gpu_id": "2",
                "hostname": "tw1",
                "card_model": "102-G30211-0C",
                "card_series": "AMD Instinct MI300X OAM",
            },
            "ccff74a1",
            "tw1",
            "AMD Instinct MI300X OAM",
            "",
            id="the series names the GPU, the model is a board number",
        ),
        pytest.param(
            {"gpu_uuid": NO_UUID, "gpu_id": "3", "hostname": "vm", "card_model": "", "card_series": "Aqua Vanjaram [Instinct MI325X VF]"},
            "vm/3",
            "vm",
            "Aqua Vanjaram [Instinct MI325X VF]",
            "",
            id="a virtual function has host and index only",
        ),
        pytest.param(
            {"serial_number": "6924", "gpu_id": "14", "hostname": "723be48b185a", "nodeName": "mi-7", "gpu_compute_partition_type": "cpx"},
            "6924",
            "mi-7",
            "",
            "cpx",
            id="a partition, in a container whose id is the host name",
        ),
        pytest.param({"gpu_id": "0", "card_model": "MI250"}, "/0", "", "MI250", "", id="hardly anything"),
    ],
)
def test_a_device_is_told_by_what_its_exporter_knows(labels: dict[str, str], uuid: str, node: str, model: str, partition: str) -> None:
    found = AMD.identify(labels)
    assert (found.uuid, found.instance, found.node, found.model_name, found.partition) == (uuid, labels["gpu_id"], node, model, partition)


def test_names_come_with_and_without_prefix_and_in_capitals() -> None:
    assert AMD.figures[DeviceFigure.BUSY].selectors == ("gpu_gfx_activity", "amd_gpu_gfx_activity", "GPU_GFX_ACTIVITY")
    assert AMD.figures[DeviceFigure.BUSY].scale == 0.01


@pytest.mark.parametrize(("vendor", "advice"), [(Vendor.NVIDIA, "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"), (Vendor.AMD, "ProfilerMetrics")])
def test_advice_on_missing_activity_is_the_vendors(vendor: Vendor, advice: str) -> None:
    device = DeviceTelemetry(uuid="u", node="n", pod=PodKey(namespace="team", pod="job-0"), busy_ratio=0.9)
    found = hardware_ratio([device], replace(ACCELERATOR, vendor=vendor))
    assert isinstance(found, Missing) and found.reason is Reason.TELEMETRY_UNSUPPORTED
    assert advice in found.message
