"""What a policy requires of a workload, one check for each requirement, in the order of precedence of the verdict's reasons."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mfu.estimate.result import Estimate
from mfu.estimate.workload import Phase, Training, Workload
from mfu.judge.economics import expected_dollars_per_million_tokens
from mfu.judge.policy import Floor, OnUnknown, Policy, WorkKind
from mfu.judge.verdict import Decision, VerdictReason
from mfu.judge.wording import dollars, gibibytes, main_cause, percent
from mfu.missing import Missing, Reason

__all__ = ["Objection", "first_objection", "kind_of", "objection_to_unknown"]

Outcome = Callable[[Workload, Estimate], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """`decision`: what follows under `Gate`.

    `outcome`: what another workload would reach in the figure objected to ("reach 38.4%"), None where no change of the declaration helps.
    `otherwise`: what to say when no change that was tried would pass.
    """

    reason: VerdictReason
    decision: Decision
    message: str
    outcome: Outcome | None = None
    otherwise: str = ""


def first_objection(workload: Workload, estimate: Estimate, policy: Policy, link_domain_satisfied: bool | None) -> Objection | None:
    """The first requirement of `policy` that the workload does not meet, or None."""
    checks = (
        _memory(workload, estimate, policy),
        _topology(workload, policy, link_domain_satisfied),
        *_floors(workload, estimate, policy),
        _cost(workload, estimate, policy),
    )
    return next((objection for objection in checks if objection is not None), None)


def objection_to_unknown(unknown: Missing, policy: Policy) -> Objection | None:
    """A missing workload or estimate: certain faults are refused, what is merely unknown is held only where the policy says so."""
    match unknown.reason:
        case Reason.INTENT_INVALID:
            return Objection(reason=VerdictReason.INTENT_INVALID, decision=Decision.REFUSED, message=unknown.message)
        case Reason.UNSUPPORTED_PRECISION:
            if not policy.require_supported_precision:
                return None
            return Objection(reason=VerdictReason.PRECISION_UNSUPPORTED, decision=Decision.REFUSED, message=unknown.message)
        case Reason.UNKNOWN_ACCELERATOR:
            reason = VerdictReason.UNKNOWN_ACCELERATOR
        case _:
            reason = VerdictReason.UNKNOWN_MODEL
    if policy.on_unknown is OnUnknown.ALLOW:
        return None
    return Objection(reason=reason, decision=Decision.HELD, message=f"{unknown.message}; policy {policy.name} holds what is unknown")


def kind_of(workload: Workload) -> WorkKind:
    match workload.job:
        case Training():
            return WorkKind.TRAINING
        case job:
            return {Phase.MIXED: WorkKind.INFERENCE, Phase.PREFILL: WorkKind.PREFILL, Phase.DECODE: WorkKind.DECODE}[job.phase]


def _memory(workload: Workload, estimate: Estimate, policy: Policy) -> Objection | None:
    allowed = estimate.memory.capacity_bytes * (1.0 - policy.memory_margin_ratio)
    if not policy.must_fit_memory or estimate.memory.required_bytes <= allowed:
        return None
    margin = f", {percent(policy.memory_margin_ratio)} of it to stay free" if policy.memory_margin_ratio else ""
    return Objection(
        reason=VerdictReason.DOES_NOT_FIT_MEMORY,
        decision=Decision.REFUSED,
        message=(
            f"does not fit in memory: needs {gibibytes(estimate.memory.required_bytes)} per GPU, "
            f"{workload.fabric.accelerator.name} has {gibibytes(estimate.memory.capacity_bytes)}{margin}"
        ),
        outcome=lambda _, other: f"need {gibibytes(other.memory.required_bytes)}",
        otherwise=estimate.memory.remedy,
    )


def _topology(workload: Workload, policy: Policy, satisfied: bool | None) -> Objection | None:
    if not policy.require_link_domain:
        return None
    degrees = workload.job.parallelism
    domain = max(1, workload.fabric.link_domain)
    widest = max(degrees.tensor, degrees.expert)
    if widest > domain:
        return Objection(
            reason=VerdictReason.TOPOLOGY_UNSATISFIED,
            decision=Decision.HELD,
            message=(
                f"tensor parallelism {degrees.tensor} and expert parallelism {degrees.expert} do not fit the {domain} accelerators "
                f"that share fast links on {workload.fabric.accelerator.name}, as policy {policy.name} requires"
            ),
            outcome=lambda other, _: f"keep its groups inside one domain of {max(1, other.fabric.link_domain)}",
        )
    if satisfied is False:
        return Objection(
            reason=VerdictReason.TOPOLOGY_UNSATISFIED,
            decision=Decision.HELD,
            message=f"no fast-link domain has room for a group of {widest} accelerators, as policy {policy.name} requires; waiting for one",
        )
    return None


def _floors(workload: Workload, estimate: Estimate, policy: Policy) -> Iterator[Objection]:
    kind, accelerator = kind_of(workload), workload.fabric.accelerator.name
    floors = [floor for floor in policy.floors if _applies(floor, kind, accelerator)]
    where = f"of policy {policy.name} for {kind} on {accelerator}; main cause: {main_cause(estimate)}"
    for floor in floors:
        if floor.expected_mfu_ratio is not None and estimate.mfu_ratio < floor.expected_mfu_ratio:
            yield Objection(
                reason=VerdictReason.BELOW_EXPECTED_MFU_FLOOR,
                decision=Decision.HELD,
                message=f"expected MFU {percent(estimate.mfu_ratio)} is under the {percent(floor.expected_mfu_ratio)} floor {where}",
                outcome=lambda _, other: f"reach {percent(other.mfu_ratio)}",
            )
    for floor in floors:
        if floor.roofline_ratio is not None and estimate.roofline_ratio < floor.roofline_ratio:
            yield Objection(
                reason=VerdictReason.BELOW_ROOFLINE_FLOOR,
                decision=Decision.HELD,
                message=(
                    f"expected {percent(estimate.roofline_ratio)} of the roofline is under "
                    f"the {percent(floor.roofline_ratio)} floor {where}"
                ),
                outcome=lambda _, other: f"reach {percent(other.roofline_ratio)} of the roofline",
            )


def _applies(floor: Floor, kind: WorkKind, accelerator: str) -> bool:
    if floor.kinds and kind not in floor.kinds:
        return False
    # A partition ("h100-sxm-80gb/1g.10gb") is covered by a floor for its whole device.
    return not floor.accelerator_classes or bool({accelerator, accelerator.partition("/")[0]} & set(floor.accelerator_classes))


def _cost(workload: Workload, estimate: Estimate, policy: Policy) -> Objection | None:
    limit = policy.max_cost_per_million_tokens
    cost = expected_dollars_per_million_tokens(workload, estimate)
    if limit is None or isinstance(cost, Missing) or cost <= limit:
        return None
    return Objection(
        reason=VerdictReason.ABOVE_COST_CEILING,
        decision=Decision.HELD,
        message=(
            f"expected cost {dollars(cost)} for a million tokens is above the {dollars(limit)} ceiling of policy {policy.name} "
            f"on {workload.fabric.accelerator.name}; main cause: {main_cause(estimate)}"
        ),
        outcome=_cost_outcome,
    )


def _cost_outcome(workload: Workload, estimate: Estimate) -> str:
    cost = expected_dollars_per_million_tokens(workload, estimate)
    return "cost an unknown amount" if isinstance(cost, Missing) else f"cost {dollars(cost)}"
