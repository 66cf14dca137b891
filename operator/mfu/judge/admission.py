"""The admission verdict: what the policies that match a workload make of its expectation.

Pure, and the same for the webhook, the reconciler and the CLI.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mfu.estimate.result import Estimate
from mfu.estimate.search import Change, best_changes
from mfu.estimate.workload import Workload
from mfu.judge.policy import DriftRule, Mode, Policy
from mfu.judge.requirements import Objection, first_objection, objection_to_unknown
from mfu.judge.verdict import Decision, Finding, Verdict, VerdictReason
from mfu.judge.wording import change_text, percent
from mfu.missing import Missing, Reason

__all__ = ["applicable", "decide", "drift_rule", "no_changes"]

_SEVERITY = (Decision.ADMITTED, Decision.WARNED, Decision.HELD, Decision.REFUSED)
_PRECEDENCE = tuple(VerdictReason)
_SEARCHED_CHANGES = 12
_EXTENDED_CHANGES = 4

Changes = Callable[[], Iterable[Change]]


def no_changes() -> tuple[Change, ...]:
    """For callers without time to search: the verdict then names no remedy."""
    return ()


def applicable(
    policies: Sequence[Policy], *, namespace_labels: Mapping[str, str], workload_labels: Mapping[str, str]
) -> tuple[Policy, ...]:
    """The policies that select the workload, in the order in which they are asked: higher precedence first, then by name."""
    chosen = [policy for policy in policies if policy.namespaces.matches(namespace_labels) and policy.workloads.matches(workload_labels)]
    return tuple(sorted(chosen, key=lambda policy: (-policy.precedence, policy.name)))


def drift_rule(policies: Sequence[Policy], *, namespace_labels: Mapping[str, str], workload_labels: Mapping[str, str]) -> DriftRule:
    """The drift rule of the first policy that selects the workload, or the defaults."""
    chosen = applicable(policies, namespace_labels=namespace_labels, workload_labels=workload_labels)
    return chosen[0].drift if chosen else DriftRule()


def decide(
    workload: Workload | Missing,
    estimate: Estimate | Missing,
    policies: Sequence[Policy],
    *,
    namespace_labels: Mapping[str, str],
    workload_labels: Mapping[str, str],
    skip_gate_reason: str | None = None,
    problems: Sequence[str] = (),
    link_domain_satisfied: bool | None = None,
    changes: Changes | None = None,
) -> Verdict:
    """Ask every matching policy; the most severe decision wins, then the earlier reason, then the higher precedence of the policy.

    `problems`: what validation found wrong with the object. `link_domain_satisfied`: whether the tensor and expert groups can be
    placed inside fast-link domains; None: judged from the declared degrees alone. `changes`: candidate remedies, best first; the first
    that the objecting policy would let pass is named. None: searched with the estimator. Nothing here raises: what is unknown is
    admitted unless a policy holds it.
    """
    case = _Case(
        workload=workload,
        estimate=estimate,
        problems=tuple(problems),
        link_domain_satisfied=link_domain_satisfied,
        changes=_once(changes if changes is not None else _searched(workload, estimate)),
    )
    asked = applicable(policies, namespace_labels=namespace_labels, workload_labels=workload_labels)
    exempting = [policy for policy in asked if policy.exempt is not None and policy.exempt.matches(workload_labels)]
    findings = _findings(case, [policy for policy in asked if policy not in exempting], remedies=not skip_gate_reason)
    would = max((finding.would for finding in findings), key=_SEVERITY.index, default=Decision.ADMITTED)
    holds = {policy.name: policy.max_hold_seconds for policy in asked}
    if skip_gate_reason:
        against = f"; {findings[0].message}" if findings else ""
        return Verdict(
            decision=Decision.ADMITTED,
            reason=VerdictReason.BREAK_GLASS,
            message=f"admitted by break-glass ({skip_gate_reason}){against}",
            would=would,
            findings=findings,
        )
    if findings:
        first = findings[0]
        return Verdict(
            decision=first.decision,
            reason=first.reason,
            message=first.message,
            policy=first.policy,
            would=would,
            max_hold_seconds=holds[first.policy],
            findings=findings,
        )
    return _unopposed(case, asked, exempting)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    workload: Workload | Missing
    estimate: Estimate | Missing
    problems: tuple[str, ...]
    link_domain_satisfied: bool | None
    changes: Changes

    def objection(self, policy: Policy) -> Objection | None:
        if self.problems:
            return Objection(reason=VerdictReason.INTENT_INVALID, decision=Decision.REFUSED, message="; ".join(self.problems))
        if isinstance(self.workload, Missing):
            return objection_to_unknown(self.workload, policy)
        if isinstance(self.estimate, Missing):
            return objection_to_unknown(self.estimate, policy)
        return first_objection(self.workload, self.estimate, policy, self.link_domain_satisfied)

    def remedy(self, policy: Policy, objection: Objection) -> str:
        """The first change, or pair of changes, that this policy would let pass, as a clause."""
        if objection.outcome is None:
            return ""
        for steps in _sequences(self.changes()):
            last = steps[-1]
            if first_objection(last.workload, last.estimate, policy, self.link_domain_satisfied) is None:
                return f"; {_named(steps)} would {objection.outcome(last.workload, last.estimate)}"
        return f"; {objection.otherwise}" if objection.otherwise else "; no change that was tried would pass"


def _sequences(changes: Iterable[Change]) -> Iterator[tuple[Change, ...]]:
    """Each change by itself, then each of the best ones with another on top of it."""
    singles = tuple(changes)
    for single in singles:
        yield (single,)
    for first in singles[:_EXTENDED_CHANGES]:
        for second in best_changes(first.workload, first.estimate, limit=_SEARCHED_CHANGES):
            yield first, second


def _named(steps: Sequence[Change]) -> str:
    """The steps in words; two steps of one field are one change."""
    first, last = steps[0], steps[-1]
    if first.field_path == last.field_path:
        return change_text(first.field_path, first.old, last.new)
    return " and ".join(change_text(step.field_path, step.old, step.new) for step in steps)


def _findings(case: _Case, policies: Sequence[Policy], *, remedies: bool) -> tuple[Finding, ...]:
    found = []
    for order, policy in enumerate(policies):
        objection = case.objection(policy)
        if objection is None:
            continue
        decision = {Mode.GATE: objection.decision, Mode.WARN: Decision.WARNED, Mode.OBSERVE: Decision.ADMITTED}[policy.mode]
        remedy = case.remedy(policy, objection) if remedies else ""
        finding = Finding(
            policy=policy.name, reason=objection.reason, message=objection.message + remedy, would=objection.decision, decision=decision
        )
        found.append((-_SEVERITY.index(decision), _PRECEDENCE.index(objection.reason), order, finding))
    return tuple(finding for *_, finding in sorted(found, key=lambda entry: entry[:3]))


def _unopposed(case: _Case, asked: Sequence[Policy], exempting: Sequence[Policy]) -> Verdict:
    """Admitted; the reason still says if something is unknown, invalid, or let through by an exemption."""
    for policy in exempting:
        objection = case.objection(policy)
        if objection is not None:
            return _admitted(VerdictReason.POLICY_EXEMPT, f"exempt from policy {policy.name}: {objection.message}", policy.name)
    if case.problems:
        return _admitted(VerdictReason.INTENT_INVALID, f"{'; '.join(case.problems)}; admitted, since no policy applies")
    unknown = case.workload if isinstance(case.workload, Missing) else case.estimate
    if isinstance(unknown, Missing):
        return _admitted(_reason_of(unknown), f"{unknown.message}; admitted without an expectation")
    meets = f"meets {', '.join(policy.name for policy in asked)}" if asked else "no policy applies"
    return _admitted(VerdictReason.ADMITTED, f"expected MFU {percent(unknown.mfu_ratio)}; {meets}", asked[0].name if asked else None)


def _admitted(reason: VerdictReason, message: str, policy: str | None = None) -> Verdict:
    return Verdict(decision=Decision.ADMITTED, reason=reason, message=message, policy=policy)


def _reason_of(unknown: Missing) -> VerdictReason:
    match unknown.reason:
        case Reason.UNKNOWN_ACCELERATOR:
            return VerdictReason.UNKNOWN_ACCELERATOR
        case Reason.UNSUPPORTED_PRECISION:
            return VerdictReason.PRECISION_UNSUPPORTED
        case Reason.INTENT_INVALID:
            return VerdictReason.INTENT_INVALID
        case _:
            return VerdictReason.UNKNOWN_MODEL


def _searched(workload: Workload | Missing, estimate: Estimate | Missing) -> Changes:
    if isinstance(workload, Missing) or isinstance(estimate, Missing):
        return no_changes
    return lambda: best_changes(workload, estimate, limit=_SEARCHED_CHANGES)


def _once(changes: Changes) -> Changes:
    """The search runs at most once, and only when a policy objects."""
    found: list[tuple[Change, ...]] = []

    def kept() -> tuple[Change, ...]:
        if not found:
            found.append(tuple(changes()))
        return found[0]

    return kept
