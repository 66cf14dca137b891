"""Model FLOP of one served request: its prompt (without what a prefix cache holds) and its output tokens."""

from dataclasses import dataclass
from functools import lru_cache

from mfu.estimate.workload import Phase
from mfu.model.architecture import Adapter, Architecture
from mfu.model.operations import Logits, Pass
from mfu.model.totals import count

__all__ = ["RequestFlops", "request_flops"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFlops:
    """`visible` counts attention pairs that the mask lets through, `full` the whole rectangle."""

    visible: float
    full: float


@lru_cache(maxsize=4096)
def request_flops(
    architecture: Architecture, adapter: Adapter | None, input_tokens: int, output_tokens: int, prefix_hit_ratio: float, phase: Phase
) -> RequestFlops:
    """The first output token comes from the prefill, the others from decode steps at the mean context."""
    visible = full = 0.0
    if phase is not Phase.DECODE:
        cached = min(input_tokens - 1, int(input_tokens * prefix_hit_ratio))
        prefill = count(
            architecture, Pass(batch=1, new_tokens=input_tokens - cached, past_tokens=cached, logits=Logits.LAST), adapter
        ).forward
        visible += prefill.total_visible
        full += prefill.total_full
    if phase is not Phase.PREFILL:
        decoded = output_tokens if phase is Phase.DECODE else max(0, output_tokens - 1)
        step = count(architecture, Pass(batch=1, new_tokens=1, past_tokens=max(1, input_tokens + output_tokens // 2)), adapter).forward
        visible += decoded * step.total_visible
        full += decoded * step.total_full
    return RequestFlops(visible=visible, full=full)
