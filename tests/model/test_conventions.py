"""Other programs' countings against their formulas worked out by hand (GFLOP a token forward at 2048 tokens)."""

import json
from pathlib import Path

import pytest

from mfu.model.config import read_config
from mfu.model.conventions import Counting, compare
from mfu.model.operations import Pass

MODELS = {
    model["name"]: model["config"]
    for model in json.loads((Path(__file__).parent.parent / "data" / "flops_facts.json").read_text())["models"]
}


def countings(name: str, work: Pass) -> dict[str, Counting]:
    return {counting.name: counting for counting in compare(read_config(MODELS[name]), work)}


@pytest.mark.parametrize(
    ("model", "convention", "expected"),
    [
        pytest.param("gpt2-xl", "Megatron", 3.42, id="gpt2-xl Megatron"),
        pytest.param("gpt2-xl", "vLLM", 4.56, id="gpt2-xl vLLM charges a gate that is not there"),
        pytest.param("mixtral-8x7b", "Megatron", 26.03, id="mixtral Megatron"),
        pytest.param("mixtral-8x7b", "vLLM", 26.31, id="mixtral vLLM"),
        pytest.param("mixtral-8x7b", "PaLM", 26.83, id="mixtral PaLM"),
        pytest.param("mixtral-8x7b", "6ND", 93.41, id="mixtral with every expert"),
        pytest.param("gpt-oss-20b", "Megatron", 7.61, id="gpt-oss Megatron ignores the window"),
        pytest.param("gpt-oss-20b", "vLLM", 6.48, id="gpt-oss vLLM has one position of the head"),
        pytest.param("deepseek-v3", "Megatron", 78.15, id="deepseek Megatron"),
        pytest.param("gemma-3-27b-text", "vLLM", 52.41, id="gemma vLLM"),
        pytest.param("gemma-3-27b-text", "Megatron", 55.06, id="gemma Megatron"),
    ],
)
def test_a_convention_counts_as_its_program_does(model: str, convention: str, expected: float) -> None:
    found = countings(model, Pass(batch=1, new_tokens=2048))[convention]
    assert found.forward / 2048 / 1e9 == pytest.approx(expected, rel=2e-3)
    assert found.training == 3 * found.forward


def test_vllm_counts_a_decode_step_with_expanded_latent_attention() -> None:
    found = countings("deepseek-v3", Pass(batch=8, new_tokens=1, past_tokens=2047))["vLLM"]
    assert found.forward / 1e9 == pytest.approx(666.16, rel=2e-3)


def test_the_first_counting_is_our_own_and_differs_by_nothing() -> None:
    listed = compare(read_config(MODELS["llama-2-7b"]), Pass(batch=1, new_tokens=128))
    assert listed[0].name == "visible"
    assert listed[0].difference_to(listed[0]) == 0.0
    assert listed[1].forward > listed[0].forward


def test_hardware_flops_add_what_the_backward_pass_computes_again() -> None:
    found = countings("llama-2-7b", Pass(batch=1, new_tokens=2048))
    forward = found["visible"].forward
    attention, head = 2 * 2048 * 2049 // 2 * 32 * 2 * 128 * 32, 2 * 2048 * 4096 * 32000
    assert found["HFU selective"].training - found["visible"].training == attention
    assert found["HFU full"].training - found["visible"].training == forward - head
