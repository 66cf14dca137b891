"""Devices whose exporter names another of the sharing pods at each scrape."""

from __future__ import annotations

import pytest

from mfu.observe import alternation
from mfu.observe.amd import AMD
from mfu.observe.dcgm import DCGM
from mfu.observe.device_exporter import DeviceExporter
from mfu.observe.telemetry import DeviceTelemetry, PodKey
from tests.observe.cases import sample

LABELS = {"UUID": "GPU-1", "Hostname": "node-1", "gpu": "0"}


def pod(name: str) -> PodKey:
    return PodKey(namespace="team", pod=name)


def device(*sharers: str, holder: str | None = None) -> DeviceTelemetry:
    return DeviceTelemetry(uuid="GPU-1", node="node-1", pod=None if holder is None else pod(holder), sharers=tuple(map(pod, sharers)))


@pytest.mark.parametrize(
    ("before", "seen", "holder", "sharers"),
    [
        pytest.param(device(holder="a"), ["a", "b"], None, ["a", "b"], id="two take turns"),
        pytest.param(device(holder="c"), ["a", "b"], None, ["a", "b", "c"], id="a third has just come"),
        pytest.param(device("a", "b"), ["b", "c"], None, ["a", "b", "c"], id="known to be shared"),
        pytest.param(device(holder="a"), ["a"], "a", [], id="held by one"),
        pytest.param(device(holder="b"), ["a"], "b", [], id="handed on"),
        pytest.param(device(), [], None, [], id="idle"),
    ],
)
def test_a_device_of_many_holders_belongs_to_none(before: DeviceTelemetry, seen: list[str], holder: str | None, sharers: list[str]) -> None:
    samples = [sample("", 1.0, **LABELS, namespace="team", pod=name) for name in seen]
    (found,) = alternation.shared(DCGM, [before], samples)
    assert found.pod == (None if holder is None else pod(holder))
    assert [each.pod for each in found.sharers] == sharers


def test_the_exporter_takes_no_turns() -> None:
    exporter = [sample("", 1.0, **LABELS, namespace="gpu-operator", pod=f"nvidia-dcgm-exporter-{number}") for number in range(2)]
    (found,) = alternation.shared(DCGM, [device(holder="a")], exporter)
    assert found.pod == pod("a")


def test_other_devices_are_left_alone() -> None:
    samples = [sample("", 1.0, UUID="GPU-2", namespace="team", pod=name) for name in ("a", "b")]
    assert alternation.shared(DCGM, [device(holder="a")], samples) == (device(holder="a"),)


@pytest.mark.parametrize("exporter", [DCGM, AMD], ids=["DCGM", "AMD"])
def test_only_devices_with_several_holders_are_asked_for(exporter: DeviceExporter) -> None:
    assert alternation.expression(exporter).endswith("> 1)")
