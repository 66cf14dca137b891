"""Throttle reasons, link errors and stragglers among the devices of one workload."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mfu.observe.devices import device_evidence
from mfu.observe.telemetry import DeviceTelemetry, PodKey
from tests.observe.cases import ACCELERATOR

POD = PodKey(namespace="team", pod="job-0")


def device(number: int, node: str = "n0", clock: float = 1.8e9, **figures: float) -> DeviceTelemetry:
    plain = DeviceTelemetry(uuid=f"GPU-{number}", node=node, pod=POD, tensor_active_ratio=0.5, clock_hertz=clock)
    return replace(plain, **figures)  # type: ignore[arg-type]  # names and types are those of the fields


def test_reasons_of_at_least_half_of_the_devices_are_told_and_idling_is_none() -> None:
    devices = [device(0, throttle_reasons=0x40), device(1, throttle_reasons=0x41), device(2, throttle_reasons=0x1), device(3)]
    assert device_evidence(devices, ACCELERATOR).throttle_reasons == ("hardware thermal slowdown",)


def test_a_slow_node_is_named_with_what_it_reports() -> None:
    devices = [device(number, node=f"n{number // 2}") for number in range(8)]
    devices[5] = device(5, node="n2", clock=1.2e9, throttle_reasons=0x80, xid=79, link_errors_per_second=40.0)
    found = device_evidence(devices, ACCELERATOR)
    assert found.slowest_node == "n2"
    assert found.slowest_node_ratio == pytest.approx(2 / 3)
    assert found.slowest_node_reasons == ("hardware power brake", "40 link errors a second", "XID 79")
    assert found.link_error_node == "n2"


def test_one_slow_device_of_a_single_node_names_the_node() -> None:
    devices = [device(number, clock=1.1e9 if number == 3 else 1.8e9) for number in range(8)]
    assert device_evidence(devices, ACCELERATOR).slowest_node == "n0"
    assert device_evidence(devices[:3], ACCELERATOR).slowest_node is None
    assert device_evidence([device(number, clock=1.1e9) for number in range(8)], ACCELERATOR).slowest_node is None


def test_uneven_work_is_seen_in_the_busiest_eighth() -> None:
    even = [device(number) for number in range(16)]
    assert device_evidence(even, ACCELERATOR).hottest_device_ratio == pytest.approx(1.0)
    uneven = [device(number, tensor_active_ratio=0.9 if number % 8 == 0 else 0.4) for number in range(16)]
    assert device_evidence(uneven, ACCELERATOR).hottest_device_ratio == pytest.approx(0.9 / (0.4625))


def test_shared_devices_are_counted_and_left_out_of_the_means() -> None:
    other = PodKey(namespace="else", pod="x")
    found = device_evidence([replace(device(0), pod=None, sharers=(POD, other)), device(1)], ACCELERATOR)
    assert (found.devices, found.shared_devices, found.sharers) == (1, 1, 2)
