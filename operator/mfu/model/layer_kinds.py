"""What each layer of a decoder is: how it mixes tokens and how it feeds them forward, from whichever keys a config says it with."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mfu.errors import ConfigError
from mfu.model.keys import EXPERTS, LAYERS, MAX_LAYERS, Keys, shown
from mfu.model.traits import Traits, Windows

__all__ = ["SCAN_ONLY", "WINDOW", "FeedKind", "LayerKind", "MixerKind", "blocks", "expert_count", "layer_kinds"]


class MixerKind(StrEnum):
    NONE = "none"
    FULL = "full"
    SLIDING = "sliding"
    CHUNKED = "chunked"
    LINEAR = "linear"
    STATE_SPACE = "stateSpace"
    SIDE_BY_SIDE = "sideBySide"  # attention and a state-space scan on the same input
    CROSS = "cross"
    COMPRESSED = "compressed"  # window and compressed blocks
    COMPRESSED_SPARSE = "compressedSparse"  # … of which an indexer picks
    SHARED_INDEX = "sharedIndex"  # sparse attention over the tokens that an earlier layer's indexer chose


class FeedKind(StrEnum):
    NONE = "none"
    DENSE = "dense"
    EXPERTS = "experts"
    BOTH = "both"  # experts beside a plain network


@dataclass(frozen=True, slots=True)
class LayerKind:
    """The two kinds of a layer; `reuses_cache` when its keys and values are an earlier layer's; `overrides` are keys of its own."""

    mixer: MixerKind
    feed: FeedKind
    reuses_cache: bool = False
    overrides: tuple[tuple[str, int], ...] = ()


_TYPES: Mapping[str, MixerKind] = {
    "full_attention": MixerKind.FULL,
    "attention": MixerKind.FULL,
    "global": MixerKind.FULL,
    "global_attention": MixerKind.FULL,
    "sliding_attention": MixerKind.SLIDING,
    "local": MixerKind.SLIDING,
    "local_attention": MixerKind.SLIDING,
    "chunked_attention": MixerKind.CHUNKED,
    "indexed_attention": MixerKind.FULL,  # latent attention behind an indexer
    "hybrid": MixerKind.SIDE_BY_SIDE,
    "heavily_compressed_attention": MixerKind.COMPRESSED,
    "compressed_sparse_attention": MixerKind.COMPRESSED_SPARSE,
    "lightning_attention": MixerKind.LINEAR,
    "mamba": MixerKind.STATE_SPACE,
    "mamba2": MixerKind.STATE_SPACE,
}
# Blocks of one sublayer each (Nemotron-H), by letter or by word.
_BLOCKS: Mapping[str, LayerKind] = {
    "M": LayerKind(MixerKind.STATE_SPACE, FeedKind.NONE),
    "*": LayerKind(MixerKind.FULL, FeedKind.NONE),
    "-": LayerKind(MixerKind.NONE, FeedKind.DENSE),
    "E": LayerKind(MixerKind.NONE, FeedKind.EXPERTS),
    "mamba": LayerKind(MixerKind.STATE_SPACE, FeedKind.NONE),
    "attention": LayerKind(MixerKind.FULL, FeedKind.NONE),
    "linear_attention": LayerKind(MixerKind.STATE_SPACE, FeedKind.NONE),
    "full_attention": LayerKind(MixerKind.FULL, FeedKind.NONE),
    "mlp": LayerKind(MixerKind.NONE, FeedKind.DENSE),
    "moe": LayerKind(MixerKind.NONE, FeedKind.EXPERTS),
}
SCAN_ONLY = ("mamba", "mamba2", "falcon_mamba")
WINDOW = ("sliding_window", "sliding_window_size", "window_size")
_NOPE_EVERY = 4  # Llama 4: every fourth layer has no rotary positions and sees everything


def layer_kinds(keys: Keys, traits: Traits, family: str) -> tuple[LayerKind, ...]:
    """The two kinds of every layer, first layer first. Raises `ConfigError` naming the list that does not fit."""
    if keys.has("hybrid_override_pattern", "layers_block_type"):
        return blocks(keys)
    layers = keys.integer(*LAYERS, high=MAX_LAYERS)
    if family in SCAN_ONLY:
        return (LayerKind(MixerKind.STATE_SPACE, FeedKind.NONE),) * layers
    routed = FeedKind.BOTH if keys.flag("enable_moe_block") else FeedKind.EXPERTS  # Gemma 4 runs both
    feeds = tuple(routed if sparse else FeedKind.DENSE for sparse in _has_experts_at(keys, layers))
    mixers = _mixer_kinds(keys, traits, family, layers)
    first_reusing = layers - keys.integer("num_kv_shared_layers", default=0, low=0, high=layers)  # Gemma 3n and 4
    overrides = _overrides(keys)
    return tuple(
        LayerKind(mixer, feed, i >= first_reusing, overrides.get(i, ())) for i, (mixer, feed) in enumerate(zip(mixers, feeds, strict=True))
    )


def _overrides(keys: Keys) -> dict[int, tuple[tuple[str, int], ...]]:
    """Numbers that single layers state for themselves: `per_layer_config`, by layer number."""
    stated = keys.nested("per_layer_config")
    found: dict[int, tuple[tuple[str, int], ...]] = {}
    for name in stated.values if stated is not None else ():
        if not isinstance(name, str) or not (name.isascii() and name.isdigit() and len(name) < 8):
            raise ConfigError(f"{keys.path}per_layer_config", f"must be keyed by layer number, not {shown(name)}")
        inner = stated.nested(name) if stated is not None else None
        if inner is not None:
            found[int(name)] = tuple((key, inner.integer(key, low=0)) for key in sorted(map(str, inner.values)) if inner.has(key))
    return found


def blocks(keys: Keys, prefix: str = "") -> tuple[LayerKind, ...]:
    """Kinds of the blocks of a hybrid that lists one sublayer a block; with the prefix `mtp_`, those of its prediction module."""
    word, listed = f"{prefix}hybrid_override_pattern", f"{prefix}layers_block_type"
    name = word if keys.has(word) else listed
    items = keys.raw(name)
    if not isinstance(items, str | list | tuple) or not 0 < len(items) <= MAX_LAYERS:
        raise ConfigError(keys.path + name, f"must name 1 to {MAX_LAYERS} blocks, not {shown(items)}")
    found = [_BLOCKS[item] for item in items if isinstance(item, str) and item in _BLOCKS]
    if len(found) != len(items):
        wrong = next(item for item in items if not isinstance(item, str) or item not in _BLOCKS)
        raise ConfigError(keys.path + name, f"holds {shown(wrong)}, which is none of {' '.join(_BLOCKS)}")
    if not prefix and keys.has(*LAYERS) and (layers := keys.integer(*LAYERS, high=MAX_LAYERS)) != len(items):
        raise ConfigError(keys.path + name, f"names {len(items)} blocks, but {keys.name_of(*LAYERS)} is {layers}")
    return tuple(found)


def _mixer_kinds(keys: Keys, traits: Traits, family: str, layers: int) -> tuple[MixerKind, ...]:
    full, scan, linear, sliding = MixerKind.FULL, MixerKind.STATE_SPACE, MixerKind.LINEAR, MixerKind.SLIDING
    if (listed := keys.items("layer_types", length=layers)) is not None:
        return tuple(_type(keys, item) for item in listed)
    if (ratios := keys.items("compress_ratios", length=layers)) is not None:
        return tuple(_compression(keys, item) for item in ratios)
    if (indexers := keys.items("indexer_types", length=layers)) is not None:  # GLM-5: full computes an index, shared uses the last one
        return tuple(MixerKind.SHARED_INDEX if isinstance(item, str) and item == "shared" else full for item in indexers)
    if keys.has("attn_layer_period"):  # Jamba
        period, offset = keys.integer("attn_layer_period"), keys.integer("attn_layer_offset", default=0, low=0)
        return tuple(full if i % period == offset else scan for i in range(layers))
    if keys.has("attn_layer_indices"):  # Bamba
        chosen = keys.indices("attn_layer_indices")
        return tuple(full if i in chosen else scan for i in range(layers))
    if family == "bamba":
        return (scan,) * layers
    if keys.has("full_attention_interval", "linear_num_value_heads"):  # gated delta net between full layers
        interval = keys.integer("full_attention_interval", default=4)
        return tuple(full if (i + 1) % interval == 0 else linear for i in range(layers))
    if (types := keys.items("attn_type_list", length=layers)) is not None:  # MiniMax: 1 softmax, 0 lightning
        return tuple(full if _is_one(keys, "attn_type_list", item) else linear for item in types)
    if (pattern := keys.items("hybrid_layer_pattern", length=layers)) is not None:  # MiMo-V2: 1 windowed
        return tuple(sliding if _is_one(keys, "hybrid_layer_pattern", item) else full for item in pattern)
    if family == "falcon_h1" or keys.has("mamba_d_ssm"):
        return (MixerKind.SIDE_BY_SIDE,) * layers
    if keys.has("cross_attention_layers"):  # Llama 3.2 with vision
        cross = keys.indices("cross_attention_layers")
        return tuple(MixerKind.CROSS if i in cross else full for i in range(layers))
    if family == "llama4_text":
        return _chunked_kinds(keys, layers)
    if family == "gpt_neo":
        return _repeated_kinds(keys, layers)
    return _windowed_kinds(keys, traits, layers)


def _windowed_kinds(keys: Keys, traits: Traits, layers: int) -> tuple[MixerKind, ...]:
    full, sliding = MixerKind.FULL, MixerKind.SLIDING
    if traits.windows is Windows.NONE or not keys.has(*WINDOW) or not keys.flag("use_sliding_window", default=True):
        return (full,) * layers
    stated = keys.raw("sliding_window_pattern")
    if isinstance(stated, str):  # EXAONE 4: a word of local and global layers, repeated
        if not 0 < len(stated) <= MAX_LAYERS or set(stated) - set("LG"):
            raise ConfigError(keys.path + "sliding_window_pattern", f"must be a number or a word of L and G, not {shown(stated)}")
        return tuple(full if stated[i % len(stated)] == "G" else sliding for i in range(layers))
    pattern = keys.integer("sliding_window_pattern", default=traits.window_pattern, low=0)
    windows = Windows.PATTERN if pattern and traits.windows is Windows.FLAGGED else traits.windows
    match windows:
        case Windows.ALL:
            return (sliding,) * layers
        case Windows.ALTERNATE:
            return tuple(full if i % 2 else sliding for i in range(layers))
        case Windows.PATTERN:
            return tuple(full if pattern and (i + 1) % pattern == 0 else sliding for i in range(layers))
        case _:
            if not keys.flag("use_sliding_window", default=False):
                return (full,) * layers
            first = keys.integer("max_window_layers", default=0, low=0)
            return tuple(sliding if i >= first else full for i in range(layers))


def _repeated_kinds(keys: Keys, layers: int) -> tuple[MixerKind, ...]:
    """GPT-Neo: `attention_types` lists [[kinds], times] pairs; local layers are windowed. Absent, the two kinds alternate."""
    name = keys.path + "attention_types"
    stated = keys.raw("attention_types")
    kinds: list[MixerKind] = []
    for pair in stated if isinstance(stated, list | tuple) else [[["global", "local"], layers]]:
        match pair:
            case [[*items], int() as times] if items and 0 < times <= MAX_LAYERS:
                kinds += [_type(keys, item) for item in items[:layers]] * times
            case _:
                raise ConfigError(name, f"must list pairs of kinds and a number of times, not {shown(pair)}")
        if len(kinds) >= layers:
            return tuple(kinds[:layers])
    raise ConfigError(name, f"names {len(kinds)} layers, but there are {layers}")


def _chunked_kinds(keys: Keys, layers: int) -> tuple[MixerKind, ...]:
    """Llama 4: layers with rotary positions are chunked, the others see everything. `no_rope_layers` holds 1 where positions are used."""
    if isinstance(stated := keys.raw("no_rope_layers"), list | tuple) and stated:
        rotary = keys.items("no_rope_layers", length=layers) or ()
        return tuple(MixerKind.CHUNKED if _is_one(keys, "no_rope_layers", item) else MixerKind.FULL for item in rotary)
    every = keys.integer("no_rope_layer_interval", default=_NOPE_EVERY)
    return tuple(MixerKind.FULL if (i + 1) % every == 0 else MixerKind.CHUNKED for i in range(layers))


def expert_count(keys: Keys) -> int:
    """Routed experts of a layer that has them; 0 for a dense model."""
    inner = keys.nested("ffn_config")  # DBRX
    source = inner if inner is not None and inner.has(*EXPERTS) else keys
    count = source.integer(*EXPERTS, default=0, low=0, high=2**16)
    return count if count > 1 else 0


def _has_experts_at(keys: Keys, layers: int) -> tuple[bool, ...]:
    if expert_count(keys) == 0 or not keys.flag("enable_moe_block", default=True):
        return (False,) * layers
    if (kinds := keys.items("mlp_layer_types", length=layers)) is not None:
        if not all(isinstance(item, str) and item in ("dense", "sparse", "moe", "hash_moe") for item in kinds):
            raise ConfigError(keys.path + "mlp_layer_types", "must hold dense, sparse, moe and hash_moe only")
        return tuple(item != "dense" for item in kinds)
    if isinstance(keys.raw("moe_layer_freq"), list | tuple):
        return tuple(_is_one(keys, "moe_layer_freq", item) for item in keys.items("moe_layer_freq", length=layers) or ())
    if (text := keys.text("moe_layers_enum")) is not None:
        parts = [part.strip() for part in text[: 16 * MAX_LAYERS].split(",")]
        if not all(part.isascii() and part.isdigit() and len(part) < 8 for part in parts):
            raise ConfigError(keys.path + "moe_layers_enum", f"must be layer numbers with commas between, not {shown(text)}")
        chosen = frozenset(map(int, parts))
        return tuple(i in chosen for i in range(layers))
    if keys.has("moe_layers"):
        chosen = keys.indices("moe_layers")
        return tuple(i in chosen for i in range(layers))
    if keys.has("interleave_moe_layer_step"):
        step = keys.integer("interleave_moe_layer_step", low=0)
        return tuple(step > 0 and (i + 1) % step == 0 for i in range(layers))
    if keys.has("expert_layer_period"):
        period, offset = keys.integer("expert_layer_period"), keys.integer("expert_layer_offset", default=0, low=0)
        return tuple(i % period == offset for i in range(layers))
    if keys.has("moe_layer_start_index", "moe_layer_interval"):
        first = keys.integer("moe_layer_start_index", default=0, low=0)
        last = keys.integer("moe_layer_end_index", default=-1, low=-1)
        every = keys.integer("moe_layer_interval", default=1)
        return tuple(first <= i <= (last if last >= 0 else layers - 1) and (i + 1) % every == 0 for i in range(layers))
    if keys.has("decoder_sparse_step", "mlp_only_layers"):
        step, plain = keys.integer("decoder_sparse_step", default=1), keys.indices("mlp_only_layers")
        return tuple(i not in plain and (i + 1) % step == 0 for i in range(layers))
    first = keys.integer("first_k_dense_replace", "moe_first_k_dense_replace", default=0, low=0)
    every = keys.integer("moe_layer_freq", default=1)
    return tuple(i >= first and i % every == 0 for i in range(layers))


def _type(keys: Keys, item: object) -> MixerKind:
    if item == "linear_attention" and isinstance(item, str):  # newer configs say so of every recurrence
        scans = keys.has("mamba_d_state", "ssm_state_size", "state_size") and not keys.has("linear_num_value_heads")
        return MixerKind.STATE_SPACE if scans else MixerKind.LINEAR
    if isinstance(item, str) and item in _TYPES:
        return _TYPES[item]
    known = ", ".join(sorted([*_TYPES, "linear_attention"]))
    raise ConfigError(keys.path + "layer_types", f"holds {shown(item)}, which is none of {known}")


def _compression(keys: Keys, item: object) -> MixerKind:
    """DeepSeek-V4: tokens to one compressed entry; the class knows three."""
    match item:
        case 0:
            return MixerKind.SLIDING
        case 4:
            return MixerKind.COMPRESSED_SPARSE
        case 128:
            return MixerKind.COMPRESSED
        case _:
            raise ConfigError(keys.path + "compress_ratios", f"must hold 0, 4 and 128 only, not {shown(item)}")


def _is_one(keys: Keys, name: str, item: object) -> bool:
    if isinstance(item, int) and item in (0, 1):
        return bool(item)
    raise ConfigError(keys.path + name, f"must hold 0 and 1 only, not {shown(item)}")
