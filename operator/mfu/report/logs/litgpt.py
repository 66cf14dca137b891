"""LitGPT: `Epoch 1 | iter 4 step 2 | loss train: 1.597, val: n/a | iter time: 595.27 ms (step)`.

An iteration is a micro batch; `(step)` marks those that end an optimizer step. The times of the iterations since the last step add up.
"""

import re
from collections.abc import Sequence

from mfu.report.logs.record import Facts, Record

__all__ = ["LitGpt"]

_ITERATION = re.compile(r"\biter (\d+) step (\d+) \|.*?\biter time: ([\d.]+) ms(?P<ends> \(step\))?")


class LitGpt:
    def __init__(self) -> None:
        self._seconds = 0.0
        self._iteration = 0

    def feed(self, line: str) -> Sequence[Record | Facts]:
        found = _ITERATION.search(line)
        if found is None or int(found[1]) == self._iteration:  # another rank's line
            return []
        self._iteration = int(found[1])
        self._seconds += float(found[3]) / 1e3
        if found["ends"] is None:
            return []
        seconds, self._seconds = self._seconds, 0.0
        return [Record(step=int(found[2]), step_seconds=seconds)]

    def flush(self) -> Sequence[Record | Facts]:
        return []
