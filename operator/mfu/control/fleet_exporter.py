"""The metrics of the roll-up: the fleet, and its lines by tenant, accelerator class, model family and node.

However many workloads there are, these are a bounded number of series: each level has at most `limit` lines (the last one `others`), each
line at most one series a figure. A figure that is not known is absent, never 0.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mfu.judge.fleet import Fleet, Group
from mfu.judge.fragmentation import Fragmentation
from mfu.judge.systemic_finding import Finding
from mfu.missing import Missing

__all__ = ["FleetCollector"]

MICROS = 1_000_000
_GROUP_FAMILIES = {
    "accelerators": "Accelerators that the line holds",
    "productive_accelerators": "Accelerators' worth of expected work that the line is observed to do",
    "observed_ratio": "Observed model FLOP utilisation, weighted by peak FLOP/s",
    "expected_ratio": "Expected model FLOP utilisation, weighted by peak FLOP/s",
    "hardware_ratio": "What hardware counters say, weighted by devices",
    "utilisation_ratio": "Share of the time in which allocated devices are busy",
    "cost_dollars_per_hour": "What the declared accelerators of the line cost",
    "gap_dollars_per_hour": "What the difference between expected and observed costs",
}
_FLEET_FAMILIES = {
    "observed_ratio": "Observed utilisation of the fleet",
    "expected_ratio": "Expected utilisation of the fleet",
    "hardware_ratio": "What hardware counters say of the fleet",
    "utilisation_ratio": "Share of the time in which the fleet's allocated devices are busy",
    "cost_dollars_per_hour": "What the fleet's declared accelerators cost",
    "gap_dollars_per_hour": "What the fleet's gap costs",
}


class FleetCollector(Collector):
    def __init__(self) -> None:
        self.fleet: Fleet | None = None
        self.by_class: Mapping[str, Mapping[str, int]] = {}
        self.fragmentation: Fragmentation | None = None
        self.findings: Sequence[Finding] = ()

    def collect(self) -> Iterable[Metric]:
        yield from self._rolled_up()
        yield from self._structure()

    def _structure(self) -> Iterable[Metric]:
        slices = GaugeMetricFamily("mfu_fleet_stranded_compute_slices", "Compute slices that nobody can use", labels=["class"])
        lost = GaugeMetricFamily("mfu_fleet_stranded_dollars_per_hour", "What stranded compute slices cost")
        found = GaugeMetricFamily("mfu_fleet_finding_workloads", "Workloads that a systemic finding is about", labels=["kind"])
        price = GaugeMetricFamily("mfu_fleet_finding_dollars_per_hour", "What a kind of systemic finding costs", labels=["kind"])
        if self.fragmentation is not None:
            stranded: Counter[str] = Counter()
            for device in self.fragmentation.stranded:
                stranded[device.accelerator_class] += device.compute_slices
            for name, count in sorted(stranded.items()):
                slices.add_metric([name], float(count))
            if not isinstance(self.fragmentation.stranded_micros_per_hour, Missing):
                lost.add_metric([], self.fragmentation.stranded_micros_per_hour / MICROS)
        counts: Counter[str] = Counter()
        amounts: Counter[str] = Counter()
        for finding in self.findings:
            counts[finding.kind.value] += finding.count
            if not isinstance(finding.micros_per_hour, Missing):
                amounts[finding.kind.value] += finding.micros_per_hour
        for kind in sorted(counts):
            found.add_metric([kind], float(counts[kind]))
        for kind in sorted(amounts):
            price.add_metric([kind], amounts[kind] / MICROS)
        return [slices, lost, found, price]

    def _rolled_up(self) -> Iterable[Metric]:
        accelerators = GaugeMetricFamily("mfu_fleet_accelerators", "Accelerators by class and state", labels=["class", "state"])
        for name, states in sorted(self.by_class.items()):
            for state, count in states.items():
                accelerators.add_metric([name, state], float(count))
        fleet = self.fleet
        productive = GaugeMetricFamily("mfu_fleet_productive_accelerators", "Accelerators' worth of expected work that is done")
        unknown = GaugeMetricFamily("mfu_fleet_unknown_accelerators", "Declared accelerators without an observed MFU", labels=["reason"])
        causes = GaugeMetricFamily("mfu_fleet_gap_by_cause_dollars_per_hour", "The fleet's gap, split by cause", labels=["cause"])
        groups = {name: GaugeMetricFamily(f"mfu_group_{name}", text, labels=["level", "name"]) for name, text in _GROUP_FAMILIES.items()}
        whole = {name: GaugeMetricFamily(f"mfu_fleet_{name}", text) for name, text in _FLEET_FAMILIES.items()}
        if fleet is not None:
            productive.add_metric([], fleet.accelerators.productive)
            for item in fleet.whole.unknown:
                unknown.add_metric([item.reason.value], float(item.accelerators))
            for amount in fleet.whole.money.by_cause:
                causes.add_metric([amount.cause.value], amount.micros / MICROS)
            _add(whole, [], _figures(fleet.whole))
            for level, lines in (
                ("tenant", fleet.by_tenant),
                ("class", fleet.by_class),
                ("model", fleet.by_model),
                ("node", fleet.by_node),
            ):
                for line in lines:
                    held = line.accelerators
                    _add(groups, [level, line.name], {"accelerators": float(held.allocated), **_figures(line)})
                    groups["productive_accelerators"].add_metric([level, line.name], held.productive)
        return [accelerators, productive, unknown, causes, *whole.values(), *groups.values()]


def _figures(line: Group) -> dict[str, float | Missing]:
    return {
        "observed_ratio": line.observed_ratio,
        "expected_ratio": line.expected_ratio,
        "hardware_ratio": line.hardware_ratio,
        "utilisation_ratio": line.utilisation_ratio,
        "cost_dollars_per_hour": line.cost_dollars_per_hour,
        "gap_dollars_per_hour": line.gap_dollars_per_hour,
    }


def _add(families: Mapping[str, GaugeMetricFamily], labels: list[str], figures: Mapping[str, float | Missing]) -> None:
    for name, value in figures.items():
        if not isinstance(value, Missing):
            families[name].add_metric(labels, value)
