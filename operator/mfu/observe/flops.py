"""From tokens to model FLOPs, with the lengths that were observed: attention makes a token's cost depend on them.

Counted are visible attention pairs, no recomputed work, no prefix-cache hits, and the head only where logits are needed.
"""

from mfu.estimate.workload import Training, Workload
from mfu.model.operations import Logits, Pass
from mfu.model.totals import count

__all__ = ["decode_flops_per_token", "prefill_flops_per_token", "training_flops_per_token"]


def training_flops_per_token(workload: Workload, job: Training) -> float:
    """Forward and backward FLOPs of one position at the declared sequence length, the share of padding taken off."""
    work = Pass(batch=1, new_tokens=job.sequence_length)
    total = count(workload.architecture, work, workload.adapter).training.total_visible
    return total / job.sequence_length * job.token_efficiency_ratio


def prefill_flops_per_token(workload: Workload, *, prompt_tokens: float, cached_ratio: float) -> float:
    """FLOPs of one *computed* prompt token when requests bring `prompt_tokens` of which `cached_ratio` come from the prefix cache."""
    prompt = max(1, round(prompt_tokens))
    past = min(prompt - 1, round(prompt * cached_ratio))
    work = Pass(batch=1, new_tokens=prompt - past, past_tokens=past, logits=Logits.LAST)
    return count(workload.architecture, work, workload.adapter).forward.total_visible / work.new_tokens


def decode_flops_per_token(workload: Workload, *, prompt_tokens: float, generation_tokens: float, prefilled_here: bool = True) -> float:
    """FLOPs of one generated token, mean over a request: tokens attend to a growing context.

    The first token comes out of the prefill: where the same replica prefilled, it takes no decode step.
    """
    steps = generation_tokens - 1.0 if prefilled_here else generation_tokens
    if steps <= 0.0:
        return 0.0
    context = max(1, round(prompt_tokens + generation_tokens / 2.0))
    each = count(workload.architecture, Pass(batch=1, new_tokens=1, past_tokens=context), workload.adapter).forward.total_visible
    return each * steps / generation_tokens
