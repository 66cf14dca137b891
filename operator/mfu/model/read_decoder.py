"""A decoder-only language model from its config: layers of like kind together, each with its mixers and its feed-forward part."""

from collections import Counter
from dataclasses import replace

from mfu.model.architecture import Architecture, FeedForward, LatentAttention, Layer, Mixer
from mfu.model.keys import HEADS, HIDDEN, LAYERS, VOCABULARY, Keys
from mfu.model.layer_kinds import SCAN_ONLY, FeedKind, LayerKind, MixerKind, blocks, expert_count, layer_kinds
from mfu.model.read_attention import attention, compressed_attention, is_compressed, is_latent, latent_attention
from mfu.model.read_feed_forward import dense, experts
from mfu.model.read_recurrence import linear_attention, state_space
from mfu.model.traits import NormKind, Traits

__all__ = ["decoder", "require_sizes"]

_PREDICT_AHEAD = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules")


def require_sizes(keys: Keys, family: str) -> None:
    """Raises `ConfigError` with every essential key that is missing, all in one message."""
    wanted = [HIDDEN, VOCABULARY]
    if not keys.has("layers_block_type", "hybrid_override_pattern", "block_configs"):
        wanted.append(LAYERS)
    if family not in SCAN_ONLY:
        wanted.append(HEADS)
    absent = [names for names in wanted if not keys.has(*names)]
    if absent:
        raise keys.missing(*absent)


def decoder(keys: Keys, traits: Traits, family: str, *, tied: bool, assumptions: tuple[str, ...]) -> Architecture:
    """The architecture that the keys describe. Raises `ConfigError` naming the key that is missing or absurd."""
    require_sizes(keys, family)
    hidden = keys.integer(*HIDDEN, high=2**20)
    vocabulary = keys.integer(*VOCABULARY, high=2**24)
    kinds = layer_kinds(keys, traits, family)
    reader = _LayerReader(keys, traits, family, hidden)
    layers = tuple(reader.layer(kind, count) for kind, count in Counter(kinds).items())
    positions = (
        keys.integer("max_position_embeddings", "n_positions", "n_ctx", default=0, low=0) if traits.learned_positions is not None else 0
    )
    streams = layers[0].residual_streams
    projected = keys.maybe("word_embed_proj_dim", low=1)
    return Architecture(
        family=family,
        hidden=hidden,
        vocabulary=vocabulary,
        layers=layers,
        tied_embeddings=tied,
        head_bias=keys.flag("lm_head_bias", default=traits.head_bias),
        learned_positions=positions + (traits.learned_positions or 0) if positions else 0,
        embedding_hidden=projected if projected != hidden else None,
        per_layer_vocabulary=keys.integer("vocab_size_per_layer_input", default=0, low=0) if layers[0].per_layer_width else 0,
        extra_parameters=_stream_head(streams, hidden)
        + _norm_width(traits, hidden) * ((1 if traits.final_norm else 0) + (1 if traits.embedding_norm else 0)),
        predict_ahead=_predict_ahead(keys, reader, kinds),
        assumptions=assumptions,
    )


def _predict_ahead(keys: Keys, reader: "_LayerReader", kinds: tuple[LayerKind, ...]) -> tuple[Layer, ...]:
    count = keys.integer(*_PREDICT_AHEAD, default=0, low=0, high=64)
    if not count:
        return ()
    if keys.has("mtp_hybrid_override_pattern", "mtp_layers_block_type"):
        parts = [reader.layer(kind, 1) for kind in blocks(keys, "mtp_")]
        joined = Layer(
            mixers=tuple(mixer for block in parts for mixer in block.mixers),
            feed_forward=tuple(part for block in parts for part in block.feed_forward),
            norm_parameters=sum(block.norm_parameters for block in parts),
            count=count,
        )
        return (joined,)
    mixer = MixerKind.SLIDING if is_compressed(keys) else MixerKind.FULL
    return (reader.layer(LayerKind(mixer, kinds[-1].feed), count),)


class _LayerReader:
    """Reads each kind of layer once, however often it occurs."""

    def __init__(self, keys: Keys, traits: Traits, family: str, hidden: int) -> None:
        self._keys, self._traits, self._family, self._hidden = keys, traits, family, hidden

    def layer(self, kind: LayerKind, count: int) -> Layer:
        if kind.overrides:
            merged = Keys(values={**self._keys.values, **dict(kind.overrides)}, path=self._keys.path)
            return _LayerReader(merged, self._traits, self._family, self._hidden).layer(replace(kind, overrides=()), count)
        own = self._keys.integer("hidden_size_per_layer_input", default=0, low=0)
        norms = (_norms(self._keys, self._traits, self._family, kind) + (1 if own else 0)) * _norm_width(self._traits, self._hidden)
        mixers = self._mixers(kind)
        if any(isinstance(part, LatentAttention) for part in mixers):
            norms += self._keys.integer("q_lora_rank", default=0, low=0) + self._keys.integer("kv_lora_rank")
        return Layer(
            mixers=mixers,
            feed_forward=self._feed(kind),
            norm_parameters=norms,
            residual_streams=self._keys.integer("hc_mult", default=1, high=64),
            per_layer_width=own,
            count=count,
        )

    def _mixers(self, kind: LayerKind) -> tuple[Mixer, ...]:
        keys, traits, family = self._keys, self._traits, self._family
        match kind.mixer:
            case MixerKind.NONE:
                return ()
            case MixerKind.STATE_SPACE:
                return (state_space(keys, family),)
            case MixerKind.LINEAR:
                return (linear_attention(keys),)
            case MixerKind.SIDE_BY_SIDE:
                return (attention(keys, traits, family, MixerKind.FULL), state_space(keys, family))
            case _ if is_compressed(keys):
                return (compressed_attention(keys, kind.mixer),)
            case _ if is_latent(keys):
                return (latent_attention(keys, kind.mixer),)
            case _:
                found = attention(keys, traits, family, kind.mixer)
                return (replace(found, shares_key_value=True, query_key_norm=found.query_key_norm // 2) if kind.reuses_cache else found,)

    def _feed(self, kind: LayerKind) -> tuple[FeedForward, ...]:
        keys, traits, family = self._keys, self._traits, self._family
        match kind.feed:
            case FeedKind.NONE:
                return ()
            case FeedKind.EXPERTS:
                return (experts(keys, traits, family),)
            case FeedKind.BOTH:
                return (dense(keys, traits, family), replace(experts(keys, traits, family), router_extra=self._hidden + expert_count(keys)))
            case _ if family == "granitemoehybrid" and keys.has("shared_intermediate_size"):
                width = keys.integer("shared_intermediate_size")
                return (replace(dense(keys, traits, family), intermediate=width),)
            case _:
                plain = dense(keys, traits, family)
                if kind.reuses_cache and keys.flag("use_double_wide_mlp"):
                    plain = replace(plain, intermediate=2 * plain.intermediate)
                return (plain,) if plain.intermediate else ()


def _norms(keys: Keys, traits: Traits, family: str, kind: LayerKind) -> int:
    if family == "falcon":
        if keys.flag("new_decoder_architecture"):
            return keys.integer("num_ln_in_parallel_attn", default=2, high=2)
        return 1 if keys.flag("parallel_attn", default=True) else 2
    if family == "stablelm" and keys.flag("use_parallel_residual"):
        return 1
    return traits.norms + (3 if kind.feed is FeedKind.BOTH else 0)  # each branch of Gemma 4 has its own


def _norm_width(traits: Traits, hidden: int) -> int:
    match traits.norm:
        case NormKind.RMS:
            return hidden
        case NormKind.LAYER:
            return 2 * hidden
        case NormKind.BARE:
            return 0


def _stream_head(streams: int, hidden: int) -> int:
    """Parameters that collapse several residual streams to one before the head."""
    return streams * streams * hidden + streams + 1 if streams > 1 else 0
