"""How long counting takes, as a benchmark (`pytest -m benchmark`): a new config, and a further pass of the same model."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_benchmark.fixture import BenchmarkFixture

from mfu.model import build
from mfu.model.config import read_config
from mfu.model.operations import Pass
from mfu.model.totals import Count, count

pytestmark = pytest.mark.benchmark

FOLDER = Path(__file__).parents[2] / "operator" / "mfu" / "data" / "models"
NAMES = ["llama-3.1-405b", "gpt-oss-120b", "deepseek-v3", "nemotron-3-ultra-550b-a55b"]


def config_of(name: str) -> dict[str, Any]:
    config = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())["config"]
    assert isinstance(config, dict)
    return config


@pytest.mark.parametrize("name", NAMES)
def test_a_new_config_to_its_totals(benchmark: BenchmarkFixture, name: str) -> None:
    config, work = config_of(name), Pass(batch=1, new_tokens=4096)

    def cold() -> Count:
        build._operations.cache_clear()
        return count(read_config(config), work)

    assert benchmark(cold).forward.total_visible > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_further_pass_of_the_same_model(benchmark: BenchmarkFixture, name: str) -> None:
    architecture, work = read_config(config_of(name)), Pass(batch=8, new_tokens=1, past_tokens=8191)
    assert benchmark(lambda: count(architecture, work)).forward.total_visible > 0
