"""From a snapshot to an observation: FLOPs counted by hand, reasons for silence, and contradictions between sources."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.hardware.precision import Precision
from mfu.missing import Missing, Reason
from mfu.observe.observation import Observation
from mfu.observe.telemetry import DeviceTelemetry, PodKey, ServingTelemetry, Snapshot, Source, TelemetryChoice, TrainingCounters
from mfu.observe.workload import observe
from tests.observe.cases import NOW, PEAK, inference, pod, serves, snapshot, training, trains, workload

# The model of the tests by hand: 8 layers of attention (16 query and 4 key-value heads of 64) and a gated MLP of 4096, hidden 1024,
# vocabulary 32000.
LAYER = 1024 * 1024 + 2 * 1024 * 256 + 1024 * 1024 + 3 * 1024 * 4096
LINEAR = 2 * 8 * LAYER
HEAD = 2 * 1024 * 32000
PAIR = 2 * 8 * 16 * (64 + 64)


def trained(sequence: int) -> float:
    """Forward and backward FLOPs of one token."""
    return 3 * (LINEAR + HEAD + PAIR * (sequence + 1) / 2)


def prefilled(prompt: int, cached: int) -> float:
    """FLOPs of one computed prompt token; the head runs once a request."""
    new = prompt - cached
    pairs = prompt * (prompt + 1) / 2 - cached * (cached + 1) / 2
    return LINEAR + (HEAD + PAIR * pairs) / new


def decoded(prompt: int, generation: int) -> float:
    """FLOPs of one generated token, the first of each request having come from the prefill."""
    return (LINEAR + HEAD + PAIR * (prompt + generation / 2 + 1)) * (generation - 1) / generation


def device(
    *, tensor: float, clock: float = 2e9, holder: PodKey | None = None, node: str = "n", uuid: str = "G", sharers: tuple[PodKey, ...] = ()
) -> DeviceTelemetry:
    return DeviceTelemetry(uuid=uuid, node=node, pod=holder or pod(), tensor_active_ratio=tensor, clock_hertz=clock, sharers=sharers)


def seen(found: Observation | Missing) -> Observation:
    assert isinstance(found, Observation), found
    return found


def mfu(found: Observation | Missing) -> float:
    ratio = seen(found).mfu_ratio
    assert isinstance(ratio, float), ratio
    return ratio


def missing(found: object) -> Missing:
    assert isinstance(found, Missing), found
    return found


def test_training_tokens_become_model_flops_at_the_declared_sequence_length() -> None:
    read = snapshot(trained={pod(0): trains(2e5), pod(1): trains(3e5)})
    found = observe(workload(training()), [pod(0), pod(1)], read, accelerators=8)
    assert mfu(found) == pytest.approx(5e5 * trained(4096) / (8 * PEAK))
    assert seen(found).source is Source.TRAINING
    assert seen(found).tokens_per_second == 5e5
    assert seen(found).at_seconds == NOW - 5.0


def test_pods_that_each_count_the_whole_job_are_not_added() -> None:
    read = snapshot(trained={pod(0): trains(5e5, whole_job=True), pod(1): trains(4.9e5, whole_job=True)})
    assert seen(observe(workload(training()), [pod(0), pod(1)], read)).tokens_per_second == 5e5


def test_padding_is_taken_off_as_declared() -> None:
    read = snapshot(trained={pod(): trains(5e5)})
    whole = mfu(observe(workload(training()), [pod()], read))
    assert mfu(observe(workload(training(token_efficiency=0.7)), [pod()], read)) == pytest.approx(0.7 * whole)


def test_the_peak_is_that_of_the_declared_precision() -> None:
    read = snapshot(trained={pod(): trains(5e5)})
    assert mfu(observe(workload(training(), compute=Precision.FP8), [pod()], read)) == pytest.approx(
        mfu(observe(workload(training()), [pod()], read)) / 2
    )


def test_tokens_of_pods_of_other_workloads_do_not_count() -> None:
    read = snapshot(trained={pod(0): trains(5e5), PodKey(namespace="other", pod="job-0"): trains(9e9)})
    assert seen(observe(workload(training()), [pod(0)], read)).tokens_per_second == 5e5


def test_inference_tokens_are_counted_at_the_observed_lengths() -> None:
    telemetry = replace(
        serves(3000.0, 400.0),
        mean_prompt_tokens=600.0,
        mean_generation_tokens=80.0,
        requests_per_second=5.0,
        cached_prompt_tokens_per_second=0.0,
    )
    found = observe(workload(inference(), count=1), [pod()], snapshot(served={pod(): telemetry}), accelerators=1)
    assert mfu(found) == pytest.approx((3000.0 * prefilled(600, 0) + 400.0 * decoded(600, 80)) / PEAK, rel=1e-3)
    assert seen(found).tokens_per_second == 400.0


def test_without_observed_lengths_the_declared_ones_are_taken() -> None:
    found = observe(workload(inference(), count=1), [pod()], snapshot(served={pod(): serves(1000.0, 200.0)}), accelerators=1)
    assert mfu(found) == pytest.approx((1000.0 * prefilled(1000, 0) + 200.0 * decoded(1000, 200)) / PEAK, rel=1e-3)


def test_tokens_from_the_prefix_cache_are_no_work_but_are_attended_to() -> None:
    telemetry = replace(serves(500.0, 0.0), cached_prompt_tokens_per_second=500.0)
    found = observe(workload(inference(), count=1), [pod()], snapshot(served={pod(): telemetry}), accelerators=1)
    assert mfu(found) == pytest.approx(500.0 * prefilled(1000, 500) / PEAK, rel=1e-3)


def test_replicas_add_up_over_the_accelerators_they_hold() -> None:
    one = observe(workload(inference(), count=1), [pod(0)], snapshot(served={pod(0): serves(1000.0, 200.0)}))
    two = observe(
        workload(inference(), count=1),
        [pod(0), pod(1)],
        snapshot(served={pod(0): serves(1000.0, 200.0), pod(1): serves(1000.0, 200.0)}),
    )
    assert mfu(two) == pytest.approx(mfu(one))
    assert seen(two).accelerators == 2


@given(
    tokens=st.floats(1.0, 1e7),
    accelerators=st.integers(1, 4096),
    sequence=st.integers(1, 32768),
)
def test_mfu_is_proportional_to_tokens_and_inverse_to_accelerators(tokens: float, accelerators: int, sequence: int) -> None:
    job = workload(training(sequence_length=sequence))
    once = mfu(observe(job, [pod()], snapshot(trained={pod(): trains(tokens)}), accelerators=accelerators))
    twice = mfu(observe(job, [pod()], snapshot(trained={pod(): trains(2 * tokens)}), accelerators=2 * accelerators))
    assert once == pytest.approx(twice)
    assert once == pytest.approx(tokens * trained(sequence) / (accelerators * PEAK))


def test_a_replica_that_was_just_added_does_not_pull_the_others_down() -> None:
    job = workload(inference(), count=1)
    young = replace(serves(10.0, 2.0), covers_window=False)
    steady = mfu(observe(job, [pod(0)], snapshot(served={pod(0): serves(1000.0, 200.0)}), accelerators=1))
    grown = observe(job, [pod(0), pod(1)], snapshot(served={pod(0): serves(1000.0, 200.0), pod(1): young}), accelerators=2)
    assert mfu(grown) == pytest.approx(steady)
    assert seen(grown).accelerators == 2
    undeclared = observe(job, [pod(0), pod(1)], snapshot(served={pod(0): serves(1000.0, 200.0), pod(1): young}))
    assert mfu(undeclared) == pytest.approx(steady)


def test_no_running_pod_is_not_running() -> None:
    assert missing(observe(workload(training()), [], snapshot())).reason is Reason.NOT_RUNNING


def test_silence_has_its_reason() -> None:
    job = workload(training())
    down = Snapshot(at_seconds=NOW, problem=Missing(reason=Reason.PROMETHEUS_UNAVAILABLE, message="connection refused"))
    assert missing(observe(job, [pod()], down)) == down.problem
    assert missing(observe(job, [pod()], snapshot())).reason is Reason.TELEMETRY_MISSING
    assert missing(observe(job, [pod()], snapshot(), running_since_seconds=NOW - 30)).reason is Reason.WARMING_UP
    assert missing(observe(job, [pod()], snapshot(), running_since_seconds=NOW - 3000)).reason is Reason.TELEMETRY_MISSING
    old = snapshot(trained={pod(): trains(5e5, age_seconds=1000)})
    assert missing(observe(job, [pod()], old)).reason is Reason.TELEMETRY_STALE
    ended = snapshot(trained={pod(): replace(trains(5e5), sampled_at_seconds=None)})
    assert missing(observe(job, [pod()], ended)).reason is Reason.TELEMETRY_STALE
    fresh = snapshot(trained={pod(): replace(trains(5e5), covers_window=False)})
    assert missing(observe(job, [pod()], fresh)).reason is Reason.WARMING_UP


def test_pods_that_another_namespace_reports_are_told_how_to_be_believed() -> None:
    found = missing(observe(workload(training()), [pod()], replace(snapshot(), claimed=frozenset({pod()}))))
    assert found.reason is Reason.TELEMETRY_UNATTRIBUTED and "honorLabels" in found.message
    reported = replace(snapshot(trained={pod(): trains(5e5)}), claimed=frozenset({pod()}))
    assert mfu(observe(workload(training()), [pod()], reported)) > 0


def test_a_failed_query_of_another_source_does_not_hide_what_was_read() -> None:
    read = replace(snapshot(trained={pod(): trains(5e5)}), problem=Missing(reason=Reason.PROMETHEUS_UNAVAILABLE, message="1 of 9 failed"))
    assert mfu(observe(workload(training()), [pod()], read)) > 0


def test_a_declared_source_excludes_the_others() -> None:
    read = snapshot(served={pod(): serves(1000.0, 200.0, source=Source.VLLM)})
    job = workload(inference(), count=1)
    assert mfu(observe(job, [pod()], read, choice=TelemetryChoice(source=Source.VLLM))) > 0
    refused = missing(observe(job, [pod()], read, choice=TelemetryChoice(source=Source.SGLANG)))
    assert refused.reason is Reason.TELEMETRY_MISSING and "sglang" in refused.message


def test_a_declared_counter_is_taken_instead_of_the_reporters() -> None:
    counters = TrainingCounters(tokens_metric="team_tokens_total")
    read = replace(snapshot(trained={pod(): trains(1.0)}), declared={counters: {pod(): trains(5e5)}})
    assert seen(observe(workload(training()), [pod()], read, choice=TelemetryChoice(training=counters))).tokens_per_second == 5e5


def test_a_declared_counter_that_is_one_too_many_is_told_so() -> None:
    counters = TrainingCounters(tokens_metric="team_tokens_total")
    read = replace(snapshot(trained={pod(): trains(1.0)}), unread=frozenset({counters}))
    found = missing(observe(workload(training()), [pod()], read, choice=TelemetryChoice(training=counters)))
    assert found.reason is Reason.TELEMETRY_UNSUPPORTED and "team_tokens_total is not read" in found.message


def test_devices_alone_give_a_hardware_figure_and_no_mfu() -> None:
    read = replace(snapshot(), devices=(device(tensor=0.5, clock=1.5e9), device(tensor=0.3, clock=1.5e9, uuid="H")))
    found = seen(observe(workload(training()), [pod()], read))
    assert missing(found.mfu_ratio).reason is Reason.TELEMETRY_MISSING
    assert found.hardware_ratio == pytest.approx(0.4 * 0.75)
    assert found.accelerators == 2


def test_the_hardware_figure_scales_with_the_clock() -> None:
    def at(clock: float) -> float | Missing:
        read = replace(snapshot(trained={pod(): trains(1.0)}), devices=(device(tensor=0.5, clock=clock),))
        return seen(observe(workload(training()), [pod()], read)).hardware_ratio

    assert (at(2e9), at(1e9)) == pytest.approx((0.5, 0.25))


@pytest.mark.parametrize(
    ("devices", "reason"),
    [
        pytest.param((), Reason.TELEMETRY_UNATTRIBUTED, id="no device names the pods"),
        pytest.param((device(tensor=0.5, holder=PodKey(namespace="x", pod="y")),), Reason.TELEMETRY_UNATTRIBUTED, id="devices of others"),
        pytest.param((device(tensor=0.5, sharers=(pod(), pod(7))),), Reason.TELEMETRY_UNATTRIBUTED, id="shared with other pods"),
        pytest.param((DeviceTelemetry(uuid="G", node="n", pod=pod(), busy_ratio=0.9),), Reason.TELEMETRY_UNSUPPORTED, id="no profiling"),
    ],
)
def test_an_unknown_hardware_figure_says_why(devices: tuple[DeviceTelemetry, ...], reason: Reason) -> None:
    read = replace(snapshot(trained={pod(): trains(5e5)}), devices=devices)
    assert missing(seen(observe(workload(training()), [pod()], read)).hardware_ratio).reason is reason


def test_an_application_figure_above_the_hardwares_is_an_accounting_fault() -> None:
    tokens = 0.6 * 8 * PEAK / trained(4096)

    def faults(tensor: float, compute: Precision = Precision.BF16) -> tuple[str, ...]:
        read = replace(snapshot(trained={pod(): trains(tokens)}), devices=(device(tensor=tensor),))
        return seen(observe(workload(training(), compute=compute), [pod()], read, accelerators=8)).faults

    assert faults(0.66) == ()
    assert faults(0.55) == ()  # within the slack of sampled counters
    assert len(faults(0.3)) == 1 and "60.0%" in faults(0.3)[0] and "check the declared" in faults(0.3)[0]
    assert faults(0.3, Precision.FP32) == ()  # does not run on the tensor pipe


def test_an_engines_own_count_that_disagrees_is_a_fault() -> None:
    def faults(flops: float) -> tuple[str, ...]:
        telemetry: ServingTelemetry = replace(serves(1000.0, 200.0), engine_flops_per_second=flops)
        return seen(observe(workload(inference(), count=1), [pod()], snapshot(served={pod(): telemetry}), accelerators=1)).faults

    true = 1000.0 * prefilled(1000, 0) + 200.0 * decoded(1000, 200)
    assert faults(true) == ()
    assert len(faults(8 * true)) == 1


def test_a_node_with_lower_clocks_is_named_as_the_straggler() -> None:
    clocks = {"a": 1.8e9, "b": 1.79e9, "c": 1.2e9, "d": 1.8e9}
    devices = tuple(device(tensor=0.5, clock=clock, node=node, uuid=f"G{node}") for node, clock in clocks.items())
    found = seen(observe(workload(training()), [pod()], replace(snapshot(trained={pod(): trains(5e5)}), devices=devices)))
    assert found.evidence.slowest_node == "c"
    assert found.evidence.slowest_node_ratio == pytest.approx(1.2e9 / 1.795e9)
    even = tuple(replace(each, clock_hertz=1.8e9) for each in devices)
    found = seen(observe(workload(training()), [pod()], replace(snapshot(trained={pod(): trains(5e5)}), devices=even)))
    assert found.evidence.slowest_node is None


def test_figures_of_a_shared_device_are_no_evidence_about_one_of_its_pods() -> None:
    shared = device(tensor=0.9, sharers=(pod(), pod(7)))
    found = seen(observe(workload(training()), [pod()], replace(snapshot(trained={pod(): trains(5e5)}), devices=(shared,))))
    assert "shared by several pods" in missing(found.hardware_ratio).message
    assert found.evidence.tensor_active_ratio is None and found.faults == ()
