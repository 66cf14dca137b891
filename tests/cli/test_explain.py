"""`mfu explain`: the breakdown of an estimate and the changes worth making."""

import json
from pathlib import Path

import pytest

from mfu.__main__ import main

TRAINING = """\
apiVersion: mfu.dev/v1alpha1
kind: ModelWorkload
metadata: {name: pretrain, namespace: research}
spec:
  model: {catalog: llama-3.1-70b}
  precision: {compute: bf16}
  accelerators: {class: h100-sxm-80gb, count: 256, perNode: 8}
  training:
    sequenceLength: 8192
    globalBatchSize: 1024
    microBatchSize: 1
    activationRecompute: full
    parallelism: {tensor: 8, pipeline: 4, data: 8}
    framework: {name: megatron-core}
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(TRAINING, encoding="utf-8")
    return path


def test_the_terms_add_up_to_the_step_and_changes_gain(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-f", str(document), "-o", "json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert sum(term["seconds"] for term in entry["terms"]) == pytest.approx(entry["stepSeconds"])
    assert sum(term["share"] for term in entry["terms"]) == pytest.approx(1)
    assert "training.activationRecompute" in {change["field"] for change in entry["changes"]}
    assert all(change["gain"] > 0 for change in entry["changes"])


def test_the_table_names_terms_memory_changes_and_assumptions(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-f", str(document)]) == 0
    text = capsys.readouterr().out
    for part in ("research/pretrain on 256 × h100-sxm-80gb", "recompute", "tensorParallel", "█", "weights", "CHANGE", "ASSUMED"):
        assert part in text


def test_no_changes_are_tried_when_none_are_asked_for(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-f", str(document), "--changes", "0"]) == 0
    assert "CHANGE" not in capsys.readouterr().out


def test_a_faulty_document_does_not_stop_the_others(document: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faulty = tmp_path / "faulty.yaml"
    faulty.write_text(TRAINING.replace("h100-sxm-80gb", "h100-sxm-81gb"), encoding="utf-8")
    assert main(["explain", "-f", str(faulty), "-f", str(document)]) == 1
    captured = capsys.readouterr()
    assert "research/pretrain" in captured.out
    assert captured.err.count("\n") == 1
    assert "h100-sxm-81gb" in captured.err and "h100-sxm-80gb" in captured.err
