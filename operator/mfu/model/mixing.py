"""Token mixers as operations: softmax attention, latent attention, state-space scans and linear-attention recurrences."""

from mfu.model.architecture import Adapter, Attention, CompressedAttention, DeltaNet, LatentAttention, Mixer, StateSpace, StateSpaceKind
from mfu.model.operations import AttentionCore, Elementwise, Linear, Module, Operation, Scan, Split
from mfu.model.projections import Projection, projected

__all__ = ["mixing"]


def mixing(
    mixer: Mixer, hidden: int, count: int, adapter: Adapter | None, *, encoder_tokens: int = 0, on_encoder: bool = False
) -> list[Operation]:
    """Operations of one mixer in `count` alike layers of `hidden` width; `on_encoder` when the layer is an encoder's."""
    match mixer:
        case Attention():
            return _attention(mixer, hidden, count, adapter, encoder_tokens, on_encoder)
        case LatentAttention():
            return _latent(mixer, hidden, count, adapter)
        case CompressedAttention():
            return _compressed(mixer, hidden, count, adapter)
        case StateSpace():
            return _state_space(mixer, hidden, count, adapter)
        case DeltaNet():
            return _delta_net(mixer, hidden, count, adapter)


def _attention(a: Attention, hidden: int, count: int, adapter: Adapter | None, encoder_tokens: int, on_encoder: bool) -> list[Operation]:
    query = a.query_heads * a.head_dim * (2 if a.output_gate else 1)
    keys, values = a.key_value_heads * a.head_dim, a.key_value_heads * a.value_head_dim
    q = Projection(name="q_proj", inputs=hidden, outputs=query, split=Split.COLUMN, bias=a.qkv_bias)
    k = Projection(name="k_proj", inputs=hidden, outputs=keys, split=Split.COLUMN, bias=a.qkv_bias and a.key_bias)
    v = Projection(name="v_proj", inputs=hidden, outputs=values, split=Split.COLUMN, bias=a.qkv_bias)
    out = Projection(name="o_proj", inputs=a.query_heads * a.value_head_dim, outputs=hidden, split=Split.ROW, bias=a.output_bias)
    operations: list[Operation] = []
    if a.cross:
        operations += projected("q_proj", Module.ATTENTION, (q,), count, adapter)
        operations += projected("kv_proj", Module.ATTENTION, (k, v), count, adapter, on_encoder=True, encoder_tokens=encoder_tokens)
    else:
        own = (q,) if a.shares_key_value else (q, k) if a.values_are_keys else (q, k, v)
        name = "qkv_proj" if len(own) > 1 else "q_proj"
        operations += projected(name, Module.ATTENTION, own, count, adapter, on_encoder=on_encoder, encoder_tokens=encoder_tokens)
    operations.append(
        Elementwise(
            name="rotary",
            module=Module.ATTENTION,
            elements_per_token=2.0 * (a.query_heads * a.head_dim + keys),
            split=Split.COLUMN,
            parameters_each=a.query_key_norm + (a.query_heads if a.sinks else 0),
            count=count,
            runs_on_encoder=on_encoder,
            encoder_tokens=encoder_tokens,
        )
    )
    operations.append(
        AttentionCore(
            name="cross_attention" if a.cross else "attention",
            heads=a.query_heads,
            score_dim=a.head_dim,
            value_dim=a.value_head_dim,
            decode_score_dim=a.head_dim,
            decode_value_dim=a.value_head_dim,
            cache_width=0 if a.shares_key_value or a.cross or on_encoder else keys + values,
            cache_heads=a.key_value_heads,
            causal=a.causal,
            window=a.window,
            chunk=a.chunk,
            cross_tokens=encoder_tokens if a.cross else 0,
            runs_on_encoder=on_encoder,
            encoder_tokens=encoder_tokens,
            count=count,
        )
    )
    return operations + projected("o_proj", Module.ATTENTION, (out,), count, adapter, on_encoder=on_encoder, encoder_tokens=encoder_tokens)


def _latent(a: LatentAttention, hidden: int, count: int, adapter: Adapter | None) -> list[Operation]:
    query_dim = a.qk_nope_head_dim + a.qk_rope_head_dim
    operations: list[Operation] = []

    def linear(name: str, inputs: int, outputs: int, split: Split, bias: bool = False) -> None:
        part = Projection(name=name, inputs=inputs, outputs=outputs, split=split, bias=bias)
        operations.extend(projected(name, Module.ATTENTION, (part,), count, adapter))

    if a.query_lora_rank is None:
        linear("q_proj", hidden, a.heads * query_dim, Split.COLUMN)
    else:
        linear("q_a_proj", hidden, a.query_lora_rank, Split.REPLICATED, a.bias)
    linear("kv_a_proj", hidden, a.key_value_lora_rank + a.qk_rope_head_dim, Split.REPLICATED, a.bias)
    if a.query_lora_rank is not None:
        linear("q_b_proj", a.query_lora_rank, a.heads * query_dim, Split.COLUMN)
    linear("kv_b_proj", a.key_value_lora_rank, a.heads * (a.qk_nope_head_dim + a.value_head_dim), Split.COLUMN)
    if a.indexer_heads:
        operations += _indexer(a, hidden, count, adapter)
    operations.append(
        Elementwise(
            name="rotary",
            module=Module.ATTENTION,
            elements_per_token=2.0 * (a.heads + 1) * a.qk_rope_head_dim + 2.0 * ((a.query_lora_rank or 0) + a.key_value_lora_rank),
            split=Split.COLUMN,
            count=count,
        )
    )
    operations.append(
        AttentionCore(
            name="attention",
            heads=a.heads,
            score_dim=query_dim,
            value_dim=a.value_head_dim,
            decode_score_dim=a.key_value_lora_rank + a.qk_rope_head_dim,
            decode_value_dim=a.key_value_lora_rank,
            cache_width=a.key_value_lora_rank + a.qk_rope_head_dim,
            cache_heads=1,
            top_tokens=a.indexer_top_tokens or None,
            count=count,
        )
    )
    linear("o_proj", a.heads * a.value_head_dim, hidden, Split.ROW, a.bias)
    return operations


def _indexer(a: LatentAttention, hidden: int, count: int, adapter: Adapter | None) -> list[Operation]:
    """The light scorer of sparse attention (DeepSeek-V3.2, arXiv:2512.02556, section 2.1): every pair scored once, without values."""
    width = a.indexer_heads * a.indexer_head_dim

    def linear(name: str, inputs: int, outputs: int) -> Linear:
        return Linear(
            name=name,
            module=Module.ATTENTION,
            inputs=inputs,
            outputs=outputs,
            split=Split.REPLICATED,
            count=count,
            frozen=adapter is not None,
        )

    return [
        linear("indexer_q_proj", a.query_lora_rank or hidden, width),
        linear("indexer_k_proj", hidden, a.indexer_head_dim),
        linear("indexer_weights", hidden, a.indexer_heads),
        Elementwise(
            name="indexer_norm",
            module=Module.ATTENTION,
            elements_per_token=2.0 * a.indexer_head_dim,
            split=Split.REPLICATED,
            parameters_each=2 * a.indexer_head_dim,
            count=count,
        ),
        AttentionCore(
            name="indexer",
            heads=a.indexer_heads,
            score_dim=a.indexer_head_dim,
            value_dim=0,
            decode_score_dim=a.indexer_head_dim,
            decode_value_dim=0,
            cache_width=a.indexer_head_dim,
            cache_heads=1,
            count=count,
            split=Split.REPLICATED,
        ),
    ]


def _compressed(a: CompressedAttention, hidden: int, count: int, adapter: Adapter | None) -> list[Operation]:
    operations: list[Operation] = []

    def linear(name: str, inputs: int, outputs: int, split: Split) -> None:
        part = Projection(name=name, inputs=inputs, outputs=outputs, split=split)
        operations.extend(projected(name, Module.ATTENTION, (part,), count, adapter))

    def core(name: str, heads: int, dim: int, value_dim: int, split: Split, block: int = 1, top: int | None = None) -> AttentionCore:
        return AttentionCore(
            name=name,
            heads=heads,
            score_dim=dim,
            value_dim=value_dim,
            decode_score_dim=dim,
            decode_value_dim=value_dim,
            cache_width=-(-dim // block),
            cache_heads=1,
            window=a.window if block == 1 else None,
            block=block,
            top_tokens=top,
            count=count,
            split=split,
        )

    own = a.query_lora_rank + a.head_dim + a.heads  # norms of the query's and the token's latents, sinks
    linear("q_a_proj", hidden, a.query_lora_rank, Split.REPLICATED)
    linear("kv_proj", hidden, a.head_dim, Split.REPLICATED)
    linear("q_b_proj", a.query_lora_rank, a.heads * a.head_dim, Split.COLUMN)
    operations.append(core("attention", a.heads, a.head_dim, a.head_dim, Split.HEADS))
    if a.compress_rate:
        # With an indexer blocks overlap: two series of entries are computed, each with its gate.
        width = a.head_dim * (2 if a.indexer_heads else 1)
        own += a.compress_rate * width + a.head_dim
        linear("compressor_proj", hidden, 2 * width, Split.REPLICATED)
        top = a.indexer_top_blocks or None
        operations.append(core("compressed_attention", a.heads, a.head_dim, a.head_dim, Split.HEADS, a.compress_rate, top))
    if a.indexer_heads:
        width = 2 * a.indexer_head_dim
        own += a.compress_rate * width + a.indexer_head_dim
        linear("indexer_compressor_proj", hidden, 2 * width, Split.REPLICATED)
        linear("indexer_q_proj", a.query_lora_rank, a.indexer_heads * a.indexer_head_dim, Split.REPLICATED)
        linear("indexer_weights", hidden, a.indexer_heads, Split.REPLICATED)
        operations.append(core("indexer", a.indexer_heads, a.indexer_head_dim, 0, Split.REPLICATED, a.compress_rate))
    operations.append(
        Elementwise(
            name="rotary",
            module=Module.ATTENTION,
            elements_per_token=4.0 * a.heads * a.head_dim,
            split=Split.COLUMN,
            parameters_each=own,
            count=count,
        )
    )
    linear("o_a_proj", a.heads * a.head_dim // a.output_groups, a.output_groups * a.output_lora_rank, Split.COLUMN)
    linear("o_b_proj", a.output_groups * a.output_lora_rank, hidden, Split.ROW)
    return operations


def _state_space(s: StateSpace, hidden: int, count: int, adapter: Adapter | None) -> list[Operation]:
    # Every state element decays, takes in an outer product and is read out: the 7 FLOP Megatron-LM counts.
    scan_flops = 7 * s.inner * s.state
    if s.kind is StateSpaceKind.MAMBA1:
        channels, per_head = s.inner, s.inner * s.state + s.inner  # decay of every state element, skip of every channel
        widths = 2 * s.inner
    else:
        channels, per_head = s.inner + 2 * s.groups * s.state, 3 * s.heads  # decay, skip and step bias of every head
        widths = 2 * s.inner + 2 * s.groups * s.state + s.heads
    operations = _linear("in_proj", hidden, widths, Split.COLUMN, Module.STATE_SPACE, count, adapter, bias=s.projection_bias)
    if s.kind is StateSpaceKind.MAMBA1:
        operations += _linear("x_proj", s.inner, s.dt_rank + 2 * s.state, Split.ROW, Module.STATE_SPACE, count, adapter)
        operations += _linear("dt_proj", s.dt_rank, s.inner, Split.COLUMN, Module.STATE_SPACE, count, adapter, bias=True)
    operations.append(
        Scan(
            name="scan",
            flops_per_token=scan_flops + 2 * s.conv_kernel * channels,
            state_elements=s.inner * s.state + channels * max(0, s.conv_kernel - 1),
            io_elements_per_token=2 * channels + 2 * s.inner,
            module=Module.STATE_SPACE,
            parameters_each=channels * s.conv_kernel + (channels if s.conv_bias else 0) + per_head + s.inner_norm,
            count=count,
        )
    )
    return operations + _linear("out_proj", s.inner, hidden, Split.ROW, Module.STATE_SPACE, count, adapter, bias=s.projection_bias)


def _delta_net(d: DeltaNet, hidden: int, count: int, adapter: Adapter | None) -> list[Operation]:
    keys, values = d.key_heads * d.key_dim, d.value_heads * d.value_dim
    channels = 2 * keys + values if d.conv_kernel else 0
    # Delta rule: the state is read with the key, corrected, and read with the query (8 FLOP an element, as Megatron-LM counts); else 5.
    per_element = 8 if d.delta_rule else 5
    operations = _linear("in_proj", hidden, 2 * keys + values * (2 if d.gate else 1), Split.COLUMN, Module.LINEAR_ATTENTION, count, adapter)
    if d.decay_rates:
        operations += _linear("decay_proj", hidden, d.decay_rates, Split.COLUMN, Module.LINEAR_ATTENTION, count, adapter)
    operations.append(
        Scan(
            name="scan",
            flops_per_token=per_element * d.value_heads * d.key_dim * d.value_dim + 2 * d.conv_kernel * channels,
            state_elements=d.value_heads * d.key_dim * d.value_dim + channels * max(0, d.conv_kernel - 1),
            io_elements_per_token=2 * (2 * keys + values) + 2 * values,
            module=Module.LINEAR_ATTENTION,
            parameters_each=channels * d.conv_kernel + (2 * d.value_heads if d.decay_rates else 0) + d.inner_norm,
            count=count,
        )
    )
    return operations + _linear("out_proj", values, hidden, Split.ROW, Module.LINEAR_ATTENTION, count, adapter)


def _linear(
    name: str, inputs: int, outputs: int, split: Split, module: Module, count: int, adapter: Adapter | None, *, bias: bool = False
) -> list[Operation]:
    part = Projection(name=name, inputs=inputs, outputs=outputs, split=split, bias=bias)
    return projected(name, module, (part,), count, adapter)
