from pathlib import Path

import pytest
import yaml

from mfu.__main__ import main
from mfu.api.crds import crd_files, custom_resource_definitions
from mfu.api.reference import reference


def test_all_go_to_standard_output_as_one_stream(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crds"]) == 0
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == list(custom_resource_definitions().values())


def test_a_directory_gets_one_file_a_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crds", "--output-dir", str(tmp_path / "new" / "crds")]) == 0
    assert {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "new" / "crds").iterdir()} == crd_files()
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["crds", "--output-dir", str(tmp_path / "file")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "cannot be written" in err


def test_the_committed_reference_is_the_generated_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "crds.md"
    assert main(["crds", "--reference", str(made)]) == 0
    committed = Path(__file__).resolve().parents[2] / "docs" / "crds.md"
    assert made.read_text() == committed.read_text(), "run `make crds`"


def test_the_reference_has_every_field_of_the_spec(capsys: pytest.CaptureFixture[str]) -> None:
    text = reference()
    for field in ("spec.model.config", "spec.training.parallelism.tensor", "spec.inference.engine.name", "spec.floors[].expectedMfu"):
        assert f"`{field}`" in text
    assert "there is one FleetReport, named fleet" not in text.split("## FleetReport")[0]


def test_a_reference_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crds", "--reference", str(tmp_path / "missing" / "crds.md")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
