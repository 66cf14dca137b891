"""One look at the store: what fails costs only itself, and tenants cannot make it ask more."""

from __future__ import annotations

from mfu.missing import Reason
from mfu.observe.port import Sample
from mfu.observe.telemetry import PodKey, TrainingCounters
from mfu.observe.tick import MAX_DECLARED_COUNTERS, read_snapshot
from tests.observe.cases import NOW, FakeMetrics, sample

POD = PodKey(namespace="team", pod="job-0")
HOME = {"namespace": "team", "pod": "job-0"}


def answer(promql: str) -> list[Sample]:
    if promql == "time()":
        return [Sample(labels={}, value=NOW, at_seconds=NOW)]
    if "rate(vllm:generation_tokens_total" in promql:
        return [sample("generation", 5.0, **HOME)]
    if "rate(mfu_training_tokens_total" in promql:
        return [sample("tokens", 9.0, **HOME)]
    if "rate(team_tokens_total" in promql:
        return [sample("tokens 0", 11.0, **HOME)]
    if "PIPE_TENSOR" in promql:
        return [sample("held", 1.0, UUID="GPU-1", Hostname="n", **HOME), sample("tensorActive", 0.5, UUID="GPU-1", Hostname="n")]
    return []


def test_everything_is_read_in_one_look() -> None:
    declared = TrainingCounters(tokens_metric="team_tokens_total")
    read = read_snapshot(FakeMetrics(answer), now=NOW, training_counters=[declared])
    assert read.problem is None
    assert read.serving[POD].generation_tokens_per_second == 5.0
    assert read.training[POD].tokens_per_second == 9.0
    assert read.declared[declared][POD].tokens_per_second == 11.0
    assert read.devices[0].tensor_active_ratio == 0.5


def test_the_time_of_the_look_is_the_stores_own() -> None:
    assert read_snapshot(FakeMetrics(answer), now=NOW + 5000).at_seconds == NOW
    assert read_snapshot(FakeMetrics(), now=NOW + 5000).at_seconds == NOW + 5000


def test_one_failing_query_loses_only_its_own_figures() -> None:
    metrics = FakeMetrics(answer, broken=lambda promql: "vllm:" in promql)
    read = read_snapshot(metrics, now=NOW)
    assert read.problem is not None and read.problem.reason is Reason.PROMETHEUS_UNAVAILABLE
    assert "the rest was read" in read.problem.message and "503" in read.problem.message
    assert read.serving == {} and read.training[POD].tokens_per_second == 9.0 and read.devices


def test_a_dead_store_is_asked_once_and_not_further() -> None:
    metrics = FakeMetrics(broken=lambda promql: True)
    read = read_snapshot(metrics, now=NOW)
    assert metrics.asked == ["time()"] and read.queries == 1
    assert read.problem is not None and read.problem.reason is Reason.PROMETHEUS_UNAVAILABLE
    assert read.serving == {} and read.training == {} and read.devices == ()


def test_nothing_is_asked_past_the_deadline() -> None:
    times = iter([0.0, 1.0, 30.0, *[61.0] * 50])
    metrics = FakeMetrics(answer)
    read = read_snapshot(metrics, now=NOW, deadline_seconds=60.0, clock=lambda: next(times))
    assert len(metrics.asked) == read.queries == 2
    assert read.problem is not None and "time for one look ran out" in read.problem.message


def test_an_empty_store_is_no_problem() -> None:
    read = read_snapshot(FakeMetrics(lambda promql: answer(promql) if promql == "time()" else []), now=NOW)
    assert read.problem is None and read.serving == {} and read.devices == ()


def test_declared_counters_are_bounded_and_the_rest_is_named() -> None:
    many = [
        TrainingCounters(tokens_metric=f"team_{number:02d}_tokens_total_".ljust(128, "x"), steps_metric="x" * 128) for number in range(40)
    ]
    metrics = FakeMetrics(answer)
    read = read_snapshot(metrics, now=NOW, training_counters=many)
    assert read.queries <= 25
    assert len(read.declared) == MAX_DECLARED_COUNTERS
    assert read.unread == set(many) - set(read.declared)
    assert read.problem is None, "what tenants declare never looks like a broken Prometheus"


def test_a_name_that_is_declared_twice_is_asked_once() -> None:
    once, twice = FakeMetrics(answer), FakeMetrics(answer)
    counters = [TrainingCounters(tokens_metric="team_tokens_total")]
    read_snapshot(once, now=NOW, training_counters=counters)
    read_snapshot(twice, now=NOW, training_counters=counters * 3)
    assert once.asked == twice.asked


def test_declaring_the_reporters_own_name_asks_nothing_more() -> None:
    plain, declared = FakeMetrics(answer), FakeMetrics(answer)
    read_snapshot(plain, now=NOW)
    read_snapshot(declared, now=NOW, training_counters=[TrainingCounters(tokens_metric="mfu_training_tokens_total")])
    assert plain.asked == declared.asked
