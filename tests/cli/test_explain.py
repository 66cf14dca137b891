"""`mfu explain`: the breakdown of an estimate and the changes worth making."""

import json
from pathlib import Path
from xml.etree import ElementTree

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


def test_the_roofline_is_svg_without_external_parts_and_names_its_operations(
    document: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "roofline.svg"
    assert main(["explain", "-f", str(document), "--plot", str(picture)]) == 0
    assert "research/pretrain on 256" in capsys.readouterr().out
    text = picture.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    labels = {"".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"gate_up_proj", "down_proj", "attention", "lm_head", "research/pretrain", "memory 3.35 TB/s"} <= labels
    assert any(label.startswith("bf16 peak") for label in labels)
    assert any(label.startswith("expected: MFU ") for label in labels)
    assert "href" not in text and text.count("http") == 1


def test_the_picture_alone_goes_to_standard_output(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-f", str(document), "--plot", "-"]) == 0
    assert ElementTree.fromstring(capsys.readouterr().out).tag.endswith("svg")


def test_only_one_workload_is_drawn_at_a_time(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-f", str(document), "-f", str(document), "--plot", "-"]) == 2
    assert "one document" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_is_one_line(document: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-f", str(document), "--plot", str(tmp_path / "missing" / "x.svg")]) == 2
    captured = capsys.readouterr()
    assert "--plot" in captured.err and captured.err.count("\n") == 1
