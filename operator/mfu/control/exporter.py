"""The operator's own Prometheus metrics.

Figures of workloads are rendered at scrape time from the last assessments, so that a workload that is gone takes its series along, and a
figure that is not known is absent instead of 0.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mfu.control.calibration_exporter import CalibrationCollector
from mfu.control.fleet_exporter import FleetCollector
from mfu.control.resources import Key
from mfu.judge.assessment import Assessment
from mfu.judge.calibration import Corrections
from mfu.judge.fleet import Fleet
from mfu.judge.fragmentation import Fragmentation
from mfu.judge.history import own_drift
from mfu.judge.systemic_finding import Finding
from mfu.missing import Missing, Reason

__all__ = ["ControllerMetrics", "WebhookMetrics", "WorkloadFigures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadFigures:
    """What is exported of one workload. `kind`: the work's kind for label `mode`; `held`: its pods wait at the gate now."""

    assessment: Assessment
    kind: str
    model: str
    accelerator: str
    accelerators: int
    held: bool


_WORKLOAD_FAMILIES = {
    "expected_ratio": "Expected model FLOP utilisation, 0 to 1 of the dense peak at the compute precision",
    "expected_low_ratio": "Lower end of the 80 % interval of the expected utilisation",
    "expected_high_ratio": "Upper end of the 80 % interval of the expected utilisation",
    "observed_ratio": "Observed model FLOP utilisation from application tokens",
    "hardware_ratio": "Tensor activity times clock: the utilisation that hardware counters show",
    "drift_ratio": "Observed over expected minus 1",
    "drifting": "1 when the deviation has lasted as long as the policy says",
    "own_level_ratio": "Its own best stable level, at the declared load",
    "own_drift_ratio": "Observed over the own level at the same load, minus 1",
    "calibrated_ratio": "Expected utilisation with what stable workloads of this cluster have taught",
    "changed_timestamp_seconds": "When its image, driver, nodes or declared intent last changed",
    "held": "1 while pods or Jobs of the workload wait at the gate",
    "accelerators": "Accelerators that the workload's pods hold, or that it declares before they run",
    "gap_dollars_per_hour": "What the difference between expected and observed costs",
    "cost_dollars_per_hour": "What the workload's accelerators cost",
    "peak_flops_per_second": "Dense peak of the accelerators that its pods hold, at the compute precision: what ratios are weighed by",
}


def _known(value: float | Missing | None) -> Iterator[float]:
    if value is not None and not isinstance(value, Missing):
        yield float(value)


def _samples(figures: WorkloadFigures) -> Iterator[tuple[str, float]]:
    assessment = figures.assessment
    if not isinstance(assessment.estimate, Missing):
        yield "expected_ratio", assessment.estimate.mfu_ratio
        yield "expected_low_ratio", assessment.estimate.interval.low_ratio
        yield "expected_high_ratio", assessment.estimate.interval.high_ratio
    if not isinstance(assessment.observation, Missing):
        yield from (("observed_ratio", value) for value in _known(assessment.observation.mfu_ratio))
        yield from (("hardware_ratio", value) for value in _known(assessment.observation.hardware_ratio))
    if not isinstance(assessment.drift, Missing):
        yield "drift_ratio", assessment.drift.ratio
        yield "drifting", float(assessment.drift.drifting)
    yield from _past(assessment)
    yield "held", float(figures.held)
    yield "accelerators", float(figures.accelerators)
    yield from (("gap_dollars_per_hour", value) for value in _known(assessment.cost.gap_per_hour))
    yield from (("cost_dollars_per_hour", value) for value in _known(assessment.cost.per_hour))
    if not isinstance(assessment.workload, Missing) and _runs(assessment):
        peak = assessment.workload.fabric.accelerator.peak(assessment.workload.precisions.compute)
        yield from (("peak_flops_per_second", value * figures.accelerators) for value in _known(peak))


def _past(assessment: Assessment) -> Iterator[tuple[str, float]]:
    record, own = assessment.record, own_drift(assessment.record)
    if record.levels.top is not None and record.level_expected_ratio is not None:
        yield "own_level_ratio", record.level_expected_ratio * exp(record.levels.top)
    if own is not None:
        yield "own_drift_ratio", own.ratio
    if assessment.calibrated is not None:
        yield "calibrated_ratio", assessment.calibrated.mfu_ratio
    if record.epoch is not None and record.epoch.change:
        yield "changed_timestamp_seconds", record.epoch.first_seconds


def _runs(assessment: Assessment) -> bool:
    return not (isinstance(assessment.observation, Missing) and assessment.observation.reason is Reason.NOT_RUNNING)


def _unobserved_reason(assessment: Assessment) -> str | None:
    observation = assessment.observation
    if isinstance(observation, Missing):
        return observation.reason.value
    return observation.mfu_ratio.reason.value if isinstance(observation.mfu_ratio, Missing) else None


class _Workloads(Collector):
    def __init__(self) -> None:
        self.figures: dict[Key, WorkloadFigures] = {}

    def collect(self) -> Iterable[Metric]:
        labels = ["namespace", "workload"]
        families = {name: GaugeMetricFamily(f"mfu_workload_{name}", text, labels=labels) for name, text in _WORKLOAD_FAMILIES.items()}
        info = GaugeMetricFamily("mfu_workload_info", "Always 1", labels=[*labels, "mode", "model", "accelerator", "bound", "verdict"])
        missing = GaugeMetricFamily("mfu_workload_missing", "1 when nothing is observed, and why", labels=[*labels, "reason"])
        for key, figures in sorted(self.figures.items()):
            ours = [key.namespace, key.name]
            for name, value in _samples(figures):
                families[name].add_metric(ours, value)
            estimate = figures.assessment.estimate
            bound = "" if isinstance(estimate, Missing) else estimate.bound.value
            verdict = figures.assessment.verdict.decision.value
            info.add_metric([*ours, figures.kind, figures.model, figures.accelerator, bound, verdict], 1.0)
            reason = _unobserved_reason(figures.assessment)
            if reason is not None:
                missing.add_metric([*ours, reason], 1.0)
        return [*families.values(), info, missing]


class ControllerMetrics:
    """One registry for one controller process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._workloads = _Workloads()
        self._fleet = FleetCollector()
        self._calibration = CalibrationCollector()
        self.registry.register(self._workloads)
        self.registry.register(self._fleet)
        self.registry.register(self._calibration)
        self.leader = Gauge("mfu_operator_leader", "1 while this process holds the lease", registry=self.registry)
        self.prometheus_up = Gauge("mfu_operator_prometheus_up", "1 when the last tick was answered in full", registry=self.registry)
        self.last_tick = Gauge("mfu_operator_last_tick_timestamp_seconds", "When the last tick ended", registry=self.registry)
        self.last_success = Gauge(
            "mfu_operator_last_prometheus_success_timestamp_seconds", "When Prometheus last answered in full", registry=self.registry
        )
        self.tick_duration = Histogram("mfu_operator_tick_duration_seconds", "Duration of a tick", registry=self.registry)
        self.queries = Counter("mfu_operator_queries", "PromQL queries asked", registry=self.registry)
        self.patches = Counter("mfu_operator_patches", "Writes to the API", ["kind", "result"], registry=self.registry)
        self.queue_length = Gauge("mfu_operator_queue_length", "Keys that wait for a writer", registry=self.registry)
        self.releases = Counter("mfu_operator_gate_releases", "Jobs and pods let through the gate", ["reason"], registry=self.registry)

    def show_workload(self, key: Key, figures: WorkloadFigures) -> None:
        self._workloads.figures[key] = figures

    def forget_workload(self, key: Key) -> None:
        self._workloads.figures.pop(key, None)

    def show_corrections(self, corrections: Corrections | None) -> None:
        self._calibration.corrections = corrections

    def forget_all(self) -> None:
        """A follower exports no workload: two processes with the same series would count twice."""
        self._workloads.figures.clear()
        self.show_fleet(None, {})
        self.show_corrections(None)

    def show_fleet(
        self,
        fleet: Fleet | None,
        by_class: Mapping[str, Mapping[str, int]],
        *,
        fragmentation: Fragmentation | None = None,
        findings: Sequence[Finding] = (),
    ) -> None:
        """`by_class`: accelerators of each class in the states total, allocated and declared."""
        self._fleet.fleet = fleet
        self._fleet.by_class = by_class
        self._fleet.fragmentation = fragmentation
        self._fleet.findings = findings


class WebhookMetrics:
    """One registry for one webhook process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reviews = Counter("mfu_webhook_reviews", "Admission reviews", ["kind", "decision"], registry=self.registry)
        self.duration = Histogram(
            "mfu_webhook_review_duration_seconds",
            "Time to answer an admission review",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
            registry=self.registry,
        )
