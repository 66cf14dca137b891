"""`spec.telemetry` of a workload as what the observer is told to read."""

from collections.abc import Mapping
from typing import Any

from mfu.observe.telemetry import Source, TelemetryChoice, TrainingCounters

__all__ = ["telemetry_choice"]


def telemetry_choice(spec: Mapping[str, Any]) -> TelemetryChoice:
    """IntentError when a counter's name is no metric name; an unknown source counts as automatic."""
    telemetry = spec.get("telemetry") or {}
    named = telemetry.get("training") or {}
    source = telemetry.get("source")
    counters = None
    if named.get("tokensMetric"):
        counters = TrainingCounters(tokens_metric=named["tokensMetric"], steps_metric=named.get("stepsMetric") or "")
    return TelemetryChoice(source=Source(source) if source in set(Source) else None, training=counters)
