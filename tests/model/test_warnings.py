"""Warnings about sizes that tensor cores or parallel splits do not like."""

import re
from typing import Any

import pytest

from mfu.model.config import read_config
from mfu.model.warnings import warnings

GOOD: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 1024,
    "num_hidden_layers": 2,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "intermediate_size": 4096,
    "vocab_size": 32000,
}


def test_friendly_sizes_get_no_warning() -> None:
    assert warnings(read_config(GOOD), tensor=4) == ()


@pytest.mark.parametrize(
    ("keys", "degrees", "expected"),
    [
        pytest.param({"vocab_size": 50257}, {}, "vocabulary 50257 is not a multiple of 64: .* pad it to 50304", id="ragged vocabulary"),
        pytest.param({"vocab_size": 32064}, {"tensor": 2}, "pad it to 32128", id="ragged share of the vocabulary"),
        pytest.param({"hidden_size": 1000, "head_dim": 64}, {}, "hidden size 1000 is not a multiple of 64", id="ragged hidden size"),
        pytest.param({"head_dim": 100}, {}, "head dimension 100 is not a multiple of 8", id="ragged head"),
        pytest.param({}, {"tensor": 3}, "16 attention heads do not divide by tensor parallelism 3", id="heads over ranks"),
        pytest.param(
            {"num_key_value_heads": 16, "num_attention_heads": 48, "head_dim": 64},
            {"tensor": 24},
            "16 key-value heads do not divide",
            id="groups",
        ),
        pytest.param(
            {}, {"tensor": 8}, "4 key-value heads are fewer than tensor parallelism 8: each is kept on 2 GPUs", id="copied groups"
        ),
        pytest.param({"intermediate_size": 4100}, {"tensor": 8}, "feed-forward width 4100 does not divide", id="uneven network"),
        pytest.param(
            {"intermediate_size": 4096 + 64}, {"tensor": 4}, "1040 on each GPU is not a multiple of 64", id="ragged share of the network"
        ),
        pytest.param(
            {"num_experts": 6, "num_experts_per_tok": 2}, {"expert": 4}, "6 experts do not divide by expert parallelism 4", id="experts"
        ),
    ],
)
def test_a_warning_says_what_is_wrong(keys: dict[str, Any], degrees: dict[str, int], expected: str) -> None:
    found = warnings(read_config(GOOD | keys), **degrees)
    assert any(re.search(expected, text) for text in found), found


def test_the_same_warning_is_given_once() -> None:
    mixed = GOOD | {"head_dim": 100, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}
    assert len(warnings(read_config(mixed))) == 1
