"""The calibration program, on a few measurements that the estimator itself made with other coefficients."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mfu.api.resolve import resolve
from mfu.estimate.coefficients import default_calibration
from mfu.estimate.estimator import estimate
from mfu.estimate.result import Estimate
from mfu.estimate.search import rate
from tools.calibrate import main


def workload(tensor: int, micro_batch: int) -> dict[str, Any]:
    return {
        "apiVersion": "mfu.dev/v1alpha1",
        "kind": "ModelWorkload",
        "metadata": {"name": f"t{tensor}-m{micro_batch}", "namespace": "measured"},
        "spec": {
            "model": {"catalog": "llama-3.1-8b"},
            "precision": {"compute": "bf16"},
            "accelerators": {"class": "h100-sxm-80gb", "count": 8, "perNode": 8},
            "training": {
                "sequenceLength": 4096,
                "globalBatchSize": 64,
                "microBatchSize": micro_batch,
                "activationRecompute": "full",
                "parallelism": {"tensor": tensor, "data": 8 // tensor},
                "framework": {"name": "megatron-core"},
            },
        },
    }


@pytest.fixture
def measurements(tmp_path: Path) -> Path:
    """Rates of a machine whose large GEMMs run at 0.6 of the peak."""
    shipped = default_calibration()
    slower = replace(shipped.training, sustained_ratio={**shipped.training.sustained_ratio, "hopper": 0.6})
    rows = []
    for tensor in (1, 2, 4):
        for micro_batch in (1, 2):
            body = workload(tensor, micro_batch)
            result = estimate(resolve(body), replace(shipped, training=slower))
            assert isinstance(result, Estimate)
            rows.append(json.dumps({"source": f"tensor {tensor}", "rate": rate(result), "workload": body}))
    path = tmp_path / "measurements.jsonl"
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def test_the_fit_comes_nearer_and_held_out_sources_are_scored(measurements: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["training", str(measurements), "--hold-out", "source", "--iterations", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shipped, fitted = (next(line for line in lines if line.startswith(start)) for start in ("as shipped", "fitted"))
    assert float(fitted.split()[2].rstrip("%")) < 0.5 * float(shipped.split()[3].rstrip("%"))
    assert sum(line.startswith("  without tensor") for line in lines) == 3
    assert any(line.startswith("held out") for line in lines)


def test_measurements_without_a_rate_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"source": "x"}', encoding="utf-8")
    assert main(["training", str(path)]) == 2
    captured = capsys.readouterr()
    assert "line 1" in captured.err and captured.err.count("\n") == 1
