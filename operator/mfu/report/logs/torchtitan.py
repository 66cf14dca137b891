"""torchtitan (torchtitan/components/metrics.py):

    [titan] 2026-02-24 19:46:17,508 - root - INFO - step:  4  loss:  7.6  grad_norm: …  memory: …  tps: 10,050  tflops: 314.71  mfu: 13.99%

Every rank prints; `tps` is of one device and counts one rank's tokens divided by the ranks that share them. `mfu` is of the peak of BF16,
also under FP8. No time of a step: it is the time between two steps' lines. `Training starts at step 1, with … sequence length 8192` tells
the job.
"""

import re
from collections.abc import Sequence

from mfu.report.logs.record import Facts, Record
from mfu.report.logs.text import floating, timestamp

__all__ = ["TorchTitan"]

# A torn line has no tps of its own: that of the line glued behind it is not taken.
_STEP = re.compile(r"\bstep:\s*([\d,]+)\s(?:(?!\bstep:).)*?\btps:\s*([\d.,]+)(?:\s|$)")
_TFLOPS = re.compile(r"\btflops:\s*([\d.,]+)")
_MFU = re.compile(r"\bmfu:\s*(-?[\d.]+)\s*%")
_STARTS = re.compile(r"\bTraining starts at step")
_FACTS = {
    "sequences": re.compile(r"\bglobal batch size:?\s+(\d+)"),
    "sequence_length": re.compile(r"\bsequence length:?\s+(\d+)"),
}


class TorchTitan:
    def feed(self, line: str) -> Sequence[Record | Facts]:
        found = list(_STEP.finditer(line))
        if not found and _STARTS.search(line):
            return _facts(line)
        ends = (*(each.start() for each in found[1:]), len(line)) if found else ()
        return [_record(each, line[each.start() : end], line) for each, end in zip(found, ends, strict=True)]

    def flush(self) -> Sequence[Record | Facts]:
        return []


def _record(step: re.Match[str], part: str, line: str) -> Record:
    tera, mfu = _TFLOPS.search(part), _MFU.search(part)
    tera_flops = floating(tera[1]) if tera else None
    return Record(
        step=int(step[1].replace(",", "")),
        tokens_per_second_per_accelerator=floating(step[2]),
        flops_per_second_per_accelerator=None if tera_flops is None else tera_flops * 1e12,
        mfu_ratio=float(mfu[1]) / 100.0 if mfu and float(mfu[1]) >= 0.0 else None,
        at_seconds=timestamp(line),
    )


def _facts(line: str) -> Sequence[Facts]:
    found = {name: int(match[1]) for name, pattern in _FACTS.items() if (match := pattern.search(line))}
    return [Facts(**found)] if found else []
