"""The hyper-parameters that decide what a model computes, free of any framework's key names.

A model is a number of *layers*; each layer mixes tokens (`mixers`: softmax attention, latent attention, a state-space scan, a
linear-attention recurrence; hybrids run several side by side) and then transforms every token on its own (`feed_forward`: a plain
MLP or a mixture of experts). Layers that are alike are stored once with their count.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "Adapter",
    "Architecture",
    "Attention",
    "CompressedAttention",
    "DeltaNet",
    "Experts",
    "FeedForward",
    "LatentAttention",
    "Layer",
    "Mixer",
    "Mlp",
    "StateSpace",
    "StateSpaceKind",
    "Tower",
    "TowerProjection",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Softmax attention with grouped queries.

    `window`: a token sees itself and the `window - 1` tokens before it. `chunk`: a token sees the tokens of its own chunk up to itself.
    Both None: everything before it (or, when not causal, everything). `cross`: keys and values come from the encoder.
    """

    query_heads: int
    key_value_heads: int
    head_dim: int
    value_head_dim: int
    causal: bool = True
    window: int | None = None
    chunk: int | None = None
    qkv_bias: bool = False
    output_bias: bool = False
    query_key_norm: int = 0  # parameters of query and key norms together
    output_gate: bool = False  # the query projection is doubled by a gate
    sinks: bool = False  # one learned logit a head
    shares_key_value: bool = False  # keys and values are another layer's: no key and value projections, no cache of its own
    values_are_keys: bool = False  # one projection gives both keys and values
    key_bias: bool = True  # False: `qkv_bias` does not hold for the keys (Whisper)
    cross: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1): keys and values are expanded from one latent per token.

    Decode runs *absorbed*: scores over kv_lora_rank + qk_rope_head_dim and values over kv_lora_rank, for every head.
    """

    heads: int
    query_lora_rank: int | None
    key_value_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    value_head_dim: int
    bias: bool = False
    indexer_heads: int = 0  # sparse attention (DeepSeek-V3.2): a light indexer scores all pairs …
    indexer_head_dim: int = 0
    indexer_top_tokens: int = 0  # … and only this many tokens are attended to


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedAttention:
    """Attention over a short window and, beside it, over blocks of tokens compressed to one entry each (DeepSeek-V4).

    One vector a token is key and value of all heads at once. `compress_rate` tokens make one entry (0: the window only). With an indexer
    each query attends to `indexer_top_blocks` entries, else to all. The output is projected down in `output_groups` groups of heads.
    """

    heads: int
    head_dim: int
    query_lora_rank: int
    output_groups: int
    output_lora_rank: int
    window: int
    compress_rate: int = 0
    indexer_heads: int = 0
    indexer_head_dim: int = 0
    indexer_top_blocks: int = 0


class StateSpaceKind(StrEnum):
    MAMBA1 = "mamba1"
    MAMBA2 = "mamba2"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSpace:
    """Mamba (arXiv:2312.00752) or Mamba-2 (arXiv:2405.21060): input projection, short convolution, selective scan, output projection."""

    kind: StateSpaceKind
    inner: int
    state: int
    heads: int
    groups: int
    conv_kernel: int
    dt_rank: int = 0  # Mamba-1 only
    projection_bias: bool = False
    conv_bias: bool = True
    inner_norm: int = 0  # parameters of norms inside the mixer


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaNet:
    """A gated linear-attention recurrence (Gated DeltaNet, arXiv:2412.06464; lightning attention): key_dim × value_dim of state a head."""

    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    conv_kernel: int
    gate: bool = True  # an output gate as wide as the values
    delta_rule: bool = True  # False: a plain decayed sum of outer products (lightning attention)
    inner_norm: int = 0  # parameters of norms inside the mixer
    decay_rates: int = 0  # per-token decay and step-size projections, in outputs (2 × value heads for Gated DeltaNet)


Mixer = Attention | LatentAttention | CompressedAttention | StateSpace | DeltaNet


@dataclass(frozen=True, slots=True, kw_only=True)
class Mlp:
    """Feed-forward network: gated (three matrices, SwiGLU and its kin) or plain (two)."""

    intermediate: int
    gated: bool
    bias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """Mixture of experts: a router picks `active` of `count` experts a token; `shared` runs for every token beside them."""

    count: int
    active: int
    intermediate: int
    gated: bool
    bias: bool = False
    router_bias: bool = False
    shared: Mlp | None = None
    shared_gate: bool = False  # a one-output gate on the shared expert
    latent_hidden: int | None = None  # experts work on a down-projected hidden size
    router_extra: int = 0  # router parameters that take part in no product (a norm, a scale for each expert)


FeedForward = Mlp | Experts


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """`count` alike layers. `norm_parameters` counts all norm weights and biases of one such layer."""

    mixers: tuple[Mixer, ...]
    feed_forward: tuple[FeedForward, ...]
    norm_parameters: int = 0
    residual_streams: int = 1  # more than one: streams mixed before and after each sublayer (hyper-connections, arXiv:2409.19606)
    per_layer_width: int = 0  # width of an embedding of each layer's own, gated in after the feed-forward part (Gemma 4)
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A whole model. `embedding_hidden` is set only where the embedding is projected; `encoder` is set for encoder-decoders."""

    family: str  # config.json's model_type
    hidden: int
    vocabulary: int
    layers: tuple[Layer, ...]
    tied_embeddings: bool = False
    causal: bool = True
    has_head: bool = True
    head_bias: bool = False
    learned_positions: int = 0
    embedding_hidden: int | None = None
    embedding_parameters: int | None = (
        None  # set where the embedding is not vocabulary × embedding hidden (token types, patches, per-layer tables)
    )
    per_layer_vocabulary: int = 0  # rows of the table of the layers' own embeddings
    extra_parameters: int = 0  # final norm and whatever else takes part in no operation
    predict_ahead: tuple[Layer, ...] = ()  # multi-token prediction modules, run when declared
    stem_products: int = 0  # multiply-adds a token of the convolutions that take the place of a token look-up (patches, spectrograms) …
    stem_parameters: int = 0  # … and their parameters
    head_per_sequence: bool = False  # the head runs on one pooled position of each sequence (a classifier), never on all
    head_transform: bool = False  # a square linear layer with a norm before the head (BERT)
    encoder: "Architecture | None" = None
    encoder_tokens: int = 0
    tower: "Tower | None" = None  # a vision tower, when image tokens are declared
    native_precision: str | None = None  # dtype or quantisation that the config states, as our precision name
    assumptions: tuple[str, ...] = field(default=())  # what reading the config had to assume

    @property
    def layer_count(self) -> int:
        return sum(layer.count for layer in self.layers)

    def mixers(self) -> Iterator[tuple[Mixer, int]]:
        """Every kind of mixer with the number of layers that have it."""
        for layer in self.layers:
            for mixer in layer.mixers:
                yield mixer, layer.count

    @property
    def has_experts(self) -> bool:
        return any(isinstance(part, Experts) for layer in self.layers for part in layer.feed_forward)


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerProjection:
    """A linear layer between a tower and the language model, one row for every `patches` of an image."""

    inputs: int
    outputs: int
    patches: int = 1
    bias: bool = True
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """A vision encoder and its way into the language model, for `images` images of `patches` patches in every sequence."""

    encoder: Architecture
    images: int
    patches: int
    projections: tuple[TowerProjection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """LoRA (arXiv:2106.09685): rank-`rank` updates beside the named linear layers, base frozen. Targets: projections or `all-linear`."""

    rank: int
    targets: tuple[str, ...]
