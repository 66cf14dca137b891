"""Configs that cannot be used: the complaint names the key and says what would do."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from mfu.errors import ConfigError, MfuError
from mfu.model.config import read_config
from mfu.model.conventions import compare
from mfu.model.operations import Pass
from mfu.model.totals import count, parameters
from mfu.model.warnings import warnings

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "vocab_size": 128,
}
EXPERTS = LLAMA | {"num_experts": 8, "num_experts_per_tok": 2}
DEEP: list[Any] = []
for _ in range(900):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("config", "path", "message"),
    [
        pytest.param({}, "", "the config lacks hidden_size .* vocab_size .* num_hidden_layers .* num_attention_heads", id="nothing at all"),
        pytest.param(LLAMA | {"hidden_size": None}, "", r"the config lacks hidden_size \(or n_embd, d_model", id="no width"),
        pytest.param({"text_config": {"model_type": "novel"}}, "text_config", "the config lacks hidden_size", id="nothing inside"),
        pytest.param(LLAMA | {"intermediate_size": None}, "", "lacks intermediate_size", id="no feed-forward width"),
        pytest.param(LLAMA | {"num_hidden_layers": 10**12}, "num_hidden_layers", "from 1 to 4096, not 1000000000000", id="absurd depth"),
        pytest.param(
            LLAMA | {"num_attention_heads": -4}, "num_attention_heads", "whole number from 1 to 65536, not -4", id="negative heads"
        ),
        pytest.param(LLAMA | {"hidden_size": "64"}, "hidden_size", "not '64'", id="a string for a number"),
        pytest.param(LLAMA | {"hidden_size": math.nan}, "hidden_size", "not nan", id="NaN"),
        pytest.param(LLAMA | {"hidden_size": math.inf}, "hidden_size", "not inf", id="infinity"),
        pytest.param(LLAMA | {"hidden_size": 64.5}, "hidden_size", "not 64.5", id="half a channel"),
        pytest.param(LLAMA | {"hidden_size": True}, "hidden_size", "not True", id="true for a number"),
        pytest.param(LLAMA | {"vocab_size": 10**40}, "vocab_size", "not a number of 133 bits", id="a huge number"),
        pytest.param(LLAMA | {"vocab_size": {"a": 1}}, "vocab_size", "not an object", id="an object for a number"),
        pytest.param(
            LLAMA | {"intermediate_size": [96, 64, 96, 96]}, "intermediate_size", "differs from layer to layer", id="uneven widths"
        ),
        pytest.param(LLAMA | {"intermediate_size": [DEEP] * 4}, "intermediate_size", "differs from layer to layer", id="deep nesting"),
        pytest.param(LLAMA | {"intermediate_size": []}, "intermediate_size", "is an empty list", id="an empty list"),
        pytest.param(LLAMA | {"num_key_value_heads": 3}, "num_key_value_heads", "3 key-value heads do not divide 4", id="uneven groups"),
        pytest.param(LLAMA | {"num_attention_heads": 5}, "num_attention_heads", "5 heads do not divide hidden_size 64", id="uneven heads"),
        pytest.param(
            LLAMA | {"tie_word_embeddings": "yes"}, "tie_word_embeddings", "must be true or false, not 'yes'", id="a word for a flag"
        ),
        pytest.param(LLAMA | {"layer_types": ["full_attention"]}, "layer_types", "has 1 entries for 4 layers", id="a short list"),
        pytest.param(LLAMA | {"layer_types": ["conv"] * 4}, "layer_types", "holds 'conv', which is none of", id="an unknown kind"),
        pytest.param(LLAMA | {"layer_types": [DEEP] * 4}, "layer_types", "holds a list of 1", id="lists for kinds"),
        pytest.param(LLAMA | {"layer_types": "full"}, "layer_types", "must be a list with one entry a layer", id="a word for a list"),
        pytest.param(LLAMA | {"layer_types": ["sliding_attention"] * 4}, "sliding_window", "sliding attention need it", id="no window"),
        pytest.param(EXPERTS | {"num_experts_per_tok": None}, "", "lacks num_experts_per_tok", id="no number of active experts"),
        pytest.param(
            EXPERTS | {"num_experts_per_tok": 9}, "num_experts_per_tok", "9 active experts of num_experts 8", id="more than there are"
        ),
        pytest.param(EXPERTS | {"mlp_only_layers": "none"}, "mlp_only_layers", "must be a list of layer numbers", id="a word for layers"),
        pytest.param(LLAMA | {"text_config": 3}, "text_config", "must be an object, not 3", id="a number for a nested config"),
        pytest.param(LLAMA | {"model_type": 7}, "model_type", "must be a string, not 7", id="a number for a name"),
        pytest.param(LLAMA | {"kv_lora_rank": 8}, "", "lacks qk_nope_head_dim", id="half of latent attention"),
        pytest.param(LLAMA | {"hybrid_override_pattern": "MX"}, "hybrid_override_pattern", "holds 'X'", id="an unknown block"),
        pytest.param(
            LLAMA | {"hybrid_override_pattern": "--"}, "hybrid_override_pattern", "names 2 blocks, but num_hidden_layers is 4", id="blocks"
        ),
        pytest.param(LLAMA | {"block_configs": [{}]}, "block_configs[0].attention", "must be an object", id="an empty block"),
        pytest.param(LLAMA | {"compress_ratios": [4]}, "compress_ratios", "cannot be counted yet", id="an unknown mechanism"),
        pytest.param(
            {"quantization": {"quant_algo": "FP8"}}, "quantization", "a quantisation file; give the config.json", id="a quantisation file"
        ),
        pytest.param(
            LLAMA | {"model_type": "bart", "is_encoder_decoder": True}, "model_type", "not those of a decoder", id="an encoder-decoder"
        ),
        pytest.param(LLAMA | {"model_type": "deberta", "type_vocab_size": 2}, "model_type", "not those of a decoder", id="an encoder"),
        pytest.param(LLAMA | {"num_kv_shared_layers": 5}, "num_kv_shared_layers", "from 0 to 4, not 5", id="more shared than there are"),
        pytest.param(LLAMA | {"per_layer_config": {"x": {}}}, "per_layer_config", "keyed by layer number, not 'x'", id="a layer by name"),
        pytest.param(
            LLAMA | {"model_type": "gpt_neo", "window_size": 4, "attention_types": [[["local"], 2]]},
            "attention_types",
            "names 2 layers, but there are 4",
            id="too few kinds",
        ),
        pytest.param({"model_type": "bert", "hidden_size": 64}, "", "lacks num_hidden_layers", id="half an encoder"),
        pytest.param({"model_type": "whisper", "d_model": 64}, "", "lacks encoder_layers; decoder_layers", id="half a speech model"),
    ],
)
def test_the_complaint_names_the_key(config: dict[str, Any], path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(config)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


def test_something_else_than_an_object_is_refused() -> None:
    with pytest.raises(ConfigError, match="is an object, not a list of 2"):
        read_config([1, 2])  # type: ignore[arg-type]  # what a JSON file may hold


VALUES: list[Any] = [
    None, 0, -1, 1, 2, 7, 1.5, 10**12, 10**30, math.nan, math.inf, "", "abc", "4096", True, False, [], [1, 2], {}, {"a": 1}, [None],
    DEEP, [DEEP] * 9, "M" * 50, "LG", "x" * 10_000, ["full_attention"] * 99, [0] * 5000, "1,²",
]  # fmt: skip


def test_mutated_configs_are_read_or_refused_and_never_break() -> None:
    facts = json.loads((Path(__file__).parent.parent / "data" / "flops_facts.json").read_text())["models"]
    bases = [fact["config"] for fact in facts]
    names = sorted({name for base in bases for name in base})
    chance = random.Random(20)
    read = 0
    for _ in range(4000):
        config = dict(chance.choice(bases))
        for _ in range(chance.choice((1, 1, 2, 4))):
            name = chance.choice(names if chance.random() < 0.3 else list(config))
            config[name] = chance.choice(VALUES) if chance.random() < 0.8 else config.get(chance.choice(names))
        try:
            architecture = read_config(config)
            counted = count(architecture, Pass(batch=2, new_tokens=9, past_tokens=chance.choice((0, 5))))
            compare(architecture, Pass(batch=1, new_tokens=5))
            warnings(architecture)
            parameters(architecture, predict_ahead=True)
        except MfuError as error:
            assert "\n" not in str(error)
            assert len(str(error)) < 600
        else:
            read += 1
            assert 0 <= counted.forward.attention_visible <= counted.forward.attention_full
            assert min(counted.forward.linear, counted.forward.scan, counted.forward.lm_head) >= 0
            assert 0 < counted.parameters.active_per_token <= counted.parameters.total
    assert read > 1000
