"""The roofline of a workload."""

from collections.abc import Callable

import pytest

from mfu.estimate.estimator import estimate
from mfu.estimate.result import Estimate
from mfu.estimate.roofline import Roofline, roofline
from mfu.estimate.workload import Phase, Workload

Workloads = Callable[..., Workload]


def drawn(workload: Workload) -> Roofline:
    found = estimate(workload)
    assert isinstance(found, Estimate)
    return roofline(workload, found)


@pytest.mark.parametrize("model", ["llama-70b", "mixtral", "deepseek-v3"])
def test_every_point_lies_on_a_roof_and_the_workload_below(serving: Workloads, model: str) -> None:
    found = drawn(serving(model=model, device="h200-sxm-141gb", tensor=8))
    for point in found.points:
        slope = found.memory_bytes_per_second * point.intensity_flops_per_byte
        roof = {True: slope, False: found.peak_flops_per_second}[point.memory_bound]
        if point.operation in ("attention", "lm_head") and not point.memory_bound:
            roof = found.attention_peak_flops_per_second
        assert point.attainable_flops_per_second == pytest.approx(roof)
        assert point.attainable_flops_per_second <= slope * (1 + 1e-9)
    assert sum(point.share_ratio for point in found.points) == pytest.approx(1)
    shares = [point.share_ratio for point in found.points]
    assert shares == sorted(shares, reverse=True)
    assert found.expected_flops_per_second < found.memory_bytes_per_second * found.expected_intensity_flops_per_byte


def test_training_gemms_are_compute_bound_and_attention_has_its_own_roof(training: Workloads) -> None:
    found = drawn(training(compute="fp8"))
    by_name = {point.operation: point for point in found.points}
    assert by_name["gate_up_proj"].attainable_flops_per_second == found.peak_flops_per_second
    assert by_name["attention"].attainable_flops_per_second == found.attention_peak_flops_per_second
    assert found.attention_peak_flops_per_second == pytest.approx(found.peak_flops_per_second / 2, rel=0.01)
    assert {point.phase for point in found.points} == {"forward"}


def test_a_dense_layer_has_the_intensity_of_its_slice(training: Workloads) -> None:
    found = drawn(training(tensor=8))
    down = next(point for point in found.points if point.operation == "down_proj")
    m, n, k = 8192, 8192, 28672 // 8
    assert down.intensity_flops_per_byte == pytest.approx(2 * m * n * k / (2 * (m * n + n * k + m * k)))


def test_decode_is_left_of_prefill(serving: Workloads) -> None:
    found = drawn(serving())
    intensity = {(point.phase, point.operation): point.intensity_flops_per_byte for point in found.points}
    assert intensity["decode", "gate_up_proj"] < 0.2 * intensity["prefill", "gate_up_proj"]


def test_a_phase_that_does_not_run_has_no_points(serving: Workloads) -> None:
    assert {point.phase for point in drawn(serving(phase=Phase.PREFILL)).points} == {"prefill"}
    assert {point.phase for point in drawn(serving(phase=Phase.DECODE)).points} == {"decode"}
