"""The metrics that the operator exports of workloads and of itself."""

from dataclasses import replace

from prometheus_client import generate_latest

from mfu.api.resolve import resolve
from mfu.control.exporter import ControllerMetrics, WorkloadFigures
from mfu.control.resources import Key, Kind
from mfu.estimate.estimator import estimate
from mfu.judge.assess import Inputs, assess
from mfu.judge.assessment import Assessment, Drift
from mfu.missing import Missing, Reason
from tests.control.conftest import workload
from tests.control.fleets import filled

KEY = Key(kind=Kind.WORKLOAD, namespace="team", name="train")


def assessed() -> Assessment:
    found = resolve(workload("train", "team"))
    return assess(Inputs(workload=found, estimate=estimate(found), now=0.0, search=False))


def figures(assessment: Assessment) -> WorkloadFigures:
    return WorkloadFigures(
        assessment=assessment, kind="training", model="llama-3.1-8b", accelerator="h100-sxm-80gb", accelerators=16, held=True
    )


def exposition(metrics: ControllerMetrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_a_figure_that_is_not_known_is_absent_and_the_reason_is_given() -> None:
    metrics = ControllerMetrics()
    metrics.show_workload(KEY, figures(assessed()))
    text = exposition(metrics)
    assert 'mfu_workload_expected_ratio{namespace="team",workload="train"} 0.' in text
    assert "mfu_workload_observed_ratio{" not in text
    assert "mfu_workload_drifting{" not in text
    assert 'mfu_workload_missing{namespace="team",reason="NotRunning",workload="train"} 1.0' in text
    assert 'mfu_workload_held{namespace="team",workload="train"} 1.0' in text
    assert 'verdict="Admitted"' in text


def test_drift_is_exported_as_soon_as_it_is_known() -> None:
    metrics = ControllerMetrics()
    drift = Drift(ratio=-0.25, drifting=True, since_seconds=1.0, baseline="Expected")
    metrics.show_workload(KEY, figures(replace(assessed(), drift=drift)))
    text = exposition(metrics)
    assert 'mfu_workload_drift_ratio{namespace="team",workload="train"} -0.25' in text
    assert 'mfu_workload_drifting{namespace="team",workload="train"} 1.0' in text


def test_an_unknown_expectation_exports_no_ratio() -> None:
    metrics = ControllerMetrics()
    missing = Missing(reason=Reason.UNKNOWN_ACCELERATOR, message="x")
    metrics.show_workload(KEY, figures(assess(Inputs(workload=missing, estimate=missing, now=0.0))))
    text = exposition(metrics)
    assert "mfu_workload_expected_ratio{" not in text
    assert 'bound=""' in text


def test_a_forgotten_workload_leaves_nothing() -> None:
    metrics = ControllerMetrics()
    metrics.show_workload(KEY, figures(assessed()))
    metrics.forget_workload(KEY)
    assert "mfu_workload_expected_ratio{" not in exposition(metrics)
    metrics.show_workload(KEY, figures(assessed()))
    metrics.forget_all()
    assert 'workload="train"' not in exposition(metrics)


def series(metrics: ControllerMetrics) -> list[str]:
    return [line for line in exposition(metrics).splitlines() if not line.startswith("#")]


def test_the_number_of_series_is_bounded_whatever_the_fleet() -> None:
    """docs/dashboards.md, Cardinality: 20 series a workload at most, and the rest does not grow with the fleet."""
    small, large = (series(filled(count)) for count in (500, 5000))
    of_workloads, others = (
        [[line for line in lines if line.startswith("mfu_workload_") is wanted] for lines in (small, large)] for wanted in (True, False)
    )
    assert len(of_workloads[1]) <= 20 * 5000
    assert len(others[1]) == len(others[0]) <= 450
    assert len(large) == len(set(large))


def test_the_lines_of_every_level_add_up_to_the_fleet() -> None:
    lines = dict(line.rsplit(" ", 1) for line in series(filled(600)))
    gap = float(lines["mfu_fleet_gap_dollars_per_hour"])
    assert gap > 0
    for level in ("tenant", "class", "model", "node"):
        of_level = [float(value) for name, value in lines.items() if name.startswith(f'mfu_group_gap_dollars_per_hour{{level="{level}"')]
        assert 2 <= len(of_level) <= 10
        assert abs(sum(of_level) - gap) < 1e-6
    assert abs(sum(float(value) for name, value in lines.items() if name.startswith("mfu_fleet_gap_by_cause")) - gap) < 1e-6


def test_what_ratios_are_weighed_by_is_exported_only_of_what_runs() -> None:
    metrics = ControllerMetrics()
    metrics.show_workload(KEY, figures(assessed()))
    assert "mfu_workload_peak_flops_per_second{" not in exposition(metrics)
    peaks = [line for line in series(filled(3)) if line.startswith("mfu_workload_peak_flops_per_second{")]
    assert [float(line.rsplit(" ", 1)[1]) for line in peaks] == [8 * 989.4e12] * 3
