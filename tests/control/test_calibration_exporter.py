"""The calibration at a scrape."""

from __future__ import annotations

from math import log

import pytest
from prometheus_client import CollectorRegistry

from mfu.control.calibration_exporter import CalibrationCollector
from mfu.judge.calibration import Correction, Corrections, Where

WHERE = Where(accelerator="h100", software="vllm 0.11", family="llama")
LABELS = {"class": "h100", "software": "vllm 0.11", "family": "llama"}


def test_corrections_and_decays_are_ratios_and_nothing_is_shown_before_something_is_learned() -> None:
    registry, collector = CollectorRegistry(), CalibrationCollector()
    registry.register(collector)
    assert registry.get_sample_value("mfu_calibration_ratio", LABELS) is None
    correction = Correction(log_ratio=log(0.9), half_width=0.1, workloads=3)
    collector.corrections = Corrections(by_where={WHERE: correction}, anchors=(), decays={WHERE: log(0.94)})
    assert registry.get_sample_value("mfu_calibration_ratio", LABELS) == pytest.approx(0.9)
    assert registry.get_sample_value("mfu_calibration_decay_ratio", LABELS) == pytest.approx(-0.06)
