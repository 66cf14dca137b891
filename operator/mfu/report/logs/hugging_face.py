"""The dictionaries that the Hugging Face Trainer prints.

A line of a step (`{'loss': 1.26, 'learning_rate': 6.3e-06, 'epoch': 0.03}`) has neither a step nor a speed, so there is nothing to count;
the summary at the end (`'train_tokens_per_second'`) is of the whole run. Only the summary is read, as rates: for figures
while it runs use the callback of `mfu.report`.
"""

import re
from collections.abc import Sequence

from mfu.report.logs.record import Facts, Record
from mfu.report.logs.text import first

__all__ = ["HuggingFace"]

_FIELD = re.compile(r"'(train_(?:tokens|steps|samples)_per_second)': '?([\d.eE+-]+)'?")


class HuggingFace:
    """The summary may be spread over lines, a field on each."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}

    def feed(self, line: str) -> Sequence[Record | Facts]:
        found = dict(_FIELD.findall(line))
        if not found:
            return []
        self._given |= found
        steps = first(self._given, "train_steps_per_second")
        return [
            Record(
                step_seconds=1.0 / steps if steps else None,
                sequences_per_second=first(self._given, "train_samples_per_second"),
                tokens_per_second=first(self._given, "train_tokens_per_second"),
            )
        ]

    def flush(self) -> Sequence[Record | Facts]:
        return []
