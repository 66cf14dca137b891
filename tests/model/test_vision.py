"""Vision towers: counted when image tokens are declared, against the model classes' own totals."""

from typing import Any

import pytest

from mfu.errors import ConfigError
from mfu.model.config import read_config
from mfu.model.operations import Module, Pass
from mfu.model.totals import Flops, Parameters, by_module, count, parameters

LANGUAGE: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "vocab_size": 128,
}
SIGLIP = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "image_size": 896,
    "intermediate_size": 4304,
    "num_attention_heads": 16,
    "num_hidden_layers": 27,
    "patch_size": 14,
    "vision_use_head": False,
}
QWEN = {
    "model_type": "qwen3_vl",
    "hidden_size": 1152,
    "depth": 27,
    "num_heads": 16,
    "intermediate_size": 4304,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "in_channels": 3,
    "num_position_embeddings": 2304,
    "out_hidden_size": 3584,
    "deepstack_visual_indexes": [8, 16, 24],
}
CLIP = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "image_size": 336,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "patch_size": 14,
}


def tower(vision: dict[str, Any], tokens: int, **top: Any) -> tuple[Parameters, Flops]:
    architecture = read_config({"text_config": LANGUAGE, "vision_config": vision, **top}, image_tokens=tokens)
    return by_module(architecture, Pass(batch=1, new_tokens=tokens))[Module.VISION]


@pytest.mark.parametrize(
    ("vision", "tokens", "total"),
    [
        pytest.param(SIGLIP, 256, 416_866_032 + 1152 * 64 + 1152, id="SigLIP so400m at 896 pixels and one matrix behind a norm"),
        pytest.param(CLIP, 576, 303_507_456 + (1024 + 1) * 64 + (64 + 1) * 64, id="CLIP ViT-L at 336 pixels and two matrices"),
        pytest.param(QWEN, 256, 566_949_104, id="Qwen3-VL with three deep-stacked mergers"),
    ],
)
def test_a_tower_has_the_parameters_of_its_class(vision: dict[str, Any], tokens: int, total: int) -> None:
    held, _ = tower(vision, tokens, mm_tokens_per_image=tokens)
    assert held.total == total


def test_an_image_costs_what_an_independent_counter_says() -> None:
    _, flops = tower(SIGLIP, 256, mm_tokens_per_image=256)
    behind_it = 2 * 256 * 1152 * 64
    assert (flops.total_full - behind_it) / 1e12 == pytest.approx(5.460, abs=5e-4)


def test_attention_stays_within_each_image() -> None:
    _, one = tower(SIGLIP, 256, mm_tokens_per_image=256)
    _, two = tower(SIGLIP, 512, mm_tokens_per_image=256)
    assert two.attention_full == 2 * one.attention_full
    assert two.linear == 2 * one.linear


def test_without_image_tokens_the_tower_is_left_out_and_named() -> None:
    config = {"text_config": LANGUAGE, "vision_config": CLIP}
    assert read_config(config).assumptions == ("only the language model is counted; left out: vision_config",)
    assert parameters(read_config(config)) == parameters(read_config(LANGUAGE))
    assert read_config(config, image_tokens=576).assumptions == ()


def test_an_image_is_encoded_once_and_not_at_every_decode_step() -> None:
    architecture = read_config({"text_config": LANGUAGE, "vision_config": CLIP}, image_tokens=576)
    step = Pass(batch=1, new_tokens=1, past_tokens=600)
    assert count(architecture, step).forward == count(read_config(LANGUAGE), step).forward


def test_a_towers_attention_is_not_causal() -> None:
    _, flops = tower(CLIP, 576)
    assert flops.attention_visible == flops.attention_full == 2 * 577 * 577 * 16 * 2 * 64 * 24


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param({"text_config": LANGUAGE}, "the config lacks vision_config", id="no tower"),
        pytest.param(
            {"text_config": LANGUAGE, "vision_config": {"model_type": "novel"}},
            r"vision_config\.model_type: 'novel' is a vision tower that cannot be counted yet",
            id="an unknown tower",
        ),
        pytest.param(
            {"text_config": LANGUAGE, "vision_config": CLIP | {"patch_size": 15}},
            r"vision_config\.patch_size: 15 does not divide image_size 336",
            id="ragged patches",
        ),
        pytest.param(
            {"text_config": LANGUAGE, "vision_config": CLIP | {"num_attention_heads": 15}},
            r"vision_config\.num_attention_heads: 15 heads do not divide",
            id="ragged heads",
        ),
    ],
)
def test_a_tower_that_cannot_be_counted_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(config, image_tokens=256)
