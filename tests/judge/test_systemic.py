"""Systemic findings: what many workloads have in common, with the evidence and the money."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mfu.estimate.result import Bound, Term
from mfu.hardware.catalog import accelerator
from mfu.judge.assessment import Cause, Drift
from mfu.judge.fleet import Member
from mfu.judge.fragmentation import MigDevice, fragmentation
from mfu.judge.systemic import Finding, FindingKind, findings
from mfu.missing import Missing, Reason
from mfu.observe.observation import Evidence
from tests.judge.cases import estimate, fabric, inference, training
from tests.judge.provider_cases import assessment, member, quote

BEGAN = 1_000_000.0


def only(found: tuple[Finding, ...], kind: FindingKind) -> list[Finding]:
    return [each for each in found if each.kind is kind]


def serving(name: str, running: float, *, tenant: str = "chat", cause: Cause = Cause.LOW_DEMAND, price: int | None = 2_000_000) -> Member:
    judged = assessment(
        workload=inference(),
        expected=estimate(0.4, serving=True, concurrency=64),
        seen=0.1,
        evidence=Evidence(running_requests=running),
        causes={cause: 0.8},
    )
    return member(name, tenant=tenant, quoted=quote(price), of=judged)


def test_a_tenant_whose_replicas_are_mostly_empty_is_named_with_its_money() -> None:
    # Two of three hold less than half of 64; each loses ¾ of $16, 80 % of it to low demand.
    found = only(
        findings([serving("a", 4), serving("b", 12, cause=Cause.SMALL_BATCH), serving("full", 60)]), FindingKind.UNDER_BATCHED_TENANT
    )
    assert [(each.subject, each.workloads, each.accelerators) for each in found] == [("chat", ("chat/a", "chat/b"), 16)]
    assert found[0].micros_per_hour == 2 * 9_600_000
    assert found[0].evidence == "8.0 requests in flight a replica where 64 are expected, mean of 2 workloads"


def test_what_a_finding_costs_without_prices_is_unknown() -> None:
    found = only(findings([serving("a", 4, price=None)]), FindingKind.UNDER_BATCHED_TENANT)[0]
    assert isinstance(found.micros_per_hour, Missing) and found.micros_per_hour.reason is Reason.UNKNOWN_PRICE


TALKATIVE = estimate(
    0.3,
    terms=(Term(name="matmul", seconds=0.6, bound=Bound.COMPUTE), Term(name="tensorParallel", seconds=0.4, bound=Bound.COMMUNICATION)),
)


@pytest.mark.parametrize(
    ("kind", "tensor", "cause", "evidence"),
    [
        pytest.param("l40s-48gb", 4, Cause.COMMUNICATION, "over PCIe", id="tensor parallel without fast links"),
        pytest.param("h100-sxm-80gb", 16, Cause.COMMUNICATION, "larger than the domain", id="groups larger than the links reach"),
        pytest.param("h100-sxm-80gb", 8, Cause.TOPOLOGY, "further apart", id="a gang across spines"),
    ],
)
def test_a_topology_that_does_not_suit_the_model_is_found(kind: str, tensor: int, cause: Cause, evidence: str) -> None:
    workload = training(tensor=tensor, on=fabric(kind))
    judged = assessment(workload=workload, expected=TALKATIVE, seen=0.15, causes={cause: 1.0})
    found = only(findings([member(kind=kind, quoted=quote(), of=judged)]), FindingKind.TOPOLOGY_MISMATCH)
    assert len(found) == 1 and found[0].subject == kind and evidence in found[0].evidence and "40%" in found[0].evidence
    assert found[0].micros_per_hour == 8_000_000


def test_tensor_parallel_inside_the_fast_links_is_no_mismatch() -> None:
    judged = assessment(workload=training(tensor=8), expected=TALKATIVE, seen=0.15)
    assert only(findings([member(of=judged)]), FindingKind.TOPOLOGY_MISMATCH) == []


def test_workloads_that_name_the_same_slow_node_are_one_finding() -> None:
    slow = Evidence(slowest_node="n7", slowest_node_ratio=0.72)
    judged = assessment(evidence=slow, causes={Cause.STRAGGLER: 1.0})
    found = only(findings([member("a", of=judged, quoted=quote()), member("b", of=judged, quoted=quote())]), FindingKind.STRAGGLER_NODE)
    assert [(each.subject, each.count, each.micros_per_hour) for each in found] == [("n7", 2, 8_000_000)]
    assert "72%" in found[0].evidence


def drifting(name: str, since: float | None, *, kind: str = "h100-sxm-80gb") -> Member:
    drift = Drift(ratio=-0.25, drifting=since is not None, since_seconds=since, baseline="Expected")
    return member(name, kind=kind, quoted=quote(), of=assessment(drift=drift, workload=training(on=fabric(kind))))


def images(**named: str) -> dict[str, dict[str, str]]:
    return {f"research/{name}": {"image": image, "driver": "570"} for name, image in named.items()}


def test_many_drifts_after_one_image_are_one_finding() -> None:
    members = [drifting(f"w{index}", BEGAN + 60 * index if index < 5 else None) for index in range(20)]
    named = images(**{f"w{index}": "train:2" if index < 6 else "train:1" for index in range(20)})
    found = findings(members, attributes=named)
    assert found[0].kind is FindingKind.CONFIGURATION_DRIFT and found[0].subject == "image=train:2"
    assert (found[0].count, found[0].micros_per_hour) == (5, 5 * 4_000_000)
    assert found[0].evidence.startswith("5 of 6 workloads with image train:2 began to drift within an hour, and 0 of 14 others do")
    assert len(only(found, FindingKind.CONFIGURATION_DRIFT)) == 1


@pytest.mark.parametrize(
    ("drifts", "carriers"),
    [
        pytest.param({0: 0.0, 1: 60.0}, 6, id="two are a coincidence"),
        pytest.param({0: 0.0, 1: 90_000.0, 2: 180_000.0, 3: 270_000.0}, 4, id="days apart"),
        pytest.param({0: 0.0, 1: 1.0, 2: 2.0}, 12, id="most with that image are healthy"),
    ],
)
def test_drifts_that_have_no_common_cause_are_not_blamed_on_one(drifts: dict[int, float], carriers: int) -> None:
    members = [drifting(f"w{index}", BEGAN + drifts[index] if index in drifts else None) for index in range(20)]
    named = images(**{f"w{index}": "train:2" if index < carriers else "train:1" for index in range(20)})
    assert only(findings(members, attributes=named), FindingKind.CONFIGURATION_DRIFT) == []


def test_an_image_is_not_blamed_when_the_others_drift_nearly_as_much() -> None:
    fallen = {*range(7), *range(10, 15)}
    members = [drifting(f"w{index}", BEGAN if index in fallen else None) for index in range(20)]
    named = images(**{f"w{index}": "train:2" if index < 10 else "train:1" for index in range(20)})
    subjects = [each.subject for each in only(findings(members, attributes=named), FindingKind.CONFIGURATION_DRIFT)]
    assert not [subject for subject in subjects if subject.startswith("image=")]


def test_two_rollouts_at_once_are_two_findings() -> None:
    members = [drifting(f"w{index}", BEGAN if index < 8 else None) for index in range(24)]
    named = images(**{f"w{index}": "a:2" if index < 4 else "b:2" if index < 8 else "c:1" for index in range(24)})
    found = only(findings(members, attributes=named), FindingKind.CONFIGURATION_DRIFT)
    assert {(each.subject, each.count) for each in found} == {("image=a:2", 4), ("image=b:2", 4)}


def test_a_class_that_is_wrong_for_its_models_is_named_with_what_the_other_would_save() -> None:
    from mfu.estimate.estimator import estimate as estimated

    workload = training(on=fabric("a100-sxm-80gb", price=3.0))
    expected = estimated(workload)
    here = member(kind="a100-sxm-80gb", accelerators=32, quoted=quote(3_000_000), of=assessment(workload=workload, expected=expected))
    classes = [replace(accelerator(name), price_per_hour=price) for name, price in (("h100-sxm-80gb", 3.5), ("a100-sxm-80gb", 3.0))]
    found = only(findings([here], accelerators=classes), FindingKind.WRONG_ACCELERATOR_CLASS)
    assert len(found) == 1 and found[0].subject == "a100-sxm-80gb" and "h100-sxm-80gb" in found[0].evidence
    assert isinstance(found[0].micros_per_hour, int) and 0 < found[0].micros_per_hour < 32 * 3_000_000
    dear = [replace(accelerator("h100-sxm-80gb"), price_per_hour=30.0)]
    unpriced = [replace(accelerator("h100-sxm-80gb"), price_per_hour=None)]
    assert only(findings([here], accelerators=dear), FindingKind.WRONG_ACCELERATOR_CLASS) == []
    assert only(findings([here], accelerators=unpriced), FindingKind.WRONG_ACCELERATOR_CLASS) == []


def test_stranded_slices_are_a_finding_with_the_cut_that_would_serve_what_waits() -> None:
    cut = MigDevice(
        node="n1", index=3, accelerator=accelerator("h100-sxm-80gb"), used={"3g.40gb": 1}, free={"1g.10gb": 4}, price_micros=7_000_000
    )
    found = findings([], fragmentation=fragmentation([cut], {("h100-sxm-80gb", "3g.40gb"): 1}))
    assert [(each.kind, each.micros_per_hour) for each in found] == [(FindingKind.MIG_FRAGMENTATION, 4_000_000)]
    assert found[0].remedy == "repartition n1 device 3: 1g.10gb + 1g.10gb + 1g.10gb + 1g.10gb → 3g.40gb"
    assert findings([], fragmentation=fragmentation([], {})) == ()


def test_findings_are_bounded_and_the_dearest_come_first() -> None:
    members = [serving(f"w{index}", 2, tenant=f"t{index:02}", price=1_000_000 + index) for index in range(30)]
    found = findings(members, limit=10)
    assert len(found) == 10 and found[0].subject == "t29"
    assert len(findings([serving(f"w{index}", 2) for index in range(30)])[0].workloads) == 10


def test_an_idle_fleet_has_no_findings() -> None:
    assert findings([member(accelerators=0)]) == () == findings([])
