"""The catalogued models: every file is sourced, readable, and as large as its publisher says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfu.model.config import read_config
from mfu.model.totals import parameters

FOLDER = Path(__file__).parents[2] / "operator" / "mfu" / "data" / "models"
SIZES: dict[str, int] = json.loads((Path(__file__).parents[1] / "data" / "model_sizes.json").read_text())["total"]
FILES = [pytest.param(file, id=file.stem) for file in sorted(FOLDER.glob("*.yaml"))]


def contents(file: Path) -> dict[str, Any]:
    document = yaml.safe_load(file.read_text())
    assert isinstance(document, dict)
    return document


def test_there_are_models_of_every_kind() -> None:
    assert len(FILES) >= 60
    families = {contents(file)["config"]["model_type"] for file in FOLDER.glob("*.yaml")}
    assert families >= {"llama", "mixtral", "deepseek_v3", "gpt_oss", "gemma3_text", "nemotron_h", "qwen3_next", "mamba2", "t5", "bert"}


@pytest.mark.parametrize("file", FILES)
def test_a_model_is_sourced_and_counted_without_guessing(file: Path) -> None:
    document = contents(file)
    assert document["name"] == file.stem
    assert re.fullmatch(r"huggingface\.co/[\w.-]+/[\w.-]+ config\.json", document["source"])
    assert not [note for note in read_config(document["config"]).assumptions if "not known" in note]


@pytest.mark.parametrize("name", sorted(SIZES))
def test_a_model_has_as_many_parameters_as_its_publisher_says(name: str) -> None:
    assert parameters(read_config(contents(FOLDER / f"{name}.yaml")["config"])).total == SIZES[name]
