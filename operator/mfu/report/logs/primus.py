"""AMD Primus: Megatron's line with averages beside the values, and its own field names.

    iteration 4/ 20 | consumed samples: 64 | elapsed time per iteration (ms): 654.5/735.1 |
      compute per GPU (TFLOP/s/GPU): 1290.3 (avg 1162.8) | tokens/s/GPU inst/harmonic mean: 25032.8/22288.1 | … |

The first iterations come in Megatron's own form (`tokens per GPU (tokens/s/GPU)`). Launchers fold the line: what follows an
unfinished line, indented, belongs to it. Primus on torchtitan or MaxText logs like those.
"""

from collections.abc import Sequence

from mfu.report.logs.megatron import Megatron, iteration_line
from mfu.report.logs.record import Facts, Record

__all__ = ["Primus"]

_LAST_FIELDS = ("lm loss", "number of nan iterations", "grad norm")


class Primus:
    def __init__(self) -> None:
        self._lines = Megatron()
        self._unfinished = ""

    def feed(self, line: str) -> Sequence[Record | Facts]:
        if self._unfinished and line[:1].isspace() and iteration_line(line) is None:
            whole, self._unfinished = f"{self._unfinished} {line.strip()}", ""
            return self._lines.feed(whole)
        found = list(self.flush())
        begun = iteration_line(line)
        if begun is not None and line.rstrip().endswith("|") and not any(name in begun[1] for name in _LAST_FIELDS):
            self._unfinished = line
            return found
        return [*found, *self._lines.feed(line)]

    def flush(self) -> Sequence[Record | Facts]:
        line, self._unfinished = self._unfinished, ""
        return self._lines.feed(line) if line else []
