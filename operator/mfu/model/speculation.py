"""FLOP of speculative decoding, with what is thrown away kept apart (Leviathan et al., arXiv:2211.17192, section 3)."""

from dataclasses import dataclass

from mfu.model.architecture import Architecture
from mfu.model.operations import Pass
from mfu.model.totals import count

__all__ = ["Speculation", "speculate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Speculation:
    """FLOP for each token that is kept. Model FLOP utilization counts `useful_flops` only, so that guessing can never raise it by itself.

    `useful_flops`: the target model on the token. `rejected_flops`: the target model on proposals that were thrown away.
    `draft_flops`: the draft model; 0 where proposals are looked up.
    """

    tokens_per_step: float
    useful_flops: float
    rejected_flops: float
    draft_flops: float

    @property
    def executed_flops(self) -> float:
        return self.useful_flops + self.rejected_flops + self.draft_flops


def speculate(target: Architecture, past_tokens: int, tokens: int, acceptance: float, draft: Architecture | None = None) -> Speculation:
    """One sequence with `past_tokens` cached, `tokens` proposals a step, each accepted with probability `acceptance` (0 to 1).

    A step verifies the proposals and one token more, and keeps (1 − α^(γ+1)) / (1 − α) tokens on average.
    """
    verified = tokens + 1
    kept = float(verified) if acceptance >= 1.0 else (1.0 - acceptance**verified) / (1.0 - acceptance)
    useful = float(_decode(target, past_tokens))
    executed = sum(_decode(target, past_tokens + i) for i in range(verified)) / kept
    drafted = sum(_decode(draft, past_tokens + i) for i in range(tokens)) / kept if draft is not None else 0.0
    return Speculation(
        tokens_per_step=kept,
        useful_flops=useful,
        rejected_flops=max(0.0, executed - useful),
        draft_flops=drafted,
    )


def _decode(architecture: Architecture, past_tokens: int) -> int:
    return count(architecture, Pass(batch=1, new_tokens=1, past_tokens=past_tokens)).forward.total_visible
