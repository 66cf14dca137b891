"""The vision tower of a multimodal config: CLIP's and SigLIP's class, and Qwen's with merged patches."""

from mfu.errors import ConfigError
from mfu.model.architecture import Architecture, Attention, Layer, Mlp, Tower, TowerProjection
from mfu.model.keys import MAX_LAYERS, Keys, shown

__all__ = ["vision_tower"]

_LAYERS = ("num_hidden_layers", "depth")
_HEADS = ("num_attention_heads", "num_heads")
_CHANNELS = ("num_channels", "in_channels", "in_chans")
_MERGING = (
    "qwen3_vl",
    "qwen3_vl_moe",
    "qwen3_5",
    "qwen3_5_moe",
    "qwen3_vl_vision",
    "qwen3_vl_moe_vision",
    "qwen3_5_vision",
    "qwen3_5_moe_vision",
)
_SQUARE = ("siglip_vision_model", "clip_vision_model")


def vision_tower(top: Keys, hidden: int, image_tokens: int) -> Tower:
    """The tower for `image_tokens` tokens a sequence of a language model of width `hidden`.

    Raises `ConfigError`: there is no vision_config, or its kind of tower is not known.
    """
    keys = top.nested("vision_config")
    if keys is None:
        raise top.missing(("vision_config",))
    kind = keys.text("model_type") or ""
    if kind in _MERGING:
        return _merging(keys, hidden, image_tokens)
    if kind in _SQUARE:
        return _square(keys, top, hidden, image_tokens, kind)
    known = ", ".join((*_SQUARE, *_MERGING[:4]))
    raise ConfigError(keys.path + "model_type", f"{shown(kind)} is a vision tower that cannot be counted yet; known are {known}")


def _encoder(keys: Keys, *, stem_inputs: int, stem_bias: bool, positions: int, extra: int) -> Architecture:
    width = keys.integer("hidden_size", high=2**16)
    heads = keys.integer(*_HEADS, high=2**12)
    if width % heads:
        raise ConfigError(keys.name_of(*_HEADS), f"{heads} heads do not divide the hidden size {width}")
    attention = Attention(
        query_heads=heads,
        key_value_heads=heads,
        head_dim=width // heads,
        value_head_dim=width // heads,
        causal=False,
        qkv_bias=True,
        output_bias=True,
    )
    layer = Layer(
        mixers=(attention,),
        feed_forward=(Mlp(intermediate=keys.integer("intermediate_size"), gated=False, bias=True),),
        norm_parameters=4 * width,
        count=keys.integer(*_LAYERS, high=MAX_LAYERS),
    )
    return Architecture(
        family=keys.text("model_type") or "vision",
        hidden=width,
        vocabulary=0,
        layers=(layer,),
        causal=False,
        has_head=False,
        stem_products=stem_inputs * width,
        stem_parameters=stem_inputs * width + (width if stem_bias else 0),
        learned_positions=positions,
        extra_parameters=extra,
    )


def _merging(keys: Keys, hidden: int, image_tokens: int) -> Tower:
    """Qwen3-VL: any image size, a square of patches merged into one token, and the same merger once more for each deep-stacked layer."""
    patch = keys.integer("patch_size", high=2**12)
    merge = keys.integer("spatial_merge_size", default=2, high=64) ** 2
    width = keys.integer("hidden_size", high=2**16)
    inputs = keys.integer(*_CHANNELS, default=3, high=2**10) * keys.integer("temporal_patch_size", default=2, high=64) * patch * patch
    stacked = len(keys.indices("deepstack_visual_indexes"))
    outputs = keys.integer("out_hidden_size", default=hidden, high=2**20)
    encoder = _encoder(
        keys,
        stem_inputs=inputs,
        stem_bias=True,
        positions=keys.integer("num_position_embeddings", default=0, low=0),
        extra=2 * width + stacked * 2 * width * merge,
    )
    mergers = 1 + stacked
    return Tower(
        encoder=encoder,
        images=1,
        patches=image_tokens * merge,
        projections=(
            TowerProjection(inputs=width * merge, outputs=width * merge, patches=merge, count=mergers),
            TowerProjection(inputs=width * merge, outputs=outputs, patches=merge, count=mergers),
        ),
    )


def _square(keys: Keys, top: Keys, hidden: int, image_tokens: int, kind: str) -> Tower:
    """Images of one size: SigLIP behind Gemma 3 (pooled to a fixed number of tokens, one matrix), CLIP behind LLaVA (two matrices)."""
    image, patch = keys.integer("image_size", high=2**16), keys.integer("patch_size", high=2**12)
    if image % patch:
        raise ConfigError(keys.path + "patch_size", f"{patch} does not divide image_size {image}")
    width = keys.integer("hidden_size", high=2**16)
    patches = (image // patch) ** 2
    inputs = keys.integer(*_CHANNELS, default=3, high=2**10) * patch * patch
    per_image = top.integer("mm_tokens_per_image", default=patches)
    images = -(-image_tokens // per_image)
    if kind == "siglip_vision_model":
        pooled = max(1, patches // per_image)
        unused = _pooling_head(width, keys.integer("intermediate_size")) if keys.flag("vision_use_head", default=True) else 0
        encoder = _encoder(keys, stem_inputs=inputs, stem_bias=True, positions=patches, extra=3 * width + unused)
        projections: tuple[TowerProjection, ...] = (TowerProjection(inputs=width, outputs=hidden, patches=pooled, bias=False),)
        return Tower(encoder=encoder, images=images, patches=patches, projections=projections)
    # CLIP: one class token, a norm before and one behind the layers, no bias on the patches.
    encoder = _encoder(keys, stem_inputs=inputs, stem_bias=False, positions=patches + 1, extra=5 * width)
    projections = (TowerProjection(inputs=width, outputs=hidden), TowerProjection(inputs=hidden, outputs=hidden))
    return Tower(encoder=encoder, images=images, patches=patches + 1, projections=projections)


def _pooling_head(width: int, intermediate: int) -> int:
    """Parameters of SigLIP's attention pooling, which a language model does not run: a probe, one attention, a norm and a network."""
    return width + 4 * (width * width + width) + 2 * width + 2 * width * intermediate + intermediate + width
