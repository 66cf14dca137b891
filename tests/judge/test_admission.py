"""The verdict: every reason, every mode, who wins among several policies, and messages that say what would pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.estimate import estimator
from mfu.estimate.result import Estimate
from mfu.estimate.search import Change
from mfu.estimate.workload import Phase, Workload
from mfu.judge.admission import applicable, decide, drift_rule, no_changes
from mfu.judge.policy import DriftRule, Floor, Mode, OnUnknown, Policy, Selector, WorkKind
from mfu.judge.verdict import Decision, Verdict, VerdictReason
from mfu.missing import Missing, Reason
from tests.judge.cases import change, estimate, fabric, inference, training, unknown


def gate(name: str = "research-floor", **rules: object) -> Policy:
    return Policy(name=name, mode=Mode.GATE, **rules)  # type: ignore[arg-type]  # the tests spell the fields out


def floor(mfu: float = 0.30, **where: object) -> tuple[Floor, ...]:
    return (Floor(expected_mfu_ratio=mfu, **where),)  # type: ignore[arg-type]  # the tests spell the fields out


def ask(
    policies: list[Policy],
    expected: Estimate | Missing | None = None,
    *,
    workload: Workload | Missing | None = None,
    changes: tuple[Change, ...] = (),
    workload_labels: Mapping[str, str] | None = None,
    skip: str | None = None,
    problems: tuple[str, ...] = (),
    link_domain_satisfied: bool | None = None,
) -> Verdict:
    return decide(
        workload or training(),
        expected or estimate(),
        policies,
        namespace_labels={"tenant": "research"},
        workload_labels=workload_labels or {},
        skip_gate_reason=skip,
        problems=problems,
        link_domain_satisfied=link_domain_satisfied,
        changes=lambda: changes,
    )


def test_a_workload_that_meets_its_policies_is_admitted() -> None:
    found = ask([gate(floors=floor(0.30))], estimate(0.431))
    assert (found.decision, found.reason, found.would) == (Decision.ADMITTED, VerdictReason.ADMITTED, Decision.ADMITTED)
    assert found.message == "expected MFU 43.1%; meets research-floor"
    assert found.findings == ()


def test_without_policies_everything_is_admitted() -> None:
    assert ask([], estimate(0.01, needs_gib=900)).decision is Decision.ADMITTED


def test_a_workload_under_the_floor_is_held_with_value_limit_cause_and_remedy() -> None:
    better = change("training.parallelism.tensor", "16", "8", estimate(0.384))
    found = ask([gate(floors=floor(0.30))], estimate(0.118), changes=(better,))
    assert (found.decision, found.reason, found.policy) == (Decision.HELD, VerdictReason.BELOW_EXPECTED_MFU_FLOOR, "research-floor")
    assert found.message == (
        "expected MFU 11.8% is under the 30% floor of policy research-floor for training on h100-sxm-80gb; "
        "main cause: tensor parallel communication (46% of the step); training.parallelism.tensor 16 → 8 would reach 38.4%"
    )


def test_a_workload_that_does_not_fit_is_refused_with_what_would_fit() -> None:
    fits = change("training.sharding", "none", "zero3", estimate(0.3, needs_gib=61))
    found = ask([gate()], estimate(0.4, needs_gib=412, has_gib=79.6), changes=(fits,))
    assert (found.decision, found.reason) == (Decision.REFUSED, VerdictReason.DOES_NOT_FIT_MEMORY)
    assert found.message == (
        "does not fit in memory: needs 412 GiB per GPU, h100-sxm-80gb has 79.6 GiB; training.sharding none → zero3 would need 61.0 GiB"
    )


def test_a_change_that_would_not_pass_the_same_policy_is_not_offered() -> None:
    tempting = change("precision.compute", "bf16", "fp8", estimate(0.2))
    passing = change("training.microBatchSize", "1", "4", estimate(0.33))
    found = ask([gate(floors=floor(0.30))], estimate(0.118), changes=(tempting, passing))
    assert "training.microBatchSize 1 → 4 would reach 33%" in found.message


def test_the_remedy_of_the_memory_model_is_named_when_no_change_passes() -> None:
    found = ask([gate()], estimate(needs_gib=412, has_gib=80, remedy="use 64 accelerators or larger ones"))
    assert found.message.endswith("; use 64 accelerators or larger ones")


def test_no_remedy_is_invented() -> None:
    assert ask([gate(floors=floor(0.30))], estimate(0.118)).message.endswith("; no change that was tried would pass")


def test_the_searched_remedy_really_passes_when_it_is_declared() -> None:
    wasteful = replace(training(tensor=8, pipeline=4), name="wasteful")
    expected = estimator.estimate(wasteful)
    assert isinstance(expected, Estimate)
    policy = gate(floors=floor(expected.mfu_ratio * 1.05))
    labels: dict[str, str] = {}
    found = decide(wasteful, expected, [policy], namespace_labels=labels, workload_labels=labels)
    assert found.decision is Decision.HELD
    assert " would reach " in found.message


@pytest.mark.parametrize(
    ("mode", "decision"), [(Mode.OBSERVE, Decision.ADMITTED), (Mode.WARN, Decision.WARNED), (Mode.GATE, Decision.HELD)]
)
def test_the_mode_decides_and_what_gating_would_do_is_kept(mode: Mode, decision: Decision) -> None:
    policy = Policy(name="p", mode=mode, floors=floor(0.30))
    found = ask([policy], estimate(0.118))
    assert (found.decision, found.would) == (decision, Decision.HELD)
    assert found.reason is VerdictReason.BELOW_EXPECTED_MFU_FLOOR
    assert [(each.policy, each.would, each.decision) for each in found.findings] == [("p", Decision.HELD, decision)]


REASONS = [
    pytest.param({}, {"problems": ("spec.model: exactly one of …",)}, VerdictReason.INTENT_INVALID, Decision.REFUSED, id="invalid intent"),
    pytest.param(
        {"on_unknown": OnUnknown.HOLD},
        {"workload": unknown(Reason.UNKNOWN_MODEL, "no such model")},
        VerdictReason.UNKNOWN_MODEL,
        Decision.HELD,
        id="unknown model",
    ),
    pytest.param(
        {"on_unknown": OnUnknown.HOLD},
        {"workload": unknown(Reason.UNKNOWN_ACCELERATOR, "no such class")},
        VerdictReason.UNKNOWN_ACCELERATOR,
        Decision.HELD,
        id="unknown accelerator",
    ),
    pytest.param(
        {},
        {"expected": unknown(Reason.UNSUPPORTED_PRECISION, "no fp8 here")},
        VerdictReason.PRECISION_UNSUPPORTED,
        Decision.REFUSED,
        id="precision",
    ),
    pytest.param({}, {"expected": estimate(needs_gib=81)}, VerdictReason.DOES_NOT_FIT_MEMORY, Decision.REFUSED, id="memory"),
    pytest.param(
        {"memory_margin_ratio": 0.1},
        {"expected": estimate(needs_gib=75)},
        VerdictReason.DOES_NOT_FIT_MEMORY,
        Decision.REFUSED,
        id="memory margin",
    ),
    pytest.param(
        {"require_link_domain": True},
        {"workload": training(tensor=16)},
        VerdictReason.TOPOLOGY_UNSATISFIED,
        Decision.HELD,
        id="tensor group wider than a domain",
    ),
    pytest.param(
        {"require_link_domain": True},
        {"link_domain_satisfied": False, "workload": training(tensor=8)},
        VerdictReason.TOPOLOGY_UNSATISFIED,
        Decision.HELD,
        id="no domain has room",
    ),
    pytest.param({"floors": floor(0.5)}, {}, VerdictReason.BELOW_EXPECTED_MFU_FLOOR, Decision.HELD, id="mfu floor"),
    pytest.param({"floors": (Floor(roofline_ratio=0.6),)}, {}, VerdictReason.BELOW_ROOFLINE_FLOOR, Decision.HELD, id="roofline floor"),
    pytest.param({"max_cost_per_million_tokens": 0.5}, {}, VerdictReason.ABOVE_COST_CEILING, Decision.HELD, id="cost ceiling"),
]


@pytest.mark.parametrize(("rules", "case", "reason", "would"), REASONS)
def test_every_requirement_has_its_reason(
    rules: dict[str, object], case: dict[str, object], reason: VerdictReason, would: Decision
) -> None:
    found = ask([gate(**rules)], **case)  # type: ignore[arg-type]  # a table of arguments
    assert (found.reason, found.decision, found.would) == (reason, would, would)
    assert "\n" not in found.message and found.message


def test_what_is_unknown_is_admitted_unless_a_policy_holds_it() -> None:
    found = ask([gate(floors=floor(0.9))], unknown(Reason.UNKNOWN_MODEL, "config.json has no hidden_size"))
    assert (found.decision, found.reason) == (Decision.ADMITTED, VerdictReason.UNKNOWN_MODEL)
    assert "hidden_size" in found.message


def test_the_earlier_reason_is_given_when_several_apply() -> None:
    policy = gate(floors=(Floor(expected_mfu_ratio=0.9, roofline_ratio=0.9),), require_link_domain=True, max_cost_per_million_tokens=0.01)
    both = ask([policy], estimate(0.1, needs_gib=100), workload=training(tensor=16))
    assert both.reason is VerdictReason.DOES_NOT_FIT_MEMORY
    assert ask([policy], estimate(0.1), workload=training(tensor=16)).reason is VerdictReason.TOPOLOGY_UNSATISFIED
    assert ask([policy], estimate(0.1)).reason is VerdictReason.BELOW_EXPECTED_MFU_FLOOR


@pytest.mark.parametrize(
    ("workload", "rule", "applies"),
    [
        pytest.param(training(), {"kinds": (WorkKind.TRAINING,)}, True, id="training"),
        pytest.param(training(), {"kinds": (WorkKind.DECODE, WorkKind.INFERENCE)}, False, id="not inference"),
        pytest.param(inference(), {"kinds": (WorkKind.INFERENCE,)}, True, id="mixed inference"),
        pytest.param(inference(phase=Phase.DECODE), {"kinds": (WorkKind.DECODE,)}, True, id="decode"),
        pytest.param(inference(phase=Phase.DECODE), {"kinds": (WorkKind.INFERENCE,)}, False, id="decode is not mixed"),
        pytest.param(training(), {"accelerator_classes": ("h100-sxm-80gb",)}, True, id="its class"),
        pytest.param(training(), {"accelerator_classes": ("a100-sxm-80gb",)}, False, id="another class"),
        pytest.param(training(), {}, True, id="all"),
    ],
)
def test_a_floor_holds_for_its_kinds_of_work_and_accelerators(workload: Workload, rule: dict[str, object], applies: bool) -> None:
    found = ask([gate(floors=floor(0.9, **rule))], workload=workload)
    assert (found.decision is Decision.HELD) is applies


def test_a_floor_for_a_device_holds_for_its_partitions() -> None:
    whole = fabric()
    sliced = replace(whole, accelerator=replace(whole.accelerator, name="h100-sxm-80gb/1g.10gb"))
    found = ask([gate(floors=floor(0.9, accelerator_classes=("h100-sxm-80gb",)))], workload=training(on=sliced))
    assert found.decision is Decision.HELD


def test_a_ceiling_on_cost_says_nothing_where_the_price_is_unknown() -> None:
    found = ask([gate(max_cost_per_million_tokens=1e-6)], workload=training(on=fabric(price=None)))
    assert found.decision is Decision.ADMITTED


def test_break_glass_admits_and_keeps_what_was_objected() -> None:
    found = ask([gate(floors=floor(0.30))], estimate(0.118), skip="incident 4711")
    assert (found.decision, found.reason, found.would) == (Decision.ADMITTED, VerdictReason.BREAK_GLASS, Decision.HELD)
    assert "incident 4711" in found.message and "11.8%" in found.message


def test_an_exempt_workload_is_never_held_by_that_policy() -> None:
    policy = gate(floors=floor(0.30), exempt=Selector(labels={"team": "infra"}))
    found = ask([policy], estimate(0.1), workload_labels={"team": "infra"})
    assert (found.decision, found.reason, found.findings) == (Decision.ADMITTED, VerdictReason.POLICY_EXEMPT, ())
    assert ask([policy], estimate(0.1), workload_labels={"team": "other"}).decision is Decision.HELD


def test_an_exemption_from_one_policy_does_not_silence_another() -> None:
    exempting = gate("lenient", floors=floor(0.30), exempt=Selector(labels={"team": "infra"}))
    found = ask([exempting, gate("strict", floors=floor(0.20))], estimate(0.1), workload_labels={"team": "infra"})
    assert (found.decision, found.policy) == (Decision.HELD, "strict")


def test_policies_that_do_not_select_the_workload_are_not_asked() -> None:
    other = gate(namespaces=Selector(labels={"tenant": "serving"}), floors=floor(0.9))
    mine = gate(workloads=Selector(expressions=(("tier", "In", ("gold",)),)), floors=floor(0.9))
    assert ask([other, mine], estimate(0.1)).decision is Decision.ADMITTED
    assert ask([other, mine], estimate(0.1), workload_labels={"tier": "gold"}).decision is Decision.HELD


def test_the_most_severe_decision_wins_then_the_reason_then_the_precedence() -> None:
    observing = Policy(name="observing", precedence=99, floors=floor(0.9))
    warning = Policy(name="warning", mode=Mode.WARN, precedence=50, floors=floor(0.9))
    late, early = gate("late", precedence=1, floors=floor(0.5)), gate("early", precedence=2, floors=floor(0.6))
    found = ask([observing, warning, late, early], estimate(0.1))
    assert (found.decision, found.policy) == (Decision.HELD, "early")
    assert [each.policy for each in found.findings] == ["early", "late", "warning", "observing"]
    fits = gate("fits", precedence=0)
    assert ask([early, fits], estimate(0.1, needs_gib=100)).reason is VerdictReason.DOES_NOT_FIT_MEMORY


def test_the_hold_is_as_long_as_the_deciding_policy_says() -> None:
    assert ask([gate(floors=floor(0.9), max_hold_seconds=60.0)]).max_hold_seconds == 60.0


def test_policies_are_asked_by_precedence_then_name_and_the_first_gives_the_drift_rule() -> None:
    rule = DriftRule(tolerance_ratio=0.2)
    policies = [Policy(name="b"), Policy(name="a"), Policy(name="c", precedence=5, drift=rule)]
    labels: dict[str, str] = {}
    assert [policy.name for policy in applicable(policies, namespace_labels=labels, workload_labels=labels)] == ["c", "a", "b"]
    assert drift_rule(policies, namespace_labels=labels, workload_labels=labels) == rule
    assert drift_rule([], namespace_labels=labels, workload_labels=labels) == DriftRule()


def test_changes_are_searched_only_when_a_policy_objects() -> None:
    searched = []

    def changes() -> tuple[Change, ...]:
        searched.append(1)
        return no_changes()

    labels: dict[str, str] = {}
    decide(training(), estimate(0.4), [gate(floors=floor(0.3))], namespace_labels=labels, workload_labels=labels, changes=changes)
    assert searched == []
    policies = [gate("a", floors=floor(0.5)), gate("b", floors=floor(0.6))]
    decide(training(), estimate(0.4), policies, namespace_labels=labels, workload_labels=labels, changes=changes)
    assert searched == [1]


@given(
    mfu=st.floats(0.01, 0.99),
    limit=st.floats(0.01, 0.99),
    mode=st.sampled_from(Mode),
    needs=st.floats(1, 200),
    skip=st.booleans(),
)
def test_only_gating_policies_hold_and_only_for_a_finding(mfu: float, limit: float, mode: Mode, needs: float, skip: bool) -> None:
    policy = Policy(name="p", mode=mode, floors=floor(limit))
    found = ask([policy], estimate(mfu, needs_gib=needs), skip="x" if skip else None)
    blocked = found.decision in (Decision.HELD, Decision.REFUSED)
    violated = mfu < limit or needs > 80.0
    assert blocked == (violated and mode is Mode.GATE and not skip)
    assert (found.would is not Decision.ADMITTED) == violated == bool(found.findings)
