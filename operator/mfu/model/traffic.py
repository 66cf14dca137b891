"""The bytes an operation must move through memory: the least any kernel can do, with every input read and every result written once."""

from dataclasses import dataclass

from mfu.model.operations import AttentionCore, Elementwise, ExpertLinear, Linear, Lookup, Operation, Pass, Scan

__all__ = ["Storage", "moved_bytes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Bytes of one element of weights, activations and key-value cache; four-bit weights are 0.5."""

    weight_bytes: float = 2.0
    activation_bytes: float = 2.0
    cache_bytes: float = 2.0


def moved_bytes(operation: Operation, work: Pass, storage: Storage) -> float:
    """Bytes that one layer's `operation` reads and writes in this pass.

    Attention is fused: scores and probabilities never reach memory; keys and values are read once for all queries of a sequence. Routed
    experts are read as far as tokens reach them under even routing.
    """
    match operation:
        case Linear():
            rows = operation.rows(work)
            if rows == 0:
                return 0.0
            weights = operation.inputs * operation.outputs + (operation.outputs if operation.bias else 0)
            return weights * storage.weight_bytes + rows * (operation.inputs + operation.outputs) * storage.activation_bytes
        case ExpertLinear():
            reached = operation.parameters / operation.experts * operation.touched(work.tokens)
            rows = operation.rows(work)
            return reached * storage.weight_bytes + rows * (operation.inputs + operation.outputs) * storage.activation_bytes
        case AttentionCore():
            return _attention_bytes(operation, work, storage)
        case Scan():
            sequences = work.batch if not operation.runs_on_encoder else 0
            tokens = work.batch * operation.encoder_tokens * (work.past_tokens == 0) if operation.runs_on_encoder else work.tokens
            state = 2 * sequences * operation.state_elements
            moved = (tokens * operation.io_elements_per_token + state) * storage.activation_bytes
            return moved + (operation.parameters * storage.weight_bytes if tokens else 0.0)
        case Elementwise():
            return operation.elements(work) * storage.activation_bytes
        case Lookup():
            return work.tokens * operation.width * (storage.weight_bytes + storage.activation_bytes)


def _attention_bytes(core: AttentionCore, work: Pass, storage: Storage) -> float:
    queries = work.batch * core.encoder_tokens * (work.past_tokens == 0) if core.runs_on_encoder else work.tokens
    if queries == 0:
        return 0.0
    decoding = work.is_decode and not core.runs_on_encoder
    score, value = (core.decode_score_dim, core.decode_value_dim) if decoding else (core.score_dim, core.value_dim)
    ends = queries * core.heads * (score + value) * storage.activation_bytes
    new = 0 if core.cross_tokens or core.runs_on_encoder else work.new_tokens
    kept = core.full_pairs(work) // work.new_tokens if not core.runs_on_encoder else core.encoder_tokens
    read = min(kept, core.top_tokens * work.new_tokens) if core.top_tokens is not None else kept
    if core.runs_on_encoder or core.cross_tokens:
        return ends + work.batch * read * core.cache_heads * (core.score_dim + core.value_dim) * storage.cache_bytes
    return ends + work.batch * (read + new) * core.cache_width * storage.cache_bytes
