"""What a TrainJob's script pushed into its status."""

from __future__ import annotations

from typing import Any

import pytest

from mfu.missing import Missing, Reason
from mfu.observe.telemetry import PodKey, Snapshot
from mfu.observe.trainjob import TrainerReading, read_trainer_status, telemetry_between, with_trainer_status
from tests.observe.cases import NOW, trains

AT = "2026-06-12T03:00:00Z"
AT_SECONDS = 1781233200.0


def status(at: object = AT, **metrics: object) -> dict[str, Any]:
    listed = [{"name": name, "value": value} for name, value in metrics.items()]
    return {"trainerStatus": {"progressPercentage": 45, "metrics": listed, "lastUpdatedTime": at}}


def test_names_of_the_usual_scripts_are_known() -> None:
    found = read_trainer_status(status(loss="0.2347", num_input_tokens_seen="8388608", global_step="12"))
    assert found == TrainerReading(at_seconds=AT_SECONDS, tokens=8388608.0, steps=12.0)


def test_a_rate_is_taken_as_it_is() -> None:
    found = read_trainer_status(status(tokens_per_second="51200.5"))
    assert isinstance(found, TrainerReading)
    telemetry = telemetry_between(None, found)
    assert telemetry is not None
    assert (telemetry.tokens_per_second, telemetry.counts_whole_job, telemetry.sampled_at_seconds) == (51200.5, True, AT_SECONDS)


def test_a_total_needs_two_readings() -> None:
    first, second = TrainerReading(at_seconds=100.0, tokens=1000.0, steps=1.0), TrainerReading(at_seconds=110.0, tokens=6000.0, steps=3.0)
    assert telemetry_between(None, first) is None
    found = telemetry_between(first, second)
    assert found is not None and (found.tokens_per_second, found.steps_per_second) == (500.0, 0.2)


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(TrainerReading(at_seconds=110.0, tokens=10.0), id="the total went back"),
        pytest.param(TrainerReading(at_seconds=100.0, tokens=9000.0), id="nothing was pushed since"),
    ],
)
def test_no_rate_is_made_up(later: TrainerReading) -> None:
    assert telemetry_between(TrainerReading(at_seconds=100.0, tokens=1000.0), later) is None


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param({}, Reason.TELEMETRY_MISSING, id="no status"),
        pytest.param({"trainerStatus": None}, Reason.TELEMETRY_MISSING, id="null"),
        pytest.param(status(loss="0.1", epoch="0.3"), Reason.TELEMETRY_UNSUPPORTED, id="no tokens"),
        pytest.param(status(at="yesterday", tokens_per_second="5"), Reason.TELEMETRY_UNSUPPORTED, id="no time"),
        pytest.param(status(tokens_per_second="NaN"), Reason.TELEMETRY_UNSUPPORTED, id="not a number"),
        pytest.param(status(tokens_per_second="-1"), Reason.TELEMETRY_UNSUPPORTED, id="negative"),
        pytest.param(status(tokens_per_second=True), Reason.TELEMETRY_UNSUPPORTED, id="a truth value"),
        pytest.param({"trainerStatus": {"metrics": "tokens", "lastUpdatedTime": AT}}, Reason.TELEMETRY_UNSUPPORTED, id="not a list"),
        pytest.param({"trainerStatus": {"metrics": [None, {"name": 3}]}}, Reason.TELEMETRY_UNSUPPORTED, id="not metrics"),
    ],
)
def test_what_cannot_be_used_says_what_to_do(given: dict[str, Any], reason: Reason) -> None:
    found = read_trainer_status(given)
    assert isinstance(found, Missing) and found.reason is reason
    assert "rank 0" in found.message


def test_the_reporters_own_counters_stand_above_a_pushed_status() -> None:
    scraped, pushed = PodKey(namespace="team", pod="job-0"), PodKey(namespace="team", pod="job-1")
    snapshot = Snapshot(at_seconds=NOW, training={scraped: trains(100.0)})
    found = with_trainer_status(snapshot, {scraped: trains(1.0), pushed: trains(2.0)})
    assert {pod.pod: each.tokens_per_second for pod, each in found.training.items()} == {"job-0": 100.0, "job-1": 2.0}
