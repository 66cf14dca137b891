"""Composer's console logger, as llm-foundry uses it (composer/callbacks/speed_monitor.py): a block of lines for each batch.

    [batch=5/20]:
             Train time/batch: 4
             Train time/token: 29254495
             Train throughput/batches_per_sec: 0.0027
             Train throughput/tokens_per_sec: 20082.8418
             Train throughput/device/tokens_per_sec: 1255.1776
             Train throughput/device/mfu: 0.4512
             Train time/train: 0.5249

`time/train` is in hours and of the whole run, so the time of a step is taken from batches_per_sec. `time/token` is counted when the batch
begins: the tokens before it.
"""

import re
from collections.abc import Sequence

from mfu.report.logs.record import Facts, Record
from mfu.report.logs.text import first, floating

__all__ = ["LlmFoundry"]

_BATCH = re.compile(r"(?<!Eval )\[batch=(\d+)/\d+\]:?(.*)")
_FIELD = re.compile(r"(?:^|\s)Train ([A-Za-z_/0-9.-]+):\s*(-?[\d.,eE+-]+)")


class LlmFoundry:
    """A block ends where another begins, or where the log falls silent."""

    def __init__(self) -> None:
        self._step: int | None = None
        self._given: dict[str, str] = {}

    def feed(self, line: str) -> Sequence[Record | Facts]:
        begun = _BATCH.search(line)
        found: Sequence[Record | Facts] = []
        if begun is not None:
            found = self.flush()
            self._step, self._given = int(begun[1]), {}
            line = begun[2]
        if self._step is not None:
            self._given |= {name: value for name, value in _FIELD.findall(line) if floating(value) is not None}
        return found

    def flush(self) -> Sequence[Record | Facts]:
        step, given = self._step, self._given
        self._step, self._given = None, {}
        if step is None or not any(name.startswith("throughput/") for name in given):
            return []
        batches = first(given, "throughput/batches_per_sec")
        return [
            Record(
                step=step,
                step_seconds=1.0 / batches if batches else None,
                tokens_per_second=first(given, "throughput/tokens_per_sec"),
                tokens_per_second_per_accelerator=first(given, "throughput/device/tokens_per_sec"),
                flops_per_second_per_accelerator=first(given, "throughput/device/flops_per_sec"),
                mfu_ratio=first(given, "throughput/device/mfu"),
            )
        ]
