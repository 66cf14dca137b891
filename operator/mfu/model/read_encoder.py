"""Encoders and encoder-decoders from their configs: BERT's class, T5's, ViT's and Whisper's."""

from collections.abc import Mapping

from mfu.errors import ConfigError
from mfu.model.architecture import Architecture, Attention, Layer, Mlp
from mfu.model.keys import HEADS, HIDDEN, LAYERS, MAX_LAYERS, VOCABULARY, Keys

__all__ = ["ENCODERS", "encoder_model"]

_BERT = ("bert", "roberta", "xlm-roberta", "camembert")
_T5 = ("t5", "mt5", "umt5")
_VIT = ("vit", "deit")
_SPEECH = ("whisper",)
ENCODERS = (*_BERT, *_T5, *_VIT, *_SPEECH)

_T5_TOKENS = 512


def encoder_model(keys: Keys, family: str, *, encoder_tokens: int | None, notes: tuple[str, ...]) -> Architecture:
    """The architecture of an encoder or encoder-decoder of one of the families in `ENCODERS`."""
    if family in _BERT:
        return _bert(keys, family, notes)
    if family in _T5:
        return _t5(keys, family, encoder_tokens, notes)
    if family in _VIT:
        return _vit(keys, family, notes)
    return _whisper(keys, family, encoder_tokens, notes)


def _require(keys: Keys, *names: tuple[str, ...]) -> None:
    absent = [alternatives for alternatives in names if not keys.has(*alternatives)]
    if absent:
        raise keys.missing(*absent)


def _full_attention(
    heads: int, head_dim: int, *, causal: bool = False, bias: bool = True, cross: bool = False, key_bias: bool = True
) -> Attention:
    return Attention(
        query_heads=heads,
        key_value_heads=heads,
        head_dim=head_dim,
        value_head_dim=head_dim,
        causal=causal,
        qkv_bias=bias,
        output_bias=bias,
        key_bias=key_bias,
        cross=cross,
    )


def _head_dim(keys: Keys, hidden: int, heads: int, *names: str) -> int:
    if hidden % heads:
        raise ConfigError(keys.name_of(*names), f"{heads} heads do not divide the hidden size {hidden}")
    return hidden // heads


def _bert(keys: Keys, family: str, notes: tuple[str, ...]) -> Architecture:
    """Bidirectional encoder (arXiv:1810.04805) with its masked-language head, which shares the embedding and keeps a bias."""
    _require(keys, HIDDEN, LAYERS, HEADS, ("intermediate_size",), VOCABULARY)
    hidden, heads = keys.integer(*HIDDEN, high=2**20), keys.integer(*HEADS, high=2**16)
    vocabulary = keys.integer(*VOCABULARY, high=2**24)
    classes = keys.raw("architectures")
    named = [c for c in classes if isinstance(c, str)] if isinstance(classes, list) else []
    headless = bool(named) and not any("MaskedLM" in c or "PreTraining" in c for c in named)
    types = keys.integer("type_vocab_size", default=2, low=0)
    layer = Layer(
        mixers=(_full_attention(heads, _head_dim(keys, hidden, heads, *HEADS)),),
        feed_forward=(Mlp(intermediate=keys.integer("intermediate_size"), gated=False, bias=True),),
        norm_parameters=4 * hidden,
        count=keys.integer(*LAYERS, high=MAX_LAYERS),
    )
    head_parameters = 0 if headless else 2 * hidden + vocabulary
    return Architecture(
        family=family,
        hidden=hidden,
        vocabulary=vocabulary,
        layers=(layer,),
        tied_embeddings=True,
        causal=False,
        has_head=not headless,
        head_transform=not headless,
        learned_positions=keys.integer("max_position_embeddings", default=512, low=0),
        extra_parameters=types * hidden + 2 * hidden + head_parameters,
        assumptions=(*notes, "the class states no language head; only the encoder is counted") if headless else notes,
    )


def _t5(keys: Keys, family: str, encoder_tokens: int | None, notes: tuple[str, ...]) -> Architecture:
    """Text-to-text encoder-decoder (arXiv:1910.10683); relative position tables belong to the first layer of each side."""
    _require(keys, ("d_model",), ("d_ff",), ("num_layers",), ("num_heads",), VOCABULARY)
    hidden, heads = keys.integer("d_model", high=2**20), keys.integer("num_heads", high=2**16)
    head_dim = keys.integer("d_kv", default=64, high=2**16)
    vocabulary = keys.integer(*VOCABULARY, high=2**24)
    mlp = Mlp(intermediate=keys.integer("d_ff"), gated=(keys.text("feed_forward_proj") or "").startswith("gated"))
    table = keys.integer("relative_attention_num_buckets", default=32) * heads
    count = keys.integer("num_layers", high=MAX_LAYERS)
    tokens = encoder_tokens if encoder_tokens is not None else keys.integer("n_positions", default=_T5_TOKENS)
    if encoder_tokens is None:
        notes = (*notes, f"the encoder reads {tokens} tokens")
    own = _full_attention(heads, head_dim, bias=False)
    encoder = Architecture(
        family=family,
        hidden=hidden,
        vocabulary=vocabulary,
        layers=(Layer(mixers=(own,), feed_forward=(mlp,), norm_parameters=2 * hidden, count=count),),
        causal=False,
        has_head=False,
        extra_parameters=hidden + table,
    )
    decoder = Layer(
        mixers=(_full_attention(heads, head_dim, causal=True, bias=False), _full_attention(heads, head_dim, bias=False, cross=True)),
        feed_forward=(mlp,),
        norm_parameters=3 * hidden,
        count=keys.integer("num_decoder_layers", default=count, high=MAX_LAYERS),
    )
    return Architecture(
        family=family,
        hidden=hidden,
        vocabulary=vocabulary,
        layers=(decoder,),
        tied_embeddings=keys.flag("tie_word_embeddings", default=True),
        extra_parameters=hidden + table,
        encoder=encoder,
        encoder_tokens=tokens,
        assumptions=notes,
    )


def _vit(keys: Keys, family: str, notes: tuple[str, ...]) -> Architecture:
    """Vision transformer (arXiv:2010.11929): patches in, one class token, a classifier on it when the config has labels."""
    _require(keys, HIDDEN, LAYERS, HEADS, ("intermediate_size",), ("image_size",), ("patch_size",))
    hidden, heads = keys.integer(*HIDDEN, high=2**20), keys.integer(*HEADS, high=2**16)
    patch, image = keys.integer("patch_size", high=2**12), keys.integer("image_size", high=2**16)
    if image % patch:
        raise ConfigError(keys.path + "patch_size", f"{patch} does not divide image_size {image}")
    inputs = keys.integer("num_channels", default=3, high=2**10) * patch * patch
    named = keys.raw("id2label")
    labels = keys.integer("num_labels", default=len(named) if isinstance(named, Mapping) else 0, low=0, high=2**24)
    layer = Layer(
        mixers=(_full_attention(heads, _head_dim(keys, hidden, heads, *HEADS), bias=keys.flag("qkv_bias", default=True)),),
        feed_forward=(Mlp(intermediate=keys.integer("intermediate_size"), gated=False, bias=True),),
        norm_parameters=4 * hidden,
        count=keys.integer(*LAYERS, high=MAX_LAYERS),
    )
    class_tokens = 2 if family == "deit" else 1
    patches = (image // patch) ** 2
    return Architecture(
        family=family,
        hidden=hidden,
        vocabulary=labels,
        layers=(layer,),
        causal=False,
        has_head=labels > 0,
        head_bias=True,
        head_per_sequence=True,
        learned_positions=patches + class_tokens,
        stem_products=inputs * hidden,
        stem_parameters=inputs * hidden + hidden,
        extra_parameters=(2 + class_tokens) * hidden,
        assumptions=(*notes, f"one {image}×{image} image is a sequence of {patches + class_tokens}"),
    )


def _whisper(keys: Keys, family: str, encoder_tokens: int | None, notes: tuple[str, ...]) -> Architecture:
    """Speech encoder-decoder (arXiv:2212.04356): two convolutions of width 3 over a spectrogram, the second of stride 2."""
    _require(keys, ("d_model",), ("encoder_layers",), ("decoder_layers",), ("encoder_attention_heads",), ("num_mel_bins",), VOCABULARY)
    hidden, mels = keys.integer("d_model", high=2**20), keys.integer("num_mel_bins", high=2**16)
    heads = keys.integer("encoder_attention_heads", high=2**16)
    decoder_heads = keys.integer("decoder_attention_heads", default=heads, high=2**16)
    vocabulary = keys.integer(*VOCABULARY, high=2**24)
    frames = keys.integer("max_source_positions", default=1500)
    tokens = encoder_tokens if encoder_tokens is not None else frames
    own = _full_attention(heads, _head_dim(keys, hidden, heads, "encoder_attention_heads"), key_bias=False)
    narrow = _head_dim(keys, hidden, decoder_heads, "decoder_attention_heads")
    encoder = Architecture(
        family=family,
        hidden=hidden,
        vocabulary=0,
        layers=(
            Layer(
                mixers=(own,),
                feed_forward=(Mlp(intermediate=keys.integer("encoder_ffn_dim", default=4 * hidden), gated=False, bias=True),),
                norm_parameters=4 * hidden,
                count=keys.integer("encoder_layers", high=MAX_LAYERS),
            ),
        ),
        causal=False,
        has_head=False,
        learned_positions=frames,
        stem_products=(2 * 3 * mels + 3 * hidden) * hidden,  # two spectrogram frames make one encoder token
        stem_parameters=(3 * mels + 3 * hidden + 2) * hidden,
        extra_parameters=2 * hidden,
    )
    decoder = Layer(
        mixers=(
            _full_attention(decoder_heads, narrow, causal=True, key_bias=False),
            _full_attention(decoder_heads, narrow, cross=True, key_bias=False),
        ),
        feed_forward=(Mlp(intermediate=keys.integer("decoder_ffn_dim", default=4 * hidden), gated=False, bias=True),),
        norm_parameters=6 * hidden,
        count=keys.integer("decoder_layers", high=MAX_LAYERS),
    )
    return Architecture(
        family=family,
        hidden=hidden,
        vocabulary=vocabulary,
        layers=(decoder,),
        tied_embeddings=keys.flag("tie_word_embeddings", default=True),
        learned_positions=keys.integer("max_target_positions", default=448),
        extra_parameters=2 * hidden,
        encoder=encoder,
        encoder_tokens=tokens,
        assumptions=(*notes, f"the encoder reads {tokens} positions ({tokens * 2} spectrogram frames)"),
    )
