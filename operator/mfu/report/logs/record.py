"""What a line of a training log says, in one form for all frameworks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Facts", "Parser", "Record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One report of progress. Everything is of the whole job unless it says otherwise; None: the line does not say.

    `step`: the optimizer step the record ends with. A record covers the steps since the one before it; times and rates are of one step.
    """

    step: int | None = None
    step_seconds: float | None = None
    sequences: int | None = None  # in one step (global batch size)
    sequence_length: int | None = None
    consumed_sequences: int | None = None  # since the training began
    consumed_tokens: int | None = None  # since the training began, exact
    sequences_per_second: float | None = None
    tokens_per_second: float | None = None
    tokens_per_second_per_accelerator: float | None = None
    flops_per_second_per_accelerator: float | None = None  # the framework's own figure
    mfu_ratio: float | None = None  # the framework's own figure, of the peak that it assumes
    at_seconds: float | None = None  # the line's own time; any epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a log says of the job once, before its first step."""

    sequence_length: int | None = None
    sequences: int | None = None
    accelerators: int | None = None


class Parser(Protocol):
    """Reads one log. Lines come whole and clean (`text.clean`), those of many writers mixed."""

    def feed(self, line: str) -> Sequence[Record | Facts]:
        """What is known by this line; a record of several lines comes with its last one."""

    def flush(self) -> Sequence[Record | Facts]:
        """What is held back for a line that may never come; called when the log is silent or ends."""
