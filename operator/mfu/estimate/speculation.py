"""Speculative decoding: a step verifies several proposed tokens of every sequence (Leviathan et al., arXiv:2211.17192, section 3)."""

from dataclasses import dataclass

from mfu.estimate.coefficients import InferenceCoefficients
from mfu.estimate.profile import Profile, profile_of
from mfu.estimate.serving_kernels import Batch, Rank, step_seconds
from mfu.estimate.workload import Inference

__all__ = ["Speculation", "draft_seconds", "speculation"]

_MODULE_LAYERS = 1.5  # a multi-token-prediction or EAGLE head: one layer and its projections
_PROPOSING_METHODS = frozenset({"mtp", "eagle", "eagle3", "medusa", "draft"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Speculation:
    """`tokens_per_step`: expected tokens that one step adds to a sequence; `verified`: tokens of a sequence that a step computes."""

    tokens_per_step: float = 1.0
    verified: float = 1.0

    @property
    def executed_ratio(self) -> float:
        """Tokens computed for each token kept."""
        return self.verified / self.tokens_per_step


def speculation(job: Inference) -> Speculation:
    """Expected acceptance: (1 − α^(γ+1)) / (1 − α) tokens a step for γ proposals accepted with probability α each."""
    declared = job.speculative
    if declared is None or declared.tokens <= 0:
        return Speculation()
    accepted = declared.acceptance_ratio
    expected = declared.tokens + 1.0 if accepted >= 1.0 else (1.0 - accepted ** (declared.tokens + 1)) / (1.0 - accepted)
    return Speculation(tokens_per_step=expected, verified=declared.tokens + 1.0)


def draft_seconds(job: Inference, profile: Profile, rank: Rank, batch: Batch, decode_seconds: float, known: InferenceCoefficients) -> float:
    """Time of proposing the tokens of one step: a draft model's decode steps, or one light module for each token; 0 for look-up methods."""
    declared = job.speculative
    if declared is None or declared.tokens <= 0:
        return 0.0
    if declared.draft is not None:
        single = Batch(decoding=batch.decoding, context=batch.context)
        return declared.tokens * step_seconds(profile_of(declared.draft), rank, single, known).total
    if declared.method in _PROPOSING_METHODS:
        return declared.tokens * decode_seconds * _MODULE_LAYERS / profile.layers
    return 0.0
