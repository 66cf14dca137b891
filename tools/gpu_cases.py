"""What is measured on a GPU, and how timings become facts: shapes, FLOP, statistics, records. No GPU is needed here."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Case", "Kind", "Timing", "attention_cases", "gemm_cases", "record", "step_cases"]

_SMALLEST, _LARGEST = 256, 16384
_LAYERS = ((1024, 1024), (4096, 4096), (14336, 4096), (4096, 14336), (8192, 8192), (16384, 16384))  # outputs, inputs of real layers
_ATTENTION_TOKENS = 16384  # batch × sequence, so that every length has the same number of queries
_HEADS = ((32, 8, 128), (16, 16, 64))  # query heads, key heads, width of a head
_STEPS = ((2048, 16, 8192, 4), (4096, 32, 14336, 2))  # hidden, heads, feed-forward width, layers
_STEP_SEQUENCES = ((1, 2048), (4, 2048), (1, 8192))  # micro-batch, sequence


class Kind(StrEnum):
    GEMM = "gemm"
    ATTENTION = "attention"
    STEP = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to time. `shape` names its dimensions; `flops` is what one run computes (a multiply-add is 2)."""

    kind: Kind
    precision: str  # bf16 or fp8
    shape: tuple[tuple[str, int], ...]
    flops: int

    def __getitem__(self, name: str) -> int:
        return dict(self.shape)[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds of repeated runs: the median, and the spread as 10 % and 90 % quantiles."""

    median: float
    low: float
    high: float
    count: int

    @staticmethod
    def of(samples: Sequence[float]) -> "Timing":
        """Raises ValueError without samples or with one that is no duration."""
        if not samples or min(samples) <= 0:
            raise ValueError("timings must be positive, and there must be some")
        ordered = sorted(samples)
        last = len(ordered) - 1
        return Timing(
            median=statistics.median(ordered), low=ordered[round(0.1 * last)], high=ordered[round(0.9 * last)], count=len(ordered)
        )


def gemm_cases(precisions: Sequence[str], largest: int = _LARGEST) -> Iterator[Case]:
    """Rows from 256 to `largest` against the weight shapes of real layers."""
    for precision in precisions:
        for outputs, inputs in _LAYERS:
            if max(outputs, inputs) > largest:
                continue
            for rows in _powers(largest):
                shape = (("m", rows), ("n", outputs), ("k", inputs))
                yield Case(kind=Kind.GEMM, precision=precision, shape=shape, flops=2 * rows * outputs * inputs)


def attention_cases(largest: int = _LARGEST) -> Iterator[Case]:
    """Causal attention, forward and backward, in bf16: lengths from 256 to `largest` at a constant number of queries."""
    for heads, key_heads, width in _HEADS:
        for sequence in _powers(largest):
            batch = max(1, _ATTENTION_TOKENS // sequence)
            pairs = batch * heads * sequence * (sequence + 1) // 2
            for backward in (0, 1):
                shape = (
                    ("batch", batch),
                    ("sequence", sequence),
                    ("heads", heads),
                    ("keyHeads", key_heads),
                    ("width", width),
                    ("backward", backward),
                )
                flops = 4 * pairs * width * (5 if backward else 2) // 2
                yield Case(kind=Kind.ATTENTION, precision="bf16", shape=shape, flops=flops)


def step_cases(precisions: Sequence[str], largest: int = _LARGEST) -> Iterator[Case]:
    """Forward, backward and optimizer of a few transformer layers."""
    for precision in precisions:
        for hidden, heads, width, layers in _STEPS:
            for batch, sequence in _STEP_SEQUENCES:
                if max(hidden, width, sequence) > largest:
                    continue
                tokens = batch * sequence
                weights = layers * (4 * hidden * hidden + 3 * hidden * width)
                pairs = layers * batch * sequence * (sequence + 1) // 2
                shape = (
                    ("batch", batch),
                    ("sequence", sequence),
                    ("hidden", hidden),
                    ("heads", heads),
                    ("feedForward", width),
                    ("layers", layers),
                )
                yield Case(kind=Kind.STEP, precision=precision, shape=shape, flops=6 * tokens * weights + 12 * pairs * hidden)


def record(case: Case, timing: Timing, device: dict[str, str]) -> dict[str, Any]:
    """The fact as it is written: one JSON object."""
    return {
        "device": device,
        "kind": case.kind.value,
        "precision": case.precision,
        "shape": dict(case.shape),
        "flops": case.flops,
        "seconds": {"median": timing.median, "p10": timing.low, "p90": timing.high, "runs": timing.count},
        "flopsPerSecond": case.flops / timing.median,
    }


def _powers(largest: int) -> list[int]:
    return [size for size in (_SMALLEST << exponent for exponent in range(7)) if size <= min(largest, _LARGEST)]
