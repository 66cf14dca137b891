"""Reading a Hugging Face config.json, of any age, into an `Architecture`."""

from collections.abc import Mapping
from dataclasses import replace

from mfu.errors import ConfigError
from mfu.model.architecture import Architecture
from mfu.model.keys import EXPERTS, HIDDEN, LAYERS, Keys, shown
from mfu.model.precision import native_precision
from mfu.model.read_blocks import block_decoder
from mfu.model.read_decoder import decoder, require_sizes
from mfu.model.read_encoder import ENCODERS, encoder_model
from mfu.model.traits import Traits, traits_of

__all__ = ["read_config"]

_TEXT = ("text_config", "llm_config", "language_config", "language_model_config", "thinker_config")
_OTHER_TOWERS = ("vision_config", "audio_config", "vision_tower", "mm_vision_tower", "vit_config", "speech_config")
_PLAIN_ACTIVATIONS = ("relu", "relu2", "gelu_new", "gelu_fast", "squared_relu")

# Keys of mechanisms that change what is computed in ways that are not modelled; no count is better than a wrong one.
_NOT_MODELLED = {
    "compress_ratios": "attention over compressed blocks of tokens",
    "o_lora_rank": "a grouped low-rank output projection",
    "hc_mult": "hyper-connections between several residual streams",
    "linear_attn_config": "Kimi delta attention",
    "altup_num_inputs": "alternating updates of several residual streams",
    "conv_L_cache": "gated short convolutions in place of attention",
    "num_mem_blocks": "transformer blocks shared between layers",
    "zero_expert_num": "experts that compute nothing",
    "lru_width": "a gated linear recurrent unit",
    "num_codebooks": "several streams of audio tokens",
    "dynamic_mask_ratio": "attention masks that depend on the values",
}
_ALIASES = {"deepseek_ref": "deepseek_v4", "minimaxm2": "minimax_m2", "qwen3_5": "qwen3_5_text", "qwen3_5_moe": "qwen3_5_moe_text"}


def read_config(config: Mapping[str, object], *, encoder_tokens: int | None = None) -> Architecture:
    """The architecture that a config.json states.

    A `model_type` that is not known but has a decoder's usual keys is read as a pre-norm decoder, and `assumptions` says so.
    `encoder_tokens` is the length of an encoder-decoder's input.

    Raises `ConfigError`: `path` is the key (dotted, inside nested objects), the message what is wrong with it.
    """
    if not isinstance(config, Mapping):
        raise ConfigError("", f"a config.json is an object, not {shown(config)}")
    top = Keys(values=config)
    keys, notes = _text_part(top)
    family = _family(keys, top)
    for name, mechanism in _NOT_MODELLED.items():
        if keys.has(name):
            raise ConfigError(keys.path + name, f"says that the model uses {mechanism}, which cannot be counted yet")
    return replace(_architecture(keys, top, family, encoder_tokens, notes), native_precision=native_precision(keys, top))


def _architecture(keys: Keys, top: Keys, family: str, encoder_tokens: int | None, notes: tuple[str, ...]) -> Architecture:
    if family in ENCODERS:
        return encoder_model(keys, family, encoder_tokens=encoder_tokens, notes=notes)
    if not keys.has(*HIDDEN) and keys.has("quantization", "producer"):
        raise ConfigError(keys.path + "quantization", "this is a quantisation file; give the config.json of the model it belongs to")
    require_sizes(keys, family)
    traits = traits_of(family)
    if traits is None:
        traits, assumed = _assumed_traits(keys, family)
        notes += assumed
    tied = keys.flag("tie_word_embeddings", default=top.flag("tie_word_embeddings", default=traits.tied))
    if keys.has("cross_attention_layers"):
        notes += ("cross-attention layers are counted, but no image tokens; without an image they would be skipped",)
    if keys.has("block_configs"):
        return block_decoder(keys, family, tied=tied, assumptions=notes)
    return decoder(keys, traits, family, tied=tied, assumptions=notes)


def _text_part(top: Keys) -> tuple[Keys, tuple[str, ...]]:
    """The keys of the language model, and a note about the towers beside it that are not counted."""
    keys = top
    for _ in range(3):
        inner = next((nested for name in _TEXT if (nested := keys.nested(name)) is not None), None)
        if inner is None:
            break
        keys = inner
    towers = [name for name in _OTHER_TOWERS if top.has(name)]
    if keys is not top and not keys.has(*LAYERS, "layers_block_type") and top.has(*LAYERS):
        keys = top
    if towers:
        return keys, (f"only the language model is counted; left out: {', '.join(towers)}",)
    return keys, ()


def _family(keys: Keys, top: Keys) -> str:
    stated = keys.text("model_type") or top.text("model_type") or "unknown"
    return _ALIASES.get(stated, stated)


def _assumed_traits(keys: Keys, family: str) -> tuple[Traits, tuple[str, ...]]:
    activation = keys.text("hidden_act", "hidden_activation", "mlp_hidden_act", "activation_function")
    gated = activation not in _PLAIN_ACTIVATIONS
    network = "gated (three matrices)" if gated else "plain (two matrices)"
    what = "mixture-of-experts" if keys.has(*EXPERTS) else "dense"
    assumption = (
        f"model_type {shown(family)} is not known; counted from its keys as a pre-norm {what} decoder with a {network} feed-forward "
        "network, RMS norms and biases only where the config states them"
    )
    return Traits(gated=gated), (assumption,)
