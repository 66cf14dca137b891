"""What about a model's sizes makes it slower than it need be, in sentences for a person."""

from mfu.model.architecture import Architecture, Attention, CompressedAttention, Experts, LatentAttention, Mlp

__all__ = ["warnings"]

_TILE = 64  # elements; a narrower or ragged side leaves part of a tensor-core tile empty
_HEAD_STEP = 8  # fused attention kernels pad a head dimension to a multiple of this


def warnings(architecture: Architecture, *, tensor: int = 1, expert: int = 1) -> tuple[str, ...]:
    """Warnings about a model under a tensor and an expert parallelism of these degrees; empty when there is nothing to say."""
    found: list[str] = []
    if architecture.has_head and not architecture.head_per_sequence:
        found += _vocabulary(architecture.vocabulary, tensor)
    if architecture.hidden % _TILE:
        found.append(
            f"hidden size {architecture.hidden} is not a multiple of {_TILE}: every matrix product leaves tensor-core tiles partly empty"
        )
    for mixer, _ in architecture.mixers():
        match mixer:
            case Attention():
                found += _attention(mixer, tensor)
            case LatentAttention() | CompressedAttention() if mixer.heads % tensor:
                found.append(f"{mixer.heads} attention heads do not divide by tensor parallelism {tensor}")
            case _:
                pass
    for layer in architecture.layers:
        for part in layer.feed_forward:
            match part:
                case Mlp():
                    found += _width("feed-forward width", part.intermediate, tensor)
                case Experts():
                    found += _experts(part, expert)
    return tuple(dict.fromkeys(found))


def _vocabulary(vocabulary: int, tensor: int) -> list[str]:
    step = _TILE * tensor
    if vocabulary % step == 0:
        return []
    padded = -(-vocabulary // step) * step
    share = f" divided by tensor parallelism {tensor}" if tensor > 1 else ""
    return [f"vocabulary {vocabulary}{share} is not a multiple of {_TILE}: the head's product is slow; pad it to {padded}"]


def _attention(attention: Attention, tensor: int) -> list[str]:
    found: list[str] = []
    if attention.head_dim % _HEAD_STEP:
        found.append(f"head dimension {attention.head_dim} is not a multiple of {_HEAD_STEP}: attention kernels pad it or fall back")
    if attention.query_heads % tensor:
        found.append(f"{attention.query_heads} attention heads do not divide by tensor parallelism {tensor}")
    groups = attention.key_value_heads
    if groups % tensor and tensor % groups:
        found.append(f"{groups} key-value heads do not divide by tensor parallelism {tensor}")
    elif groups < tensor:
        found.append(f"{groups} key-value heads are fewer than tensor parallelism {tensor}: each is kept on {tensor // groups} GPUs")
    return found


def _width(what: str, width: int, tensor: int) -> list[str]:
    if width % tensor:
        return [f"{what} {width} does not divide by tensor parallelism {tensor}"]
    if (width // tensor) % _TILE:
        return [f"{what} {width // tensor} on each GPU is not a multiple of {_TILE}: tensor-core tiles stay partly empty"]
    return []


def _experts(experts: Experts, expert: int) -> list[str]:
    found = _width("expert width", experts.intermediate, 1)
    if experts.count % expert:
        found.append(f"{experts.count} experts do not divide by expert parallelism {expert}")
    return found
