"""nanoGPT: `iter 10: loss 3.2202, time 893.76ms, mfu 16.68%`.

-100 % is "not known yet"; the figure is a running average of the A100's peak whatever the chip. The time is that of one iteration with
all its micro batches, measured at the logged iteration.
"""

import re
from collections.abc import Sequence

from mfu.report.logs.record import Facts, Record

__all__ = ["NanoGpt"]

_ITERATION = re.compile(r"\biter (\d+): loss [\d.naninf-]+, time ([\d.]+)ms(?:, mfu (-?[\d.]+)%)?")


class NanoGpt:
    def feed(self, line: str) -> Sequence[Record | Facts]:
        found = _ITERATION.search(line)
        if found is None:
            return []
        mfu = float(found[3]) / 100.0 if found[3] else -1.0
        return [Record(step=int(found[1]), step_seconds=float(found[2]) / 1e3, mfu_ratio=mfu if mfu >= 0.0 else None)]

    def flush(self) -> Sequence[Record | Facts]:
        return []
