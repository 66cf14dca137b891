"""The page on telemetry names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mfu.missing import Reason
from mfu.observe import training
from mfu.observe.telemetry import Source
from mfu.report.logs.frameworks import Framework

PAGE = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text(encoding="utf-8")
OBSERVED = (
    Reason.NOT_RUNNING,
    Reason.WARMING_UP,
    Reason.TELEMETRY_MISSING,
    Reason.TELEMETRY_STALE,
    Reason.TELEMETRY_UNATTRIBUTED,
    Reason.TELEMETRY_UNSUPPORTED,
    Reason.PROMETHEUS_UNAVAILABLE,
    Reason.UNKNOWN_ACCELERATOR,
)


@pytest.mark.parametrize("reason", OBSERVED)
def test_every_reason_is_explained(reason: Reason) -> None:
    assert f"| `{reason}` |" in PAGE


@pytest.mark.parametrize("framework", list(Framework))
def test_every_framework_is_named(framework: Framework) -> None:
    assert re.sub(r"\W", "", framework).casefold() in re.sub(r"\W", "", PAGE).casefold()


@pytest.mark.parametrize("source", list(Source))
def test_every_source_is_named(source: Source) -> None:
    assert source.replace("-", "").casefold() in PAGE.replace("-", "").casefold()


def test_the_reporters_counters_are_named() -> None:
    names = set(re.findall(r"mfu_training_\w+_total", " ".join(training.expressions(120.0))))
    assert names and all(name in PAGE for name in names)


def test_its_python_is_python() -> None:
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        compile(block, "telemetry.md", "exec")
