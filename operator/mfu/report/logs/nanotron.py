"""Hugging Face nanotron: fields with numbers rounded to three digits and a suffix (11.5K).

    10/17/2025 16:31:56 [INFO|DP=0|PP=0|TP=0]: iteration: 327281 / 378950 | consumed_tokens: 85.8G |
      elapsed_time_per_iteration_ms: 11.5K | tokens_per_sec: 22.8K | tokens_per_sec_per_gpu: 11.4K | global_batch_size: 64 | …

`consumed_tokens` is too coarse to take differences of, and is not read.
"""

import re
from collections.abc import Sequence

from mfu.report.logs.record import Facts, Record
from mfu.report.logs.text import fields, first, integer

__all__ = ["Nanotron"]

_ITERATION = re.compile(r"\biteration:\s*([\d.,]+[KMBG]?)\s*/\s*[\d.,]+[KMBG]?\s*\|")


class Nanotron:
    def feed(self, line: str) -> Sequence[Record | Facts]:
        found = _ITERATION.search(line)
        if found is None:
            return []
        given = fields(line[found.end() :])
        elapsed, tera = first(given, "elapsed_time_per_iteration_ms"), first(given, "model_tflops_per_gpu")
        if elapsed is None:
            return []
        return [
            Record(
                step=integer(found[1]),
                step_seconds=elapsed / 1e3,
                sequences=integer(given.get("global_batch_size")),
                tokens_per_second=first(given, "tokens_per_sec"),
                tokens_per_second_per_accelerator=first(given, "tokens_per_sec_per_gpu"),
                flops_per_second_per_accelerator=None if tera is None else tera * 1e12,
            )
        ]

    def flush(self) -> Sequence[Record | Facts]:
        return []
