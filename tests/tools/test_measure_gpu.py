"""The GPU program where there is no GPU."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from tools.measure_gpu import main


def no_torch(name: str) -> object:
    raise ImportError(name)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param(no_torch, "PyTorch is not installed", id="no PyTorch"),
        pytest.param(lambda name: SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False)), "sees no GPU", id="no GPU"),
    ],
)
def test_without_a_gpu_it_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], found: object, message: str
) -> None:
    monkeypatch.setattr(importlib, "import_module", found)
    assert main(["--output", str(tmp_path / "facts.jsonl")]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1
    assert not (tmp_path / "facts.jsonl").exists()


@pytest.mark.parametrize("arguments", [["--kinds", "sort"], ["--precisions", "fp7"], ["--runs", "1"]])
def test_unknown_kinds_and_precisions_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(["--output", str(tmp_path / "facts.jsonl"), *arguments]) == 2
    assert "kinds are gemm, attention, step" in capsys.readouterr().err
