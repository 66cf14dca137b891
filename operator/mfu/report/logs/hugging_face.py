"""The dictionaries that the Hugging Face Trainer prints.

A line of a step (`{'loss': 1.26, 'learning_rate': 6.3e-06, 'epoch': 0.03}`) has neither a step nor a speed, so there is nothing to count;
the summary at the end (`'train_tokens_per_second'`) is of the whole run. Only the summary is read, as rates: for figures
while it runs use the callback of `mfu.report`.
"""

import re
from collections.abc import Sequence

from mfu.report.logs.record import Facts, Record
from mfu.report.logs.text import floating

__all__ = ["HuggingFace"]

_FIELD = re.compile(r"'(train_tokens_per_second|train_steps_per_second)': '?([\d.eE+-]+)'?")


class HuggingFace:
    def feed(self, line: str) -> Sequence[Record | Facts]:
        given = dict(_FIELD.findall(line))
        if not given:
            return []
        steps, tokens = floating(given.get("train_steps_per_second")), floating(given.get("train_tokens_per_second"))
        return [Record(step_seconds=1.0 / steps if steps else None, tokens_per_second=tokens)]

    def flush(self) -> Sequence[Record | Facts]:
        return []
