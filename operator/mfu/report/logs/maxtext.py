"""MaxText (and MaxDiffusion):

    completed step: 12, seconds: 15.516, TFLOP/s/device: 508.371, Tokens/s/device: 1055.949, total_weights: 4194304, loss: 0.000

Steps count from 0. The first step after compilation is timed wrongly (thousands of TFLOP/s): what no chip can do is dropped.
`total_weights` is the number of target positions that count, not of positions.
"""

import re
from collections.abc import Sequence

from mfu.report.logs.record import Facts, Record
from mfu.report.logs.text import fields, first

__all__ = ["MaxText"]

_STEP = re.compile(r"\bcompleted step:\s*(\d+),(.*)")
_WARM_UP_STEPS = 2


class MaxText:
    def feed(self, line: str) -> Sequence[Record | Facts]:
        found = _STEP.search(line)
        if found is None:
            return []
        given = fields(found[2], separator=",")
        seconds, tera = first(given, "seconds"), first(given, "tflop/s/device")
        if seconds is None:
            return []
        timed = int(found[1]) >= _WARM_UP_STEPS
        return [
            Record(
                step=int(found[1]) + 1,
                step_seconds=seconds,
                tokens_per_second_per_accelerator=first(given, "tokens/s/device"),
                flops_per_second_per_accelerator=tera * 1e12 if timed and tera is not None else None,
            )
        ]

    def flush(self) -> Sequence[Record | Facts]:
        return []
