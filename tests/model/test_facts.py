"""Counts of real models against an independent counter (tests/data/flops_facts.json says which)."""

import json
from pathlib import Path
from typing import Any

import pytest

from mfu.model.architecture import Adapter
from mfu.model.config import read_config
from mfu.model.operations import Pass
from mfu.model.totals import count

MODELS = json.loads((Path(__file__).parent.parent / "data" / "flops_facts.json").read_text())["models"]
BY_NAME = [pytest.param(model, id=model["name"]) for model in MODELS]


@pytest.mark.parametrize("model", BY_NAME)
def test_parameters_match_the_model_class(model: dict[str, Any]) -> None:
    assert count(read_config(model["config"]), Pass(batch=1, new_tokens=1)).parameters.total == model["parameters"]


@pytest.mark.parametrize(
    ("model", "fact"), [pytest.param(m, fact, id=f"{m['name']}-{fact['sequence']}") for m in MODELS for fact in m["forward"]]
)
def test_a_forward_pass_matches_the_counter(model: dict[str, Any], fact: dict[str, int]) -> None:
    forward = count(read_config(model["config"]), Pass(batch=fact["batch"], new_tokens=fact["sequence"])).forward
    assert (forward.linear, forward.lm_head, forward.attention_full) == (fact["linear"], fact["lmHead"], fact["attentionFull"])
    assert forward.attention_visible == fact.get("attentionVisible", forward.attention_visible)


@pytest.mark.parametrize("model", [pytest.param(m, id=m["name"]) for m in MODELS if "decode" in m])
def test_a_decode_step_matches_the_counter(model: dict[str, Any]) -> None:
    fact = model["decode"]
    forward = count(read_config(model["config"]), Pass(batch=fact["batch"], new_tokens=1, past_tokens=fact["past"])).forward
    assert (forward.linear, forward.lm_head, forward.attention_visible) == (fact["linear"], fact["lmHead"], fact["attentionVisible"])


@pytest.mark.parametrize("model", [pytest.param(m, id=m["name"]) for m in MODELS if "training" in m])
def test_a_training_step_matches_the_counter(model: dict[str, Any]) -> None:
    fact = model["training"]
    training = count(read_config(model["config"]), Pass(batch=fact["batch"], new_tokens=fact["sequence"])).training
    assert training.total_full == fact["totalFull"]


@pytest.mark.parametrize(
    ("model", "fact"),
    [pytest.param(m, fact, id=f"{m['name']}-{'+'.join(fact['targets'])}") for m in MODELS for fact in m.get("lora", [])],
)
def test_a_low_rank_training_step_matches_the_counter(model: dict[str, Any], fact: dict[str, Any]) -> None:
    adapter = Adapter(rank=fact["rank"], targets=tuple(fact["targets"]))
    counted = count(read_config(model["config"]), Pass(batch=fact["batch"], new_tokens=fact["sequence"]), adapter)
    assert counted.parameters.adapter == fact["trainableParameters"]
    assert counted.training.total_full == fact["totalFull"]
