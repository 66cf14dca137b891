"""Megatron-LM and what is built on its log line: Megatron-DeepSpeed, Megatron-Bridge, Megatron-LLM, Primus, gpt-neox.

    [2024-04-06 02:59:36] iteration 43/ 100 | consumed samples: 5504 | elapsed time per iteration (ms): 5444.9 |
      throughput per GPU (TFLOP/s/GPU): 239.8 | learning rate: … | global batch size: 128 | lm loss: … | … |

(megatron/training/training.py, training_log.) Megatron-DeepSpeed adds `actual seqlen`, `consumed tokens`, `samples per second` and
`tokens per gpu per second (tgs)`. The arguments printed at the start (`  seq_length ......... 4096`) tell the sequence length.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from mfu.report.logs.record import Facts, Record
from mfu.report.logs.text import fields, first, floating, integer, timestamp

__all__ = ["Megatron", "iteration_line", "record_of"]

_ITERATION = re.compile(r"\biteration\s+(\d+)\s*/\s*\d+\s*\|")
_ARGUMENT = re.compile(r"^(?:\S+\s)?\s*(seq_length|encoder_seq_length|world_size|global_batch_size)\s\.{2,}\s(\d+)\s*$")
_FACTS = {
    "seq_length": "sequence_length",
    "encoder_seq_length": "sequence_length",
    "world_size": "accelerators",
    "global_batch_size": "sequences",
}
# gpt-neox writes it before the iteration, behind whatever its launcher puts in front.
_SAMPLES = re.compile(r"\bsamples/sec:\s*([\d.,eE+-]+)")
_TERA = 1e12
_ELAPSED = "elapsed time per iteration (ms)"


class Megatron:
    """A line is a record by itself; one that comes glued behind another's text, or with text glued to its end, is still found."""

    def feed(self, line: str) -> Sequence[Record | Facts]:
        found = [iteration_line(part) for part in _records(line)]
        if found:
            return [record_of(*each, line) for each in found if each is not None and _ELAPSED in each[1]]
        argument = _ARGUMENT.match(line)
        return [Facts(**{_FACTS[argument[1]]: int(argument[2])})] if argument else []

    def flush(self) -> Sequence[Record | Facts]:
        return []


def _records(line: str) -> list[str]:
    """The parts of a line that hold one iteration each: writers without locks glue lines together."""
    starts = [match.start() for match in _ITERATION.finditer(line)]
    # What stands before the first belongs to it.
    return [line[start:end] for start, end in pairwise([0, *starts[1:], len(line)])] if starts else []


def iteration_line(line: str) -> tuple[int, dict[str, str]] | None:
    """The iteration that a line reports and its fields, also those before the word `iteration`."""
    found = _ITERATION.search(line)
    if found is None:
        return None
    return int(found[1]), {**fields(line[: found.start()]), **fields(line[found.end() :])}


def record_of(step: int, given: Mapping[str, str], line: str) -> Record:
    """Of a pair (instantaneous/average) the first is taken: the observer averages by itself."""
    elapsed = first(given, _ELAPSED)
    sequences = integer(given.get("global batch size"))
    before = _SAMPLES.search(line)
    per_second = floating(before[1]) if before else first(given, "samples per second")
    if sequences is None and per_second is not None and elapsed is not None:
        sequences = round(per_second * elapsed / 1e3)
    tera = first(
        given, "throughput per gpu (tflop/s/gpu)", "compute per gpu (tflop/s/gpu)", "tflop/s/gpu", "tflops", "throughput (tflop/s/gpu)"
    )
    flops = first(given, "approx flops per gpu")
    return Record(
        step=step,
        step_seconds=None if elapsed is None else elapsed / 1e3,
        sequences=sequences,
        sequence_length=integer(given.get("actual seqlen") or given.get("seqlen")),
        consumed_sequences=integer(given.get("consumed samples")),
        consumed_tokens=integer(given.get("consumed tokens")),
        tokens_per_second_per_accelerator=first(
            given,
            "tokens/s/gpu inst/harmonic mean",
            "tokens per gpu (tokens/s/gpu)",
            "tokens per gpu per second (tgs)",
            "tokens/s/gpu",
        ),
        flops_per_second_per_accelerator=flops if tera is None else tera * _TERA,
        at_seconds=timestamp(line),
    )
