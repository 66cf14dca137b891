"""An exporter filled as the controller fills it: with assessments and a roll-up of them."""

from mfu.control.exporter import ControllerMetrics, WorkloadFigures
from mfu.control.resources import Key, Kind
from mfu.hardware.catalog import accelerator
from mfu.judge.assess import Inputs, assess
from mfu.judge.assessment import Assessment
from mfu.judge.fleet import Fleet, Member, NodeShare, Undeclared
from mfu.judge.fragmentation import MigDevice, fragmentation
from mfu.judge.prices import PriceList
from mfu.judge.rollup import roll_up
from mfu.judge.systemic_finding import Finding, FindingKind
from mfu.missing import Missing, Reason
from mfu.observe.observation import Evidence
from tests.judge.cases import NOW, estimate, fabric, observed, training

__all__ = ["filled", "rolled_up"]

CLASSES = ("h100-sxm-80gb", "a100-sxm-80gb", "b200-sxm-180gb")
QUOTE = PriceList().quote("h100-sxm-80gb", "team", default_price=3.0)


def _assessment(observation_ratio: float | Missing) -> Assessment:
    seen = observed(observation_ratio, hardware=0.31, accelerators=8, evidence=Evidence(busy_ratio=0.9))
    found = training(on=fabric(count=8))
    return assess(Inputs(workload=found, estimate=estimate(0.4), observation=seen, now=NOW, search=False))


def members(count: int) -> list[Member]:
    """Eight GPUs each: two of three run at half their expectation, and every third is not observed."""
    slow = _assessment(0.2)
    unseen = _assessment(Missing(reason=Reason.TELEMETRY_MISSING, message="no series"))
    return [
        Member(
            namespace=f"team-{number // 3 % 400}",
            name=f"job-{number}",
            assessment=unseen if number % 3 == 2 else slow,
            accelerators=8,
            accelerator_class=CLASSES[number % 3],
            family=f"family-{number % 60}",
            holdings=(NodeShare(node=f"node-{number}", accelerators=8),),
            quote=QUOTE,
        )
        for number in range(count)
    ]


def rolled_up(found: list[Member]) -> Fleet:
    bare = [Undeclared(namespace="stranger", accelerator_class=CLASSES[0], accelerators=4, hardware_ratio=0.1, busy_ratio=0.9)]
    return roll_up(found, capacity={name: 16 * len(found) for name in CLASSES}, undeclared=bare)


def filled(count: int) -> ControllerMetrics:
    """The metrics of `count` workloads and of the fleet that they are."""
    metrics, found = ControllerMetrics(), members(count)
    for member in found:
        metrics.show_workload(
            Key(kind=Kind.WORKLOAD, namespace=member.namespace, name=member.name),
            WorkloadFigures(
                assessment=member.assessment,
                kind="training",
                model="llama-3.1-8b",
                accelerator=member.accelerator_class,
                accelerators=8,
                held=False,
            ),
        )
    whole = accelerator("a100-sxm-80gb")
    cut = fragmentation([MigDevice(node="node-x", index=0, accelerator=whole, used={"1g.10gb": 2}, price_micros=1_790_000)], {})
    finding = Finding(
        kind=FindingKind.STRAGGLER_NODE,
        subject="node-1",
        evidence="slow",
        workloads=("team-1/job-1",),
        count=1,
        accelerators=8,
        micros_per_hour=1_000_000,
        remedy="drain it",
    )
    states = {name: {"total": 16 * count, "allocated": 8 * count, "declared": 8 * count} for name in CLASSES}
    metrics.show_fleet(rolled_up(found), states, fragmentation=cut, findings=[finding])
    return metrics
