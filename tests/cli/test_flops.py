"""`mfu flops`: what it prints, and how it refuses."""

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mfu.cli.flops import add_arguments, run
from mfu.errors import MfuError

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 128,
}
LAYER = 64 * (4 + 2 + 2) * 16 + 64 * 64 + 3 * 64 * 96  # parameters of one layer's matrices


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(LLAMA))
    return file


def flops(*options: object) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args([str(option) for option in options]))


def printed(capsys: pytest.CaptureFixture[str], *options: object) -> Any:
    assert flops(*options, "-o", "json") == 0
    return json.loads(capsys.readouterr().out)


def test_the_counts_of_a_small_model_are_those_of_pencil_and_paper(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "--config", config, "--batch", 3, "--sequence", 10)
    assert out["parameters"] == {
        "total": 2 * LAYER + 5 * 64 + 2 * 64 * 128,
        "activePerToken": 2 * LAYER + 5 * 64 + 2 * 64 * 128,
        "embedding": 8192,
    }
    forward = {
        "linear": 2 * 30 * 2 * LAYER,
        "lmHead": 2 * 30 * 64 * 128,
        "attentionFull": 2 * 3 * 100 * 4 * 4 * 16,
        "attentionVisible": 2 * 3 * 55 * 4 * 4 * 16,
        "scan": 0,
    }
    rest = forward["linear"] + forward["lmHead"]
    totals = {"totalFull": rest + forward["attentionFull"], "totalVisible": rest + forward["attentionVisible"]}
    assert out["forward"] == forward | totals
    assert out["training"] == {name: 3 * value for name, value in (forward | totals).items()}


def test_a_decode_step_attends_to_what_is_cached(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "--config", config, "--batch", 2, "--sequence", 1, "--past", 99)
    assert out["forward"]["attentionVisible"] == out["forward"]["attentionFull"] == 2 * 2 * 100 * 4 * 4 * 16


def test_the_head_can_run_on_the_last_position_only(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "--config", config, "--batch", 2, "--sequence", 50, "--logits", "last")
    assert out["forward"]["lmHead"] == 2 * 2 * 64 * 128


def test_an_adapter_is_counted_beside_its_frozen_base(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = printed(capsys, "--config", config, "--sequence", 8)
    out = printed(capsys, "--config", config, "--sequence", 8, "--lora-rank", 4, "--lora-targets", "q_proj, v_proj")
    adapter = 2 * (4 * (64 + 64) + 4 * (64 + 32))
    assert out["parameters"]["adapter"] == adapter
    assert out["parameters"]["total"] == base["parameters"]["total"] + adapter
    assert out["training"]["linear"] == 2 * base["forward"]["linear"] + 3 * 2 * 8 * adapter


def test_the_sums_by_module_add_up(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "--config", config, "--by", "module")
    assert [part["module"] for part in out["modules"]] == ["embedding", "norm", "attention", "mlp", "head"]
    assert sum(part["parameters"] for part in out["modules"]) == out["parameters"]["total"]
    assert sum(part["forward"]["totalVisible"] for part in out["modules"]) == out["forward"]["totalVisible"]


def test_every_operation_is_listed_with_its_shape_and_bytes(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "--config", config, "--sequence", 10, "--by", "operation")
    found = {operation["name"]: operation for operation in out["operations"]}
    assert (found["down_proj"]["m"], found["down_proj"]["n"], found["down_proj"]["k"], found["down_proj"]["layers"]) == (10, 64, 96, 2)
    assert found["down_proj"]["bytes"] == 2 * 2 * (64 * 96 + 10 * (64 + 96))
    assert sum(operation["parameters"] for operation in out["operations"]) == out["parameters"]["total"]
    assert flops("--config", config, "--by", "operation") == 0
    assert "2048 × 64 × 96" in capsys.readouterr().out


def test_other_conventions_stand_beside_ours_with_their_difference(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "--config", config, "--compare")
    found = {one["name"]: one for one in out["conventions"]}
    assert list(found) == ["visible", "full", "HFU selective", "HFU full", "6ND", "6ND active", "PaLM", "Megatron", "vLLM"]
    assert found["visible"]["forward"] == out["forward"]["totalVisible"]
    difference = found["full"]["forward"] / found["visible"]["forward"] - 1
    assert found["full"]["differencePercent"] == pytest.approx(100 * difference, abs=0.01)


def test_speculative_decoding_keeps_useful_work_apart(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--config", config, "--sequence", 50, "--speculative-tokens", 3, "--acceptance-rate", 0.5, "--draft-config", config)
    out = printed(capsys, *options)["speculative"]
    assert out["tokensPerStep"] == 1.875
    assert out["usefulFlopsPerToken"] == 2 * (2 * LAYER + 64 * 128) + 2 * 51 * 4 * 4 * 16
    assert out["rejectedFlopsPerToken"] > out["usefulFlopsPerToken"]
    assert out["draftFlopsPerToken"] > 0
    assert flops(*options) == 0
    assert "keeps 1.88 tokens a step" in capsys.readouterr().out


def test_a_config_is_read_from_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(LLAMA).encode())))
    assert printed(capsys, "--config", "-")["modelType"] == "llama"


def test_a_model_is_found_in_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--catalog", "llama-3.1-70b")["parameters"]["total"] == 70_553_706_496


def test_prediction_layers_are_counted_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    without, declared = printed(capsys, "--catalog", "deepseek-v3"), printed(capsys, "--catalog", "deepseek-v3", "--predict-ahead")
    assert declared["forward"]["lmHead"] == 2 * without["forward"]["lmHead"]
    assert declared["parameters"]["total"] > without["parameters"]["total"]


def test_what_was_assumed_and_what_is_odd_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "odd.json"
    file.write_text(json.dumps(LLAMA | {"model_type": "novel", "vocab_size": 130}))
    out = printed(capsys, "--config", file)
    assert "'novel' is not known" in out["assumptions"][0]
    assert "vocabulary 130 is not a multiple of 64" in out["warnings"][0]


def test_the_table_says_the_same_to_a_person(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert flops("--config", config, "--by", "module", "--compare", "--lora-rank", 4) == 0
    text = capsys.readouterr().out
    for wanted in ("llama: 2 layers", "in the adapter", "totalVisible", "training", "attention", "Megatron", "%"):
        assert wanted in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("{", r"config\.json: is not JSON: .* at line 1, column 2", id="half a file"),
        pytest.param("[1]", r"config\.json: holds a list where a config\.json holds an object", id="a list"),
        pytest.param("[" * 100_000, r"config\.json: is nested too deeply", id="deep nesting"),
        pytest.param('{"a": ' + "9" * 5000 + "}", r"config\.json: is not JSON: .* thousands of digits", id="a number of 5000 digits"),
        pytest.param("{" + " " * (9 * 2**20) + "}", r"config\.json: is larger than 8 MiB", id="nine megabytes"),
        pytest.param(json.dumps(LLAMA | {"hidden_size": -1}), r"config\.json: hidden_size: must be a whole number", id="a negative width"),
        pytest.param("{}", r"config\.json: the config lacks hidden_size", id="nothing"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(content)
    with pytest.raises(MfuError, match=message) as caught:
        flops("--config", file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(("--batch", 0), "--batch: must be from 1", id="no sequence"),
        pytest.param(("--sequence", -5), "--sequence: must be from 1", id="negative tokens"),
        pytest.param(("--past", 2**50), "--past: must be from 0 to", id="absurd cache"),
        pytest.param(("--speculative-tokens", 99), "--speculative-tokens: must be from 0 to 64", id="absurd guessing"),
        pytest.param(("--speculative-tokens", 2, "--acceptance-rate", 1.5), "--acceptance-rate: must be from 0 to 1", id="absurd luck"),
        pytest.param(("--lora-rank", -1), "--lora-rank: must be from 0", id="negative rank"),
        pytest.param(("--lora-rank", 4, "--lora-targets", "nose"), "'nose' names no linear layer", id="an unknown layer"),
    ],
)
def test_an_option_out_of_range_is_refused(config: Path, options: tuple[object, ...], message: str) -> None:
    with pytest.raises(MfuError, match=message):
        flops("--config", config, *options)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MfuError, match=r"^[^:]*absent\.json: cannot be read: No such file"):
        flops("--config", tmp_path / "absent.json")


def test_an_unknown_catalogue_name_brings_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MfuError, match=r"--catalog: .*llama-3\.1-70b"):
        flops("--catalog", "lama-3.1-70b")
