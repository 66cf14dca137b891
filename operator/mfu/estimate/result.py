"""What an estimate says. Every figure a person sees (CLI, status, verdict, recommendation) is read from these objects."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Bound", "Estimate", "Interval", "MemoryFit", "MemoryPart", "ServingRates", "Term", "TrainingRates"]


class Bound(StrEnum):
    """What limits the step, by the largest share of its time."""

    COMPUTE = "Compute"
    MEMORY = "Memory"
    COMMUNICATION = "Communication"
    PIPELINE = "Pipeline"
    HOST = "Host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A named part of the step. The seconds of all terms add up to the step; hidden communication has no share here.

    `ceiling_mfu_ratio`: what MFU would be if this term took no time beyond its unavoidable arithmetic.
    """

    name: str  # "matmul", "attention", "tensorParallel", "pipelineBubble", …
    seconds: float
    bound: Bound
    ceiling_mfu_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPart:
    name: str  # "weights", "gradients", "optimizer", "activations", "kvCache", "buffers"
    required_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFit:
    """Memory of one accelerator. `remedy` is the smallest change that would make it fit, as text, empty when it fits."""

    parts: tuple[MemoryPart, ...]
    capacity_bytes: float
    remedy: str = ""

    @property
    def required_bytes(self) -> float:
        return sum(part.required_bytes for part in self.parts)

    @property
    def fits(self) -> bool:
        return self.required_bytes <= self.capacity_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRates:
    step_seconds: float
    tokens_per_second_per_accelerator: float
    tokens_per_step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingRates:
    output_tokens_per_second_per_accelerator: float
    total_tokens_per_second_per_accelerator: float  # input (computed) and output
    time_to_first_token_seconds: float
    time_per_output_token_seconds: float
    concurrency: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An 80 % interval around an MFU."""

    low_ratio: float
    high_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The expected performance of a workload. Ratios are 0–1 of the dense peak at the compute precision.

    `mfu_ratio` counts visible attention pairs, no recomputation and no padding; `full_attention_mfu_ratio` is the PaLM convention (the
    whole square); `hfu_ratio` adds recomputed work. `roofline_ratio` is the time that arithmetic and memory traffic need at the
    data-sheet rates, over the time expected: the figure that says how good a decode is.
    """

    mfu_ratio: float
    interval: Interval
    hfu_ratio: float
    full_attention_mfu_ratio: float
    roofline_ratio: float
    bound: Bound
    model_flops_per_token: float  # training: forward and backward; inference: mean over computed tokens
    peak_flops_per_second: float
    memory: MemoryFit
    terms: tuple[Term, ...]
    rates: TrainingRates | ServingRates
    assumptions: tuple[str, ...] = ()

    @property
    def step_seconds(self) -> float:
        return sum(term.seconds for term in self.terms)
