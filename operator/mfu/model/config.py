"""Reading a Hugging Face config.json, of any age, into an `Architecture`."""

from collections.abc import Mapping
from dataclasses import replace

from mfu.errors import ConfigError
from mfu.model.architecture import Architecture
from mfu.model.class_defaults import with_class_defaults
from mfu.model.keys import EXPERTS, HIDDEN, LAYERS, Keys, shown
from mfu.model.precision import native_precision
from mfu.model.read_attention import is_compressed
from mfu.model.read_blocks import block_decoder
from mfu.model.read_decoder import decoder, require_sizes
from mfu.model.read_encoder import ENCODERS, encoder_model
from mfu.model.read_vision import vision_tower
from mfu.model.traits import NormKind, Traits, traits_of

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


def read_config(config: Mapping[str, object], *, encoder_tokens: int | None = None, image_tokens: int = 0) -> Architecture:
    """The architecture that a config.json states.

    A `model_type` that is not known but has a decoder's usual keys is read as a pre-norm decoder, and `assumptions` says so.
    `encoder_tokens` is the length of an encoder-decoder's input; `image_tokens` are those of a sequence that come from an image: they add
    the vision tower, which is otherwise left out and named in `assumptions`.

    Raises `ConfigError`: `path` is the key (dotted, inside nested objects), the message what is wrong with it.
    """
    if not isinstance(config, Mapping):
        raise ConfigError("", f"a config.json is an object, not {shown(config)}")
    top = Keys(values=config)
    keys, notes = _text_part(top, image_tokens)
    family = _family(keys, top)
    if keys.path:
        keys, supplied = with_class_defaults(keys, family)
        notes += supplied
    for name, mechanism in _NOT_MODELLED.items():
        if keys.has(name) and not is_compressed(keys):
            raise ConfigError(keys.path + name, f"says that the model uses {mechanism}, which cannot be counted yet")
    architecture = _architecture(keys, top, family, encoder_tokens, notes)
    tower = vision_tower(top, architecture.hidden, image_tokens) if image_tokens else None
    return replace(architecture, native_precision=native_precision(keys, top), tower=tower)


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
    tied = top.flag("tie_word_embeddings", default=keys.flag("tie_word_embeddings", default=traits.tied))  # the whole model ties or not
    if keys.has("cross_attention_layers"):
        notes += ("cross-attention layers are counted, but no image tokens; without an image they would be skipped",)
    if keys.has("block_configs"):
        return block_decoder(keys, family, tied=tied, assumptions=notes)
    return decoder(keys, traits, family, tied=tied, assumptions=notes)


def _text_part(top: Keys, image_tokens: int) -> tuple[Keys, tuple[str, ...]]:
    """The keys of the language model, and a note about the towers beside it that are not counted."""
    keys = top
    for _ in range(3):
        inner = next((nested for name in _TEXT if (nested := keys.nested(name)) is not None), None)
        if inner is None:
            break
        keys = inner
    towers = [name for name in _OTHER_TOWERS if top.has(name) and not (image_tokens and name == "vision_config")]
    if keys is not top and not keys.has(*LAYERS, "layers_block_type") and top.has(*LAYERS):
        keys = top
    if towers:
        return keys, (f"only the language model is counted; left out: {', '.join(towers)}",)
    return keys, ()


def _family(keys: Keys, top: Keys) -> str:
    stated = keys.text("model_type") or top.text("model_type") or "unknown"
    return _ALIASES.get(stated, stated)


def _assumed_traits(keys: Keys, family: str) -> tuple[Traits, tuple[str, ...]]:
    """What an unknown family is taken for, by the keys it has. Raises `ConfigError` where it does not look like a decoder."""
    if keys.flag("is_encoder_decoder") or keys.has("type_vocab_size") or _is_masked(keys.raw("architectures")):
        raise ConfigError(
            keys.path + "model_type", f"{shown(family)} is not known, and its keys are not those of a decoder-only language model"
        )
    activation = keys.text("hidden_act", "hidden_activation", "mlp_hidden_act", "activation_function")
    layer_norm = keys.has("layer_norm_eps", "layer_norm_epsilon") and not keys.has("rms_norm_eps", "norm_eps")
    gated = activation not in _PLAIN_ACTIVATIONS and not (layer_norm and activation == "gelu")
    norm = NormKind.LAYER if layer_norm else NormKind.RMS
    biased = layer_norm and not gated
    traits = Traits(gated=gated, norm=norm, qkv_bias=biased, output_bias=biased, mlp_bias=biased)
    what = "mixture-of-experts" if keys.has(*EXPERTS) else "dense"
    assumption = (
        f"model_type {shown(family)} is not known; counted from its keys as a pre-norm {what} decoder with "
        f"{'layer' if layer_norm else 'RMS'} norms, a feed-forward network of {'three matrices (gated)' if gated else 'two matrices'}, "
        f"and {'biases' if biased else 'biases only where the config states them'}"
    )
    return traits, (assumption,)


def _is_masked(classes: object) -> bool:
    return isinstance(classes, list) and any(isinstance(name, str) and "MaskedLM" in name for name in classes)
