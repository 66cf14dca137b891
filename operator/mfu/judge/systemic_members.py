"""Findings that the members' own diagnoses add up to: tenants that batch too little, layouts that do not suit the links, slow nodes."""

from collections.abc import Sequence
from statistics import fmean

from mfu.estimate.result import Bound, Estimate, ServingRates
from mfu.estimate.workload import Workload
from mfu.judge.assessment import Cause
from mfu.judge.fleet import Member
from mfu.judge.systemic_finding import Finding, FindingKind, caused_micros, finding
from mfu.judge.wording import percent
from mfu.missing import Missing
from mfu.observe.observation import Observation

__all__ = ["straggler_nodes", "topology_mismatches", "under_batched_tenants"]

_BATCHING = (Cause.SMALL_BATCH, Cause.LOW_DEMAND)
_SPREAD = (Cause.TOPOLOGY, Cause.COMMUNICATION)
_EMPTY_RATIO = 0.5  # of the expected requests in flight
_MUCH_COMMUNICATION = 0.2  # of the expected step
_SLOW_NODE = (Cause.STRAGGLER, Cause.THROTTLING)


def under_batched_tenants(members: Sequence[Member]) -> list[Finding]:
    """Tenants whose inference replicas run with less than half of the requests that they are expected to hold."""
    by_tenant: dict[str, list[tuple[Member, float, int]]] = {}
    for member in members:
        seen, estimate = member.assessment.observation, member.assessment.estimate
        if not isinstance(seen, Observation) or not isinstance(estimate, Estimate) or not isinstance(estimate.rates, ServingRates):
            continue
        running = seen.evidence.running_requests
        if member.accelerators and running is not None and running < _EMPTY_RATIO * estimate.rates.concurrency:
            by_tenant.setdefault(member.namespace, []).append((member, running, estimate.rates.concurrency))
    found = []
    for tenant, cases in by_tenant.items():
        running, could = fmean(case[1] for case in cases), fmean(case[2] for case in cases)
        found.append(
            finding(
                FindingKind.UNDER_BATCHED_TENANT,
                tenant,
                [case[0] for case in cases],
                lambda member: caused_micros(member, _BATCHING),
                evidence=f"{running:.1f} requests in flight a replica where {could:.0f} are expected, mean of {len(cases)} workloads",
                remedy="run fewer replicas, or share accelerators between these workloads",
            )
        )
    return found


def topology_mismatches(members: Sequence[Member]) -> list[Finding]:
    """Models that need fast links where there are none, and gangs that are spread wider than their groups can bear; one finding a class."""
    by_class: dict[tuple[str, str], list[tuple[Member, float]]] = {}
    for member in members:
        workload, estimate = member.assessment.workload, member.assessment.estimate
        if isinstance(workload, Missing) or isinstance(estimate, Missing) or not member.accelerators:
            continue
        share = _communication(estimate)
        if any(cause.cause is Cause.TOPOLOGY for cause in member.assessment.diagnosis):
            by_class.setdefault((member.accelerator_class, "placement"), []).append((member, share))
        elif share >= _MUCH_COMMUNICATION and _tensor(workload) > workload.fabric.link_domain:
            by_class.setdefault((member.accelerator_class, "layout"), []).append((member, share))
        elif share >= _MUCH_COMMUNICATION and not workload.fabric.accelerator.link_is_switched and _tensor(workload) > 1:
            by_class.setdefault((member.accelerator_class, "links"), []).append((member, share))
    found = []
    for (accelerator_class, kind), cases in by_class.items():
        share = fmean(case[1] for case in cases)
        evidence, remedy = _TOPOLOGY[kind]
        found.append(
            finding(
                FindingKind.TOPOLOGY_MISMATCH,
                accelerator_class,
                [case[0] for case in cases],
                lambda member: caused_micros(member, _SPREAD),
                evidence=f"{evidence}; communication takes {percent(share)} of the expected step, mean of {len(cases)} workloads",
                remedy=remedy,
            )
        )
    return found


_TOPOLOGY = {
    "placement": (
        "gangs run on nodes further apart than their groups can bear",
        "require the tight level for these gangs, or drain what keeps whole blocks from them",
    ),
    "layout": (
        "tensor parallel groups are larger than the domain of the fast links",
        "lower training.parallelism.tensor to the link domain",
    ),
    "links": ("tensor parallel groups talk over PCIe", "run these models on a class with switched links, or with pipeline parallelism"),
}


def straggler_nodes(members: Sequence[Member]) -> list[Finding]:
    """Nodes that hold a gang back; every workload that names the same node is in its finding."""
    by_node: dict[str, list[tuple[Member, float]]] = {}
    for member in members:
        seen = member.assessment.observation
        if isinstance(seen, Observation) and seen.evidence.slowest_node and seen.evidence.slowest_node_ratio is not None:
            by_node.setdefault(seen.evidence.slowest_node, []).append((member, seen.evidence.slowest_node_ratio))
    found = []
    for node, cases in by_node.items():
        slowest = min(case[1] for case in cases)
        found.append(
            finding(
                FindingKind.STRAGGLER_NODE,
                node,
                [case[0] for case in cases],
                lambda member: caused_micros(member, _SLOW_NODE),
                evidence=f"its devices run at {percent(slowest)} of the median node's of the same gang; it slows {len(cases)} workloads",
                remedy=f"cordon {node}, and check its clocks, power and cooling",
            )
        )
    return found


def _communication(estimate: Estimate) -> float:
    step = estimate.step_seconds
    return sum(term.seconds for term in estimate.terms if term.bound is Bound.COMMUNICATION) / step if step > 0.0 else 0.0


def _tensor(workload: Workload) -> int:
    return workload.job.parallelism.tensor
