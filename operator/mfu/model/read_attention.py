"""Attention of a config: heads, head dimensions, latent ranks, windows."""

from mfu.errors import ConfigError
from mfu.model.architecture import Attention, CompressedAttention, LatentAttention
from mfu.model.keys import HEADS, HIDDEN, KEY_VALUE_HEADS, Keys
from mfu.model.layer_kinds import WINDOW, MixerKind
from mfu.model.traits import QueryKeyNorm, Traits

__all__ = ["attention", "compressed_attention", "is_compressed", "is_latent", "latent_attention"]

_DEFAULT_CHUNK = 8192  # Llama 4's class default


def attention(keys: Keys, traits: Traits, family: str, kind: MixerKind) -> Attention:
    """Softmax attention of a layer of that kind.

    Raises `ConfigError` when heads do not fit together or a window is asked for without its size.
    """
    windowed = kind is MixerKind.SLIDING
    heads = keys.integer(*(("swa_num_attention_heads", *HEADS) if windowed else HEADS), high=2**16)
    head_dim = _head_dim(keys, heads, kind)
    if keys.flag("attention_k_eq_v") and not windowed:
        groups = keys.integer("num_global_key_value_heads", *KEY_VALUE_HEADS, default=heads)
    else:
        groups = _key_value_heads(keys, heads, family, windowed=windowed)
    if heads % groups:
        raise ConfigError(keys.name_of(*KEY_VALUE_HEADS), f"{groups} key-value heads do not divide {heads} attention heads")
    value_dim = keys.integer(*(("swa_v_head_dim", "v_head_dim") if windowed else ("v_head_dim",)), default=head_dim, high=2**16)
    stated_bias = keys.flag(*traits.bias_keys, default=traits.qkv_bias) if traits.bias_keys else traits.qkv_bias
    if keys.flag("no_bias", default=False) and family == "mpt":
        stated_bias = False
    output_bias = keys.flag("attention_out_bias", *(traits.bias_keys if traits.bias_key_covers_output else ()), default=traits.output_bias)
    sinks = traits.sinks or keys.flag("add_swa_attention_sink_bias" if windowed else "add_full_attention_sink_bias")
    return Attention(
        query_heads=heads,
        key_value_heads=groups,
        head_dim=head_dim,
        value_head_dim=value_dim,
        window=_window(keys) if windowed else None,
        chunk=keys.integer("attention_chunk_size", default=_DEFAULT_CHUNK) if kind is MixerKind.CHUNKED else None,
        qkv_bias=stated_bias,
        output_bias=output_bias,
        query_key_norm=_query_key_norm(keys, traits, heads, groups, head_dim),
        output_gate=keys.flag("attn_output_gate", default=traits.output_gate),
        sinks=sinks,
        cross=kind is MixerKind.CROSS,
        values_are_keys=keys.flag("attention_k_eq_v") and not windowed,
    )


def _key_value_heads(keys: Keys, heads: int, family: str, *, windowed: bool = False) -> int:
    """Key and value heads; absent means as many as query heads, and multi-query is stated in several ways."""
    inner = keys.nested("attn_config")  # DBRX, MPT
    if inner is not None and inner.has("kv_n_heads"):
        return inner.integer("kv_n_heads")
    if family == "falcon" and not keys.flag("new_decoder_architecture"):
        return 1 if keys.flag("multi_query", default=True) else heads
    if family == "gpt_bigcode":
        return 1 if keys.flag("multi_query", default=True) else heads
    if family == "chatglm":
        return keys.integer("multi_query_group_num", default=heads) if keys.flag("multi_query_attention") else heads
    return keys.integer(*(("swa_num_key_value_heads", *KEY_VALUE_HEADS) if windowed else KEY_VALUE_HEADS), default=heads)


def _head_dim(keys: Keys, heads: int, kind: MixerKind) -> int:
    first = ("swa_head_dim",) if kind is MixerKind.SLIDING else ("global_head_dim",)
    names = (*first, "head_dim", "attention_head_dim", "kv_channels")
    if keys.has(*names):
        return keys.integer(*names, high=2**16)
    hidden = keys.integer(*HIDDEN)
    if hidden % heads:
        raise ConfigError(keys.name_of(*HEADS), f"{heads} heads do not divide {keys.name_of(*HIDDEN)} {hidden}, and head_dim is not given")
    return hidden // heads


def _window(keys: Keys) -> int:
    if not keys.has(*WINDOW):
        raise ConfigError(keys.path + "sliding_window", "layers with sliding attention need it, and the config lacks it")
    return keys.integer(*WINDOW)


def _query_key_norm(keys: Keys, traits: Traits, heads: int, groups: int, head_dim: int) -> int:
    norm = traits.query_key_norm
    if keys.has("use_qk_norm", "qk_layernorm"):
        norm = traits.stated_query_key_norm if keys.flag("use_qk_norm", "qk_layernorm") else QueryKeyNorm.NONE
    match norm:
        case QueryKeyNorm.HEAD:
            return 2 * head_dim
        case QueryKeyNorm.FULL:
            return (heads + groups) * head_dim
        case _:
            return 0


def is_latent(keys: Keys) -> bool:
    """Whether keys and values come from one low-rank latent (kv_lora_rank)."""
    return keys.has("kv_lora_rank")


def latent_attention(keys: Keys, kind: MixerKind) -> LatentAttention:
    """Multi-head latent attention, with the sparse indexer where the config has one and this layer runs it."""
    indexes = kind is not MixerKind.SHARED_INDEX
    return LatentAttention(
        heads=keys.integer(*HEADS, high=2**16),
        query_lora_rank=keys.maybe("q_lora_rank", low=1),
        key_value_lora_rank=keys.integer("kv_lora_rank"),
        qk_nope_head_dim=keys.integer("qk_nope_head_dim"),
        qk_rope_head_dim=keys.integer("qk_rope_head_dim", low=0),
        value_head_dim=keys.integer("v_head_dim"),
        bias=keys.flag("attention_bias"),
        indexer_heads=keys.integer("index_n_heads", default=0, low=0, high=2**16) if indexes else 0,
        indexer_head_dim=keys.integer("index_head_dim", default=0, low=0, high=2**16),
        indexer_top_tokens=keys.integer("index_topk", default=0, low=0),
    )


def is_compressed(keys: Keys) -> bool:
    """Whether attention is DeepSeek-V4's: a grouped output projection, and layers that attend to compressed blocks."""
    return keys.has("o_lora_rank") and keys.has("compress_ratios", "compress_rates")


def compressed_attention(keys: Keys, kind: MixerKind) -> CompressedAttention:
    """Attention over a window and compressed blocks, of a layer of that kind."""
    heads, head_dim = keys.integer(*HEADS, high=2**16), keys.integer("head_dim", high=2**16)
    groups = keys.integer("o_groups", high=2**12)
    if heads * head_dim % groups:
        raise ConfigError(keys.path + "o_groups", f"{groups} groups do not divide {heads} heads of {head_dim}")
    rates = keys.nested("compress_rates") or Keys(values={})
    sparse = kind is MixerKind.COMPRESSED_SPARSE
    rate = 0
    if sparse:
        rate = rates.integer("compressed_sparse_attention", default=4, low=2, high=2**16)
    elif kind is MixerKind.COMPRESSED:
        rate = rates.integer("heavily_compressed_attention", default=128, low=2, high=2**16)
    return CompressedAttention(
        heads=heads,
        head_dim=head_dim,
        query_lora_rank=keys.integer("q_lora_rank"),
        output_groups=groups,
        output_lora_rank=keys.integer("o_lora_rank"),
        window=_window(keys),
        compress_rate=rate,
        indexer_heads=keys.integer("index_n_heads", high=2**16) if sparse else 0,
        indexer_head_dim=keys.integer("index_head_dim", high=2**16) if sparse else 0,
        indexer_top_blocks=keys.integer("index_topk") if sparse else 0,
    )
