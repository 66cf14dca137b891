"""From an architecture to the ordered list of its operations."""

from dataclasses import replace
from functools import lru_cache

from mfu.errors import IntentError
from mfu.model.architecture import Adapter, Architecture, Layer, Tower
from mfu.model.feeding import feeding
from mfu.model.mixing import mixing
from mfu.model.operations import AttentionCore, Elementwise, ExpertLinear, Linear, Lookup, Module, Operation, Scan, Split
from mfu.model.projections import Projection, projected

__all__ = ["operations"]


def operations(architecture: Architecture, adapter: Adapter | None = None, *, predict_ahead: bool = False) -> tuple[Operation, ...]:
    """Every operation of one forward pass, in the order in which they run; alike layers appear once with their `count`.

    `adapter` puts low-rank updates beside the layers it names and freezes the base (rank 0: no adapter). `predict_ahead` adds the
    multi-token prediction modules that the config declares.

    Raises `IntentError` when a target of the adapter names no linear layer of this model.
    """
    return _operations(architecture, adapter if adapter is not None and adapter.rank > 0 else None, predict_ahead)


@lru_cache(maxsize=512)
def _operations(architecture: Architecture, adapter: Adapter | None, predict_ahead: bool) -> tuple[Operation, ...]:
    found: list[Operation] = []
    if architecture.tower is not None:
        found += _tower(architecture.tower, frozen=adapter is not None)
    if architecture.encoder is not None:
        found += _encoder(architecture.encoder, architecture.encoder_tokens, adapter)
    found += _embedding(architecture, shared=architecture.encoder is not None and architecture.encoder.vocabulary > 0)
    for layer in architecture.layers:
        found += _layer(layer, architecture.hidden, adapter, encoder_tokens=architecture.encoder_tokens)
    found.append(_norm("final_norm", 2.0 * architecture.hidden, architecture.extra_parameters))
    found += _head(architecture, frozen=adapter is not None)
    if predict_ahead:
        found += _predict_ahead(architecture, adapter)
    if adapter is not None:
        _check_targets(adapter, found, architecture)
    return tuple(found)


def _layer(layer: Layer, hidden: int, adapter: Adapter | None, *, encoder_tokens: int = 0, on_encoder: bool = False) -> list[Operation]:
    sublayers = (1 if layer.mixers else 0) + (1 if layer.feed_forward else 0)
    # Each sublayer reads and writes the residual stream and its normalised copy; further norms read and write once more.
    further = max(0.0, layer.norm_parameters / hidden - sublayers)
    found: list[Operation] = [
        replace(
            _norm("norms", hidden * (4.0 * sublayers + 2.0 * min(further, 4.0)), layer.norm_parameters, layer.count),
            runs_on_encoder=on_encoder,
            encoder_tokens=encoder_tokens,
        )
    ]
    if layer.residual_streams > 1:
        found += _streams(layer, hidden)
    for mixer in layer.mixers:
        found += mixing(mixer, hidden, layer.count, adapter, encoder_tokens=encoder_tokens, on_encoder=on_encoder)
    for part in layer.feed_forward:
        found += feeding(part, hidden, layer.count, adapter, on_encoder=on_encoder, encoder_tokens=encoder_tokens)
    if layer.per_layer_width:
        for name, inputs, outputs in (("per_layer_gate", hidden, layer.per_layer_width), ("per_layer_proj", layer.per_layer_width, hidden)):
            part_of = Projection(name=name, inputs=inputs, outputs=outputs, split=Split.REPLICATED)
            found += projected(name, Module.EMBEDDING, (part_of,), layer.count, adapter)
    return found


def _streams(layer: Layer, hidden: int) -> list[Operation]:
    """Hyper-connections: before both sublayers, weights to collapse, spread and mix the streams are computed from all of them."""
    streams = layer.residual_streams
    weights = 2 * (2 + streams) * streams
    mix = _norm("stream_mixing", 8.0 * streams * hidden, 2 * 3, layer.count)
    project = Linear(
        name="stream_weights",
        module=Module.NORM,
        inputs=streams * hidden,
        outputs=weights,
        split=Split.REPLICATED,
        bias=True,
        count=layer.count,
    )
    return [project, mix]


def _norm(name: str, elements: float, parameters: int, count: int = 1) -> Elementwise:
    return Elementwise(
        name=name, module=Module.NORM, elements_per_token=elements, split=Split.REPLICATED, parameters_each=parameters, count=count
    )


def _embedding(architecture: Architecture, *, shared: bool = False) -> list[Operation]:
    """Look-ups, or the projection of patches that takes their place; `shared` when an encoder already holds the table."""
    width = architecture.embedding_hidden or architecture.hidden
    table = architecture.vocabulary * width if architecture.embedding_parameters is None else architecture.embedding_parameters
    found: list[Operation] = []
    if architecture.stem_products:
        found.append(
            Scan(
                name="stem",
                flops_per_token=2 * architecture.stem_products,
                state_elements=0,
                io_elements_per_token=2 * architecture.hidden,
                module=Module.EMBEDDING,
                parameters_each=architecture.stem_parameters,
                split=Split.REPLICATED,
            )
        )
    else:
        found.append(Lookup(name="embedding", rows_in_table=architecture.vocabulary, width=width, parameters_each=0 if shared else table))
    if architecture.per_layer_vocabulary:
        found += _per_layer_embedding(architecture)
    if architecture.learned_positions:
        found.append(
            Lookup(
                name="positions",
                rows_in_table=architecture.learned_positions,
                width=architecture.hidden,
                parameters_each=architecture.learned_positions * architecture.hidden,
                split=Split.REPLICATED,
            )
        )
    if width != architecture.hidden:
        found.append(
            Linear(name="embedding_in", module=Module.EMBEDDING, inputs=width, outputs=architecture.hidden, split=Split.REPLICATED)
        )
    return found


def _per_layer_embedding(architecture: Architecture) -> list[Operation]:
    """A second table with a row part for every layer, mixed with a projection of the first (Gemma 4)."""
    width = sum(layer.count * layer.per_layer_width for layer in architecture.layers)
    norm = architecture.layers[0].per_layer_width
    return [
        Lookup(
            name="per_layer_embedding",
            rows_in_table=architecture.per_layer_vocabulary,
            width=width,
            parameters_each=architecture.per_layer_vocabulary * width,
        ),
        Linear(name="per_layer_mix", module=Module.EMBEDDING, inputs=architecture.hidden, outputs=width, split=Split.REPLICATED),
        _norm("per_layer_norm", 4.0 * width, norm),
    ]


def _head(architecture: Architecture, *, frozen: bool) -> list[Operation]:
    if not architecture.has_head:
        return []
    width = architecture.embedding_hidden or architecture.hidden
    found: list[Operation] = []
    if width != architecture.hidden:
        found.append(
            Linear(
                name="embedding_out",
                module=Module.EMBEDDING,
                inputs=architecture.hidden,
                outputs=width,
                split=Split.REPLICATED,
                frozen=frozen,
            )
        )
    if architecture.head_transform:
        found.append(
            Linear(
                name="head_transform",
                module=Module.MLP,
                inputs=architecture.hidden,
                outputs=width,
                split=Split.REPLICATED,
                bias=True,
                frozen=frozen,
            )
        )
    head = Linear(
        name="lm_head",
        module=Module.HEAD,
        inputs=width,
        outputs=architecture.vocabulary,
        split=Split.VOCABULARY,
        bias=architecture.head_bias and not architecture.tied_embeddings,
        tied=architecture.tied_embeddings,
        frozen=frozen,
        per_sequence=architecture.head_per_sequence,
    )
    return [*found, head]


def _encoder(encoder: Architecture, tokens: int, adapter: Adapter | None) -> list[Operation]:
    found: list[Operation] = []
    for operation in _embedding(encoder):
        on_encoder = replace(operation, runs_on_encoder=True, encoder_tokens=tokens) if isinstance(operation, Linear | Scan) else operation
        found.append(on_encoder)
    for layer in encoder.layers:
        found += _layer(layer, encoder.hidden, adapter, encoder_tokens=tokens, on_encoder=True)
    final = _norm("encoder_final_norm", 2.0 * encoder.hidden, encoder.extra_parameters)
    return [*found, replace(final, runs_on_encoder=True, encoder_tokens=tokens)]


def _tower(tower: Tower, *, frozen: bool) -> list[Operation]:
    """The vision tower over all patches of a sequence, attention within each image, and the projections behind it."""
    tokens = tower.images * tower.patches
    found: list[Operation] = []
    for operation in _encoder(tower.encoder, tokens, None):
        match operation:
            case AttentionCore():
                found.append(replace(operation, module=Module.VISION, encoder_tokens=tower.patches, count=operation.count * tower.images))
            case Linear():
                found.append(replace(operation, module=Module.VISION, frozen=frozen))
            case _:
                found.append(replace(operation, module=Module.VISION))
    for number, projection in enumerate(tower.projections):
        found.append(
            Linear(
                name=f"vision_projection_{number}",
                module=Module.VISION,
                inputs=projection.inputs,
                outputs=projection.outputs,
                split=Split.REPLICATED,
                bias=projection.bias,
                count=projection.count,
                frozen=frozen,
                runs_on_encoder=True,
                encoder_tokens=tokens // projection.patches,
            )
        )
    return found


def _predict_ahead(architecture: Architecture, adapter: Adapter | None) -> list[Operation]:
    """Multi-token prediction (DeepSeek-V3, arXiv:2412.19437, section 2.2): join with the next embedding, one layer, the shared head."""
    found: list[Operation] = []
    for layer in architecture.predict_ahead:
        join = Linear(
            name="eh_proj",
            module=Module.PREDICT_AHEAD,
            inputs=2 * architecture.hidden,
            outputs=architecture.hidden,
            split=Split.REPLICATED,
            count=layer.count,
            frozen=adapter is not None,
        )
        norms = _norm("predict_ahead_norms", 6.0 * architecture.hidden, 3 * architecture.hidden, layer.count)
        inner = (
            replace(operation, module=Module.ADAPTER if operation.module is Module.ADAPTER else Module.PREDICT_AHEAD)
            if isinstance(operation, Linear | ExpertLinear | AttentionCore | Scan)
            else operation
            for operation in _layer(layer, architecture.hidden, adapter)
        )
        found += [norms, join, *inner]
        if architecture.has_head:
            found.append(
                Linear(
                    name="predict_ahead_head",
                    module=Module.HEAD,
                    inputs=architecture.hidden,
                    outputs=architecture.vocabulary,
                    split=Split.VOCABULARY,
                    count=layer.count,
                    tied=True,
                    frozen=adapter is not None,
                )
            )
    return found


def _check_targets(adapter: Adapter, found: list[Operation], architecture: Architecture) -> None:
    for target in adapter.targets:
        if not any(operation.module is Module.ADAPTER for operation in _operations_of(architecture, adapter.rank, target)):
            known = sorted(
                {operation.name for operation in found if isinstance(operation, Linear | ExpertLinear) and _can_adapt(operation)}
            )
            raise IntentError(
                "adapter.targetModules",
                f"{target!r} names no linear layer of a {architecture.family} model; use all-linear, q_proj, k_proj, v_proj or one of: "
                + ", ".join(known),
            )
    if not adapter.targets:
        raise IntentError("adapter.targetModules", "names no layer; use all-linear or projection names such as q_proj, v_proj")


def _operations_of(architecture: Architecture, rank: int, target: str) -> list[Operation]:
    alone = Adapter(rank=rank, targets=(target,))
    return [operation for layer in architecture.layers for operation in _layer(layer, architecture.hidden, alone)]


def _can_adapt(operation: Linear | ExpertLinear) -> bool:
    return operation.module not in (Module.ROUTER, Module.HEAD, Module.ADAPTER, Module.EMBEDDING)
