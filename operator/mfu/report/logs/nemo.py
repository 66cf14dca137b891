"""NVIDIA NeMo, in the three forms it logs.

NeMo 2: `Training epoch 0, iteration 9/99 | lr: … | global_batch_size: 512 | global_step: 9 | reduced_train_loss: … |
train_step_timing in s: 12.46 | tokens_per_sec_per_gpu: 1.073e+04 | consumed_samples: 5120`. NeMo 1 progress bars hold the same names as
`name=value`. DLLogger: `DLLL {JSON}` with the names in `data`, on one line or spread over many.
NeMo AutoModel: `step 3 | epoch 0 | loss … | tps 3456.78(432.10/gpu) | num_label_tokens 8192`.
`global_step` counts from 0, so that a record of step n ends n + 1 steps.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from mfu.report.logs.record import Facts, Record
from mfu.report.logs.text import fields, first, floating, integer, timestamp

__all__ = ["Nemo"]

_TIMING = "train_step_timing in s"
_BAR = re.compile(r"(global_step|consumed_samples|train_step_timing in s|global_batch_size)=([\d.eE+]+)")
_AUTOMODEL = re.compile(r"\bstep (\d+) \| epoch \d+ \| loss .*\| tps ([\d.,]+)\(([\d.,]+)/gpu\)")
_LONGEST_OBJECT = 200  # lines


class Nemo:
    def __init__(self) -> None:
        self._object: list[str] = []

    def feed(self, line: str) -> Sequence[Record | Facts]:
        if self._object:
            self._object.append(line)
            return self._joined()
        start = line.find("DLLL {")
        if start >= 0:
            self._object = [line[start + len("DLLL ") :]]
            return self._joined()
        if _TIMING in line:
            return _of_fields(line)
        return _of_automodel(line)

    def flush(self) -> Sequence[Record | Facts]:
        return []

    def _joined(self) -> Sequence[Record | Facts]:
        """A pretty-printed object ends where it parses; one that never does is given up."""
        if self._object[-1].rstrip().endswith("}"):
            try:
                told, _ = json.JSONDecoder().raw_decode("\n".join(self._object))
            except ValueError:
                told = None
            if isinstance(told, dict):
                self._object = []
                return _of_object(told)
        if len(self._object) > _LONGEST_OBJECT or any("DLLL {" in line for line in self._object[1:]):
            self._object = []
        return []


def _of_object(told: dict[str, Any]) -> Sequence[Record]:
    data = told.get("data")
    if not isinstance(data, dict) or _TIMING not in data:
        return []
    given = {str(name).lower(): str(value) for name, value in data.items()}
    at = told.get("timestamp")
    return _record(given, floating(str(at)) if at is not None else None)


def _of_fields(line: str) -> Sequence[Record]:
    given = fields(line)
    if _TIMING not in given:
        given = {name.lower(): value for name, value in _BAR.findall(line)}
    return _record(given, timestamp(line))


def _record(given: dict[str, str], at_seconds: float | None) -> Sequence[Record]:
    step, seconds = integer(given.get("global_step")), first(given, _TIMING)
    if step is None or seconds is None:
        return []
    tera = first(given, "tflops_per_gpu")
    return [
        Record(
            step=step + 1,
            step_seconds=seconds,
            sequences=integer(given.get("global_batch_size")),
            consumed_sequences=integer(given.get("consumed_samples")),
            tokens_per_second_per_accelerator=first(given, "tokens_per_sec_per_gpu"),
            flops_per_second_per_accelerator=None if tera is None else tera * 1e12,
            at_seconds=at_seconds,
        )
    ]


def _of_automodel(line: str) -> Sequence[Record]:
    found = _AUTOMODEL.search(line)
    if found is None:
        return []
    return [
        Record(
            step=int(found[1]) + 1,
            tokens_per_second=floating(found[2]),
            tokens_per_second_per_accelerator=floating(found[3]),
            at_seconds=timestamp(line),
        )
    ]
