"""What the GPU program measures, and how timings become facts."""

import json

import pytest

from tools.gpu_cases import Case, Kind, Timing, attention_cases, gemm_cases, record, step_cases


def test_gemms_cover_rows_from_256_to_16k_in_every_precision() -> None:
    cases = list(gemm_cases(["bf16", "fp8"]))
    assert {case["m"] for case in cases} == {256, 512, 1024, 2048, 4096, 8192, 16384}
    assert {case.precision for case in cases} == {"bf16", "fp8"}
    assert all(case.flops == 2 * case["m"] * case["n"] * case["k"] for case in cases)
    assert len({(case.precision, case.shape) for case in cases}) == len(cases)


def test_attention_keeps_the_number_of_queries_and_counts_the_visible_half() -> None:
    cases = list(attention_cases())
    assert {case["batch"] * case["sequence"] for case in cases} == {16384}
    forward = next(case for case in cases if case["sequence"] == 4096 and case["width"] == 128 and not case["backward"])
    assert forward.flops == pytest.approx(4 * 4 * 32 * 128 * 4096**2 / 2, rel=1e-3)
    backward = next(case for case in cases if case["sequence"] == 4096 and case["width"] == 128 and case["backward"])
    assert backward.flops == pytest.approx(2.5 * forward.flops)


def test_a_step_is_six_flop_a_weight_and_token_plus_attention() -> None:
    case = next(iter(step_cases(["bf16"])))
    weights = case["layers"] * (4 * case["hidden"] ** 2 + 3 * case["hidden"] * case["feedForward"])
    tokens = case["batch"] * case["sequence"]
    assert 6 * tokens * weights < case.flops < 1.3 * 6 * tokens * weights


@pytest.mark.parametrize("largest", [256, 4096])
def test_nothing_larger_than_asked_is_measured(largest: int) -> None:
    cases = [*gemm_cases(["bf16"], largest), *attention_cases(largest), *step_cases(["bf16"], largest)]
    sizes = [size for case in cases for name, size in case.shape if name in ("m", "n", "k", "sequence", "hidden", "feedForward")]
    assert max(sizes) <= largest


def test_a_timing_is_the_median_with_its_spread() -> None:
    timing = Timing.of([0.003, 0.001, 0.002, 0.9, 0.0021, 0.0019, 0.0022, 0.0018, 0.0023, 0.0017, 0.0020])
    assert timing.median == 0.0020
    assert timing.low == 0.0017 and timing.high == 0.003
    assert timing.count == 11


@pytest.mark.parametrize("samples", [[], [0.0, 1.0], [-1.0]])
def test_no_samples_and_no_durations_are_refused(samples: list[float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        Timing.of(samples)


def test_a_record_is_json_with_its_shape_rate_and_device() -> None:
    case = Case(kind=Kind.GEMM, precision="fp8", shape=(("m", 256), ("n", 512), ("k", 1024)), flops=2 * 256 * 512 * 1024)
    written = json.loads(json.dumps(record(case, Timing.of([1e-4, 2e-4, 3e-4]), {"name": "H100"})))
    assert written["shape"] == {"m": 256, "n": 512, "k": 1024}
    assert written["flopsPerSecond"] == pytest.approx(case.flops / 2e-4)
    assert written["seconds"] == {"median": 2e-4, "p10": 1e-4, "p90": 3e-4, "runs": 3}
    assert written["device"] == {"name": "H100"}
