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
from tools.calibrate import held_out_groups, main
from tools.measurements import inputs, published
from tools.model_fit import ModelFit, coefficient_path


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
            row = {"id": body["metadata"]["name"], "source": f"tensor {tensor}", "model": "llama", "software": "megatron"}
            rows.append(json.dumps({**row, "rate": rate(result), "spec": body["spec"]}))
    path = tmp_path / "measurements.jsonl"
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def test_the_fit_comes_nearer_and_held_out_sources_are_scored(measurements: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["training", "--measurements", str(measurements), "--hold-out", "source", "--hold-out", "tenth", "--iterations", "2"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    shipped, fitted = (next(line for line in lines if line.startswith(start)) for start in ("as shipped", "fitted"))
    assert float(fitted.split()[2].rstrip("%")) < 0.5 * float(shipped.split()[3].rstrip("%"))
    assert sum(line.startswith("  without tensor") for line in lines) == 3
    assert "held out by source" in lines and "held out by tenth" in lines
    assert sum(line.startswith("  all ") for line in lines) == 2


def test_what_was_fitted_is_written_with_its_provenance_and_can_be_loaded(
    measurements: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "training.json"
    target.write_text(coefficient_path("training").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr("tools.calibrate.coefficient_path", lambda what: target)
    assert main(["training", "--measurements", str(measurements), "--iterations", "3", "--write"]) == 0
    before = json.loads(coefficient_path("training").read_text(encoding="utf-8"))["coefficients"]
    written = json.loads(target.read_text(encoding="utf-8"))
    assert "6 rows of measurements.jsonl" in written["fit"]
    assert written["coefficients"].keys() == before.keys()
    assert written["coefficients"]["sustained_ratio"]["value"]["hopper"] < before["sustained_ratio"]["value"]["hopper"]
    assert written["coefficients"]["flash_backward_ratio"] == before["flash_backward_ratio"]


@pytest.mark.parametrize("what", ["training", "inference"])
def test_the_shipped_file_is_laid_out_as_the_program_writes_it(what: str) -> None:
    model = ModelFit(what, published(what)[:1])
    assert model.written(model.shipped) == coefficient_path(what).read_text(encoding="utf-8")


@pytest.mark.parametrize("way", ["source", "accelerator", "deployment", "tenth"])
def test_every_row_is_held_out_once_and_identical_workloads_together(way: str) -> None:
    measured = published("training")
    group = held_out_groups(way, measured)
    seen: dict[object, set[object]] = {}
    for each in measured:
        seen.setdefault((each.source, each.software, inputs(each.workload)), set()).add(group(each))
    assert all(len(groups) == 1 for groups in seen.values())
    assert len({group(each) for each in measured}) >= 10


def test_measurements_without_a_rate_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "x", "source": "x", "spec": {}}', encoding="utf-8")
    assert main(["training", "--measurements", str(path)]) == 2
    captured = capsys.readouterr()
    assert "line 1" in captured.err and captured.err.count("\n") == 1
