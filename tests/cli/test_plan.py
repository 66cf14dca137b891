"""`mfu plan`: the best layouts for an objective."""

import json
from pathlib import Path

import pytest

from mfu.__main__ import main

SERVING = """\
apiVersion: mfu.dev/v1alpha1
kind: ModelWorkload
metadata: {name: chat, namespace: research}
spec:
  model: {catalog: llama-3.1-70b}
  precision: {compute: fp8}
  accelerators: {class: h100-sxm-80gb, count: 8}
  inference:
    engine: {name: vllm}
    inputTokens: 1024
    outputTokens: 256
    parallelism: {tensor: 8}
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "server.yaml"
    path.write_text(SERVING, encoding="utf-8")
    return path


def test_layouts_come_best_first_with_a_reason(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-f", str(document), "-o", "json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    ratios = [candidate["mfu"] for candidate in entry["candidates"]]
    assert len(ratios) > 1 and ratios == sorted(ratios, reverse=True)
    assert all(candidate["reason"] for candidate in entry["candidates"])


def test_cost_compares_the_named_accelerators(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan", "-f", str(document), "--objective", "cost", "--accelerators", "h100-sxm-80gb, h200-sxm-141gb", "--limit", "20"]
    assert main([*arguments, "-o", "json"]) == 0
    candidates = json.loads(capsys.readouterr().out)[0]["candidates"]
    dollars = [candidate["dollarsPerMillionTokens"] for candidate in candidates]
    assert dollars == sorted(dollars)
    assert {candidate["accelerator"] for candidate in candidates} == {"h100-sxm-80gb", "h200-sxm-141gb"}


def test_the_table_has_one_line_a_layout(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-f", str(document), "--limit", "3"]) == 0
    assert capsys.readouterr().out.count("× h100-sxm-80gb a replica") == 3


def test_too_few_accelerators_are_said_in_one_line(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-f", str(document), "--accelerators", "l4-24gb", "--count", "1"]) == 1
    captured = capsys.readouterr()
    assert "fits in memory" in captured.err and captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--accelerators", "h101"], "h101", id="unknown accelerator"),
        pytest.param(["--limit", "0"], "at least 1", id="no layouts"),
        pytest.param(["--count", "-3"], "at least 1", id="negative count"),
        pytest.param(["--objective", "speed"], "speed", id="unknown objective"),
        pytest.param(["--objective", "time"], "--tokens", id="time without a budget"),
        pytest.param(["--tokens", "many"], "many", id="budget that is no number"),
        pytest.param(["--precision", "fp7"], "fp7", id="unknown precision"),
    ],
)
def test_bad_options_are_one_line_and_exit_2(
    document: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["plan", "-f", str(document), *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1


def test_a_token_budget_gives_time_and_money(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-f", str(document), "--objective", "time", "--tokens", "2B", "-o", "json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    durations = [candidate["secondsToBudget"] for candidate in entry["candidates"]]
    assert durations == sorted(durations)
    first = entry["candidates"][0]
    assert first["dollarsForBudget"] == pytest.approx(first["dollarsPerMillionTokens"] * 2000)
    assert main(["plan", "-f", str(document), "--tokens", "15T"]) == 0
    assert "BUDGET" in capsys.readouterr().out


def test_precisions_are_compared_when_asked_for(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plan", "-f", str(document), "--objective", "throughput", "--precision", "bf16,fp8"]
    assert main([*arguments, "--limit", "50", "-o", "json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert {candidate["precision"] for candidate in entry["candidates"]} == {"bf16", "fp8"}
    assert entry["candidates"][0]["precision"] == "fp8"
    assert main(arguments) == 0
    assert "PRECISION" in capsys.readouterr().out
