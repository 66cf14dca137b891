"""Progress that a Kubeflow TrainJob's script pushed into `status.trainerStatus` (trainer v2.2, feature gate TrainJobStatus).

    trainerStatus:
      progressPercentage: 45
      metrics: [{name: num_input_tokens_seen, value: "8388608"}, {name: loss, value: "0.2347"}]
      lastUpdatedTime: "2026-06-12T03:00:00Z"

Metrics are free names with text values. A rate of the whole job is taken as it is; a total needs two readings.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mfu.missing import Missing, Reason
from mfu.observe.telemetry import PodKey, Snapshot, TrainingTelemetry

__all__ = ["TrainerReading", "read_trainer_status", "telemetry_between", "with_trainer_status"]

# In order of preference; what the Hugging Face Trainer, Composer, torchtitan-like loops and our own reporter call them.
_RATES = ("tokens_per_second", "train_tokens_per_second", "throughput/tokens_per_sec", "tokens_per_sec")
_TOTALS = ("mfu_training_tokens_total", "num_input_tokens_seen", "tokens_seen", "consumed_tokens", "total_tokens", "time/token")
_STEPS = ("mfu_training_steps_total", "global_step", "step")
_MOST_METRICS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerReading:
    """One look at a TrainJob's trainerStatus; None: the script does not push that figure."""

    at_seconds: float  # Unix time of the push
    tokens_per_second: float | None = None
    tokens: float | None = None
    steps: float | None = None


def read_trainer_status(status: Mapping[str, Any]) -> TrainerReading | Missing:
    """What `status` (of a TrainJob as the API server returns it) says; anything malformed in it counts as not pushed."""
    trainer = status.get("trainerStatus")
    if not isinstance(trainer, Mapping):
        return Missing(
            reason=Reason.TELEMETRY_MISSING,
            message="the TrainJob has no status.trainerStatus; switch the feature gate TrainJobStatus on, or run the reporter in rank 0",
        )
    at = _time(trainer.get("lastUpdatedTime"))
    listed = trainer.get("metrics")
    given: dict[str, float] = {}
    for each in listed[:_MOST_METRICS] if isinstance(listed, list) else ():
        value = _number(each.get("value")) if isinstance(each, Mapping) else None
        if value is not None and isinstance(each.get("name"), str):
            given.setdefault(each["name"], value)
    rate, tokens = _first(given, _RATES), _first(given, _TOTALS)
    if at is None or (rate is None and tokens is None):
        return Missing(
            reason=Reason.TELEMETRY_UNSUPPORTED,
            message="status.trainerStatus of the TrainJob holds no tokens; push tokens_per_second or num_input_tokens_seen, "
            "or run the reporter in rank 0",
        )
    return TrainerReading(at_seconds=at, tokens_per_second=rate, tokens=tokens, steps=_first(given, _STEPS))


def telemetry_between(previous: TrainerReading | None, current: TrainerReading) -> TrainingTelemetry | None:
    """Rates from two readings of one TrainJob, the earlier one to be kept by the caller until the next push.

    None while only one total is known, and when a total went back (the job resumed from a checkpoint).
    """
    tokens, steps = current.tokens_per_second, None
    if previous is not None and current.at_seconds > previous.at_seconds:
        elapsed = current.at_seconds - previous.at_seconds
        if tokens is None and current.tokens is not None and previous.tokens is not None and current.tokens >= previous.tokens:
            tokens = (current.tokens - previous.tokens) / elapsed
        if current.steps is not None and previous.steps is not None and current.steps >= previous.steps:
            steps = (current.steps - previous.steps) / elapsed
    if tokens is None:
        return None
    return TrainingTelemetry(
        tokens_per_second=tokens, steps_per_second=steps, counts_whole_job=True, sampled_at_seconds=current.at_seconds, covers_window=True
    )


def with_trainer_status(snapshot: Snapshot, found: Mapping[PodKey, TrainingTelemetry]) -> Snapshot:
    """The snapshot with `found` (for one pod of each TrainJob) where Prometheus has no counters of that pod."""
    return replace(snapshot, training={**found, **snapshot.training})


def _first(given: Mapping[str, float], names: tuple[str, ...]) -> float | None:
    return next((given[name] for name in names if name in given), None)


def _number(value: object) -> float | None:
    """Scripts push text; NaN, infinities and negative figures say nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0.0 else None


def _time(value: object) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except ValueError:
        return None
