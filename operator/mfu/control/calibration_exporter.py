"""What the fleet has taught, as metrics: the correction of each kind of workload, and how far the latest are below its anchor."""

from collections.abc import Iterable
from math import exp

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mfu.judge.calibration import Corrections, Where

__all__ = ["CalibrationCollector"]

_LABELS = ["class", "software", "family"]


class CalibrationCollector(Collector):
    """Rendered at scrape time. An empty family: all families of that software on that class."""

    def __init__(self) -> None:
        self.corrections: Corrections | None = None

    def collect(self) -> Iterable[Metric]:
        ratio = GaugeMetricFamily("mfu_calibration_ratio", "Observed over expected that stable workloads have taught", labels=_LABELS)
        decay = GaugeMetricFamily(
            "mfu_calibration_decay_ratio", "How far workloads learned of in the last four weeks are below the earlier ones", labels=_LABELS
        )
        if self.corrections is not None:
            for where, correction in sorted(self.corrections.by_where.items()):
                ratio.add_metric(_values(where), exp(correction.log_ratio))
            for where, fallen in sorted(self.corrections.decays.items()):
                decay.add_metric(_values(where), exp(fallen) - 1.0)
        return [ratio, decay]


def _values(where: Where) -> list[str]:
    return [where.accelerator, where.software, where.family]
