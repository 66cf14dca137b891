"""Models whose blocks were searched one by one (Puzzle, arXiv:2411.19146): every block states its own attention and its own width."""

import math
from collections import Counter
from collections.abc import Mapping

from mfu.errors import ConfigError
from mfu.model.architecture import Architecture, Attention, FeedForward, Layer, Mixer, Mlp
from mfu.model.keys import HEADS, HIDDEN, MAX_LAYERS, VOCABULARY, Keys, as_integer, shown

__all__ = ["block_decoder"]

_WIDTH_STEP = 256  # the class rounds ffn_mult × 2/3 × hidden up to a multiple of it


def block_decoder(keys: Keys, family: str, *, tied: bool, assumptions: tuple[str, ...]) -> Architecture:
    """The architecture of a config with `block_configs`. Raises `ConfigError` naming the entry that cannot be read."""
    hidden = keys.integer(*HIDDEN, high=2**20)
    heads = keys.integer(*HEADS, high=2**16)
    if hidden % heads:
        raise ConfigError(keys.name_of(*HEADS), f"{heads} heads do not divide {keys.name_of(*HIDDEN)} {hidden}")
    listed = keys.raw("block_configs")
    if not isinstance(listed, list | tuple) or not 0 < len(listed) <= MAX_LAYERS:
        raise ConfigError(keys.path + "block_configs", f"must list 1 to {MAX_LAYERS} blocks, not {shown(listed)}")
    blocks = Counter(
        (_attention(_part(keys, i, block, "attention"), heads, hidden // heads), _network(_part(keys, i, block, "ffn"), hidden))
        for i, block in enumerate(listed)
    )
    layers = tuple(
        Layer(mixers=mixers, feed_forward=network, norm_parameters=hidden * (len(mixers) + len(network)), count=count)
        for (mixers, network), count in blocks.items()
    )
    return Architecture(
        family=family,
        hidden=hidden,
        vocabulary=keys.integer(*VOCABULARY, high=2**24),
        layers=layers,
        tied_embeddings=tied,
        extra_parameters=hidden,
        assumptions=assumptions,
    )


def _part(keys: Keys, index: int, block: object, name: str) -> Keys:
    inner = block.get(name) if isinstance(block, Mapping) else None
    path = f"{keys.path}block_configs[{index}]."
    if not isinstance(inner, Mapping):
        raise ConfigError(path + name, f"must be an object, not {shown(inner)}")
    part = Keys(values=inner, path=f"{path}{name}.")
    if part.flag("replace_with_linear"):
        raise ConfigError(part.path + "replace_with_linear", "blocks replaced by one linear layer cannot be counted yet")
    return part


def _attention(part: Keys, heads: int, head_dim: int) -> tuple[Mixer, ...]:
    if part.flag("no_op"):
        return ()
    in_group = part.integer("n_heads_in_group", high=2**16)
    if heads % in_group:
        raise ConfigError(part.path + "n_heads_in_group", f"{in_group} does not divide {heads} attention heads")
    window = part.maybe("window_length", low=1)
    return (Attention(query_heads=heads, key_value_heads=heads // in_group, head_dim=head_dim, value_head_dim=head_dim, window=window),)


def _network(part: Keys, hidden: int) -> tuple[FeedForward, ...]:
    if part.flag("no_op"):
        return ()
    if part.has("intermediate_size"):
        return (Mlp(intermediate=part.integer("intermediate_size"), gated=True),)
    if as_integer(part.raw("ffn_mult")) is None and not isinstance(part.raw("ffn_mult"), float):
        raise part.missing(("ffn_mult", "intermediate_size"))
    width = math.floor(2 * part.real("ffn_mult", default=0.0, low=2.0**-10, high=2.0**10) * hidden / 3)
    return (Mlp(intermediate=-(-width // _WIDTH_STEP) * _WIDTH_STEP, gated=True),)
