"""How others count the FLOPs of the same pass, by name, for comparison.

Formulas in our words, after their sources: 6ND and 2ND (Kaplan et al., arXiv:2001.08361, section 2.1), PaLM (arXiv:2204.02311, appendix B),
hardware FLOPs with recomputation (Korthikanti et al., arXiv:2205.05198, section 6), Megatron-LM (`megatron/training/training.py`,
`num_floating_point_operations`), vLLM (`vllm/v1/metrics/perf.py`). They are given as those programs count, faults included: no router,
no window, no causal mask, three matrices in every network.
"""

from dataclasses import dataclass

from mfu.model.architecture import Architecture, Attention, CompressedAttention, LatentAttention
from mfu.model.build import operations
from mfu.model.operations import AttentionCore, ExpertLinear, Linear, Module, Operation, Pass, Scan
from mfu.model.totals import count

__all__ = ["Counting", "compare"]

_VOCABULARY_STEP = 128  # Megatron-LM pads the vocabulary to a multiple of this


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """One way to count: FLOP of the forward pass and of forward and backward, and what sets it apart."""

    name: str
    forward: int
    training: int
    note: str

    def difference_to(self, reference: "Counting") -> float:
        """Relative difference of forward and backward to another counting of them (0.03 = 3 % more)."""
        return self.training / reference.training - 1.0 if reference.training else 0.0


def compare(architecture: Architecture, work: Pass) -> tuple[Counting, ...]:
    """The same pass under every named convention; the first is this package's own, by visible pairs."""
    own = count(architecture, work)
    listed = operations(architecture)
    total, active = own.parameters.total, own.parameters.active_per_token
    return (
        Counting(
            name="visible",
            forward=own.forward.total_visible,
            training=own.training.total_visible,
            note="every product once, attention by the pairs the mask lets through",
        ),
        Counting(
            name="full",
            forward=own.forward.total_full,
            training=own.training.total_full,
            note="the same with attention over the whole square",
        ),
        Counting(
            name="HFU selective",
            forward=own.forward.total_visible,
            training=own.training.total_visible + own.forward.attention_visible,
            note="hardware FLOPs: the attention core once more in the backward pass",
        ),
        Counting(
            name="HFU full",
            forward=own.forward.total_visible,
            training=own.training.total_visible + own.forward.total_visible - own.forward.lm_head,
            note="hardware FLOPs: every layer's forward once more, the head not",
        ),
        _of_forward(
            "6ND", 2 * total * work.tokens, "2 FLOP a parameter and token forward, all experts and the embedding counted, no attention"
        ),
        _of_forward("6ND active", 2 * active * work.tokens, "the same with the experts that a token reaches"),
        _of_forward("PaLM", _palm(architecture, work, active), "6N + 12·L·H·Q·T a token, windows and masks ignored"),
        _of_forward("Megatron", _megatron(listed, work), "half the square, windows ignored, no router, vocabulary padded to 128"),
        _of_forward("vLLM", _vllm(listed, work), "three matrices in every network, whole rectangle, no router, head on one position"),
    )


def _of_forward(name: str, forward: int, note: str) -> Counting:
    return Counting(name=name, forward=forward, training=3 * forward, note=note)


def _palm(architecture: Architecture, work: Pass, active: int) -> int:
    context = work.new_tokens + work.past_tokens
    width = next(
        (_query_width(mixer) for mixer, _ in architecture.mixers() if isinstance(mixer, Attention | LatentAttention | CompressedAttention)),
        0,
    )
    return 2 * active * work.tokens + 4 * architecture.layer_count * width * context * work.tokens


def _query_width(mixer: Attention | LatentAttention | CompressedAttention) -> int:
    match mixer:
        case Attention():
            return mixer.query_heads * mixer.head_dim
        case LatentAttention():
            return mixer.heads * (mixer.qk_nope_head_dim + mixer.qk_rope_head_dim)
        case CompressedAttention():
            return mixer.heads * mixer.head_dim


def _megatron(listed: tuple[Operation, ...], work: Pass) -> int:
    context = work.new_tokens + work.past_tokens
    total = 0
    for operation in listed:
        match operation:
            case Linear(module=Module.HEAD):
                padded = -(-operation.outputs // _VOCABULARY_STEP) * _VOCABULARY_STEP
                total += 2 * work.tokens * operation.inputs * padded * operation.count
            case Linear() | ExpertLinear() if operation.module is not Module.ROUTER and operation.name != "shared_gate":
                total += operation.flops(work) * operation.count
            case AttentionCore(block=1):
                # Half of the rectangle, rounded as S²/2 rather than S(S+1)/2.
                pairs = work.tokens * (context if work.is_decode else context - work.new_tokens / 2)
                total += int(pairs * 2 * operation.heads * (operation.score_dim + operation.value_dim)) * operation.count
            case Scan() | AttentionCore():
                total += operation.flops(work) * operation.count
            case _:
                pass
    return total


def _vllm(listed: tuple[Operation, ...], work: Pass) -> int:
    context = work.new_tokens + work.past_tokens
    total = 0
    for operation in listed:
        match operation:
            case Linear(module=Module.HEAD):
                total += 2 * work.batch * operation.inputs * operation.outputs * operation.count
            case Linear(name="up_proj" | "shared_up") | ExpertLinear(name="experts_up"):
                total += 2 * operation.flops(work) * operation.count  # a gate that the network does not have
            case Linear() | ExpertLinear() if operation.module is not Module.ROUTER and operation.name != "shared_gate":
                total += operation.flops(work) * operation.count
            case AttentionCore(block=1):
                reach = min(context, operation.window or context)
                total += work.tokens * reach * 2 * operation.heads * (operation.score_dim + operation.value_dim) * operation.count
            case Scan() | AttentionCore():
                total += operation.flops(work) * operation.count
            case _:
                pass
    return total
