"""EleutherAI gpt-neox (megatron/logging.py, training_log):

    samples/sec: 51.2 | iteration 10/ 320000 | elapsed time per iteration (ms): 9876.5 | learning rate: … |
      approx flops per GPU: 150.3TFLOPS | lm_loss: … | … |

DeepSpeed's wall clock lines (`time (ms) | forward_microstep: …`) are of one micro step and say nothing of a step: they are not read.
"""

from collections.abc import Sequence

from mfu.report.logs.megatron import Megatron
from mfu.report.logs.record import Facts, Record

__all__ = ["GptNeox"]


class GptNeox:
    """The global batch is samples/sec times the iteration's time."""

    def __init__(self) -> None:
        self._lines = Megatron()

    def feed(self, line: str) -> Sequence[Record | Facts]:
        return self._lines.feed(line)

    def flush(self) -> Sequence[Record | Facts]:
        return []
