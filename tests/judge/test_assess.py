"""The one call that joins everything, over the real estimator."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mfu.estimate import estimator
from mfu.estimate.result import Estimate
from mfu.judge import assess as assessing
from mfu.judge.assess import Inputs, assess
from mfu.judge.assessment import Assessment, Cause, Drift
from mfu.judge.drift import resume
from mfu.judge.policy import DriftRule, Floor, Mode, Policy
from mfu.judge.verdict import Decision, VerdictReason
from mfu.missing import Missing, Reason
from mfu.observe.observation import Evidence
from tests.judge.cases import NOW, inference, observed, training, unknown

JOB = training(tensor=2)


def expected() -> Estimate:
    found = estimator.estimate(JOB)
    assert isinstance(found, Estimate)
    return found


def starving(mfu: float) -> Inputs:
    evidence = Evidence(data_wait_ratio=0.44, busy_ratio=0.56, tensor_active_ratio=0.3)
    return Inputs(workload=JOB, estimate=expected(), now=NOW, observation=observed(mfu, tokens=1e5, evidence=evidence))


def test_a_starving_job_is_told_so_with_its_price() -> None:
    found = assess(starving(0.55 * expected().mfu_ratio))
    assert found.diagnosis[0].cause is Cause.DATA_STARVATION
    assert found.summary.count(";") == 2 and "data starvation: the training loop waits 44%" in found.summary and "/h lost" in found.summary
    assert isinstance(found.cost.gap_per_hour, float) and found.cost.gap_per_hour == pytest.approx(0.45 * 96.0)
    assert isinstance(found.drift, Drift) and found.drift.ratio == pytest.approx(-0.45)


def test_drift_goes_on_from_assessment_to_assessment() -> None:
    policy = Policy(name="p", drift=DriftRule(for_seconds=60.0))
    look = replace(starving(0.55 * expected().mfu_ratio), policies=(policy,))
    found: Assessment | None = None
    drifting = []
    for number in range(4):
        found = assess(replace(look, now=NOW + 30.0 * number, previous=found))
        assert isinstance(found.drift, Drift)
        drifting.append(found.drift.drifting)
    assert drifting == [False, False, True, True]


def test_after_a_restart_drift_goes_on_from_the_status() -> None:
    state = resume(since_seconds=NOW - 3600, drifting=True, now=NOW)
    found = assess(replace(starving(0.55 * expected().mfu_ratio), drift_state=state))
    assert isinstance(found.drift, Drift) and found.drift.drifting and found.drift.since_seconds == NOW - 3600


def test_the_search_runs_once_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []
    real = assessing.best_changes
    monkeypatch.setattr(assessing, "best_changes", lambda *args, **options: searched.append(1) or real(*args, **options))
    policy = Policy(name="p", mode=Mode.GATE, floors=(Floor(expected_mfu_ratio=0.99),))
    look = Inputs(workload=JOB, estimate=expected(), now=NOW, policies=(policy,))
    first = assess(look)
    second = assess(replace(look, now=NOW + 30, previous=first))
    assert (len(searched), second.verdict is first.verdict) == (1, True)
    released = replace(second, verdict=replace(second.verdict, decision=Decision.ADMITTED))
    assert assess(replace(look, previous=released)).verdict is first.verdict, "what became of the pods is not the policies' answer"
    other = assess(replace(look, policies=(replace(policy, mode=Mode.WARN),), previous=second))
    assert (len(searched), other.verdict.decision) == (1, Decision.WARNED)
    assess(replace(look, workload=training(tensor=4), previous=other))
    assert len(searched) == 2


def test_a_search_that_was_left_out_is_made_up_for() -> None:
    job = training(tensor=8, pipeline=4)
    hope = estimator.estimate(job)
    blind = assess(Inputs(workload=job, estimate=hope, now=NOW, search=False))
    assert blind.changes == () and blind.recommendations == ()
    found = assess(Inputs(workload=job, estimate=hope, now=NOW, previous=blind))
    assert found.changes


def test_fewer_requests_than_declared_are_no_drift_but_a_diagnosis() -> None:
    job = inference(concurrency=64)
    whole = estimator.estimate(job)
    lonely = estimator.estimate(inference(concurrency=3))
    assert isinstance(whole, Estimate) and isinstance(lonely, Estimate)
    evidence = Evidence(
        running_requests=3.0, waiting_requests=0.0, busy_ratio=0.97, mean_prompt_tokens=1024.0, mean_generation_tokens=256.0
    )
    found = assess(
        Inputs(
            workload=job,
            estimate=whole,
            now=NOW,
            policies=(Policy(name="p", drift=DriftRule(for_seconds=0.0)),),
            observation=observed(lonely.mfu_ratio, accelerators=1, evidence=evidence),
        )
    )
    assert found.drift == Drift(ratio=pytest.approx(0.0), drifting=False, since_seconds=None, baseline="ExpectedAtLoad")
    assert found.diagnosis[0].cause is Cause.SMALL_BATCH
    assert found.diagnosis[0].share_ratio == pytest.approx(1.0, abs=0.05)
    assert "inference.concurrency" not in [each.field_path for each in found.recommendations]


def test_while_requests_queue_a_small_batch_is_drift() -> None:
    job = inference(concurrency=64)
    whole = estimator.estimate(job)
    assert isinstance(whole, Estimate)
    evidence = Evidence(running_requests=8.0, waiting_requests=40.0)
    policies = (Policy(name="p", drift=DriftRule(for_seconds=0.0)),)
    seen = observed(whole.mfu_ratio / 4, accelerators=1, evidence=evidence)
    found = assess(Inputs(workload=job, estimate=whole, now=NOW, policies=policies, observation=seen))
    assert isinstance(found.drift, Drift) and found.drift.drifting and found.drift.baseline == "Expected"


def test_replicas_without_enough_requests_are_told_to_become_fewer() -> None:
    job = inference(concurrency=64)
    whole = estimator.estimate(job)
    assert isinstance(whole, Estimate)
    evidence = Evidence(running_requests=20.0, waiting_requests=0.0, busy_ratio=0.97)
    look = Inputs(workload=job, estimate=whole, now=NOW, observation=observed(whole.mfu_ratio / 3, accelerators=6, evidence=evidence))
    first = assess(look).recommendations[0]
    # 6 × 20 requests are two replicas' worth of 64: 60 for each.
    assert (first.field_path, first.old, first.new) == ("replicas", "6", "2")
    assert first.saves_dollars_per_hour == pytest.approx(6 * 3.0 * (1 - 2 / 6))
    assert first.expected_mfu_ratio == pytest.approx(whole.mfu_ratio, rel=0.1)
    alone = replace(look, observation=observed(whole.mfu_ratio / 3, accelerators=1, evidence=evidence))
    assert all(each.field_path != "replicas" for each in assess(alone).recommendations)


@pytest.mark.parametrize("reason", [Reason.UNKNOWN_MODEL, Reason.UNKNOWN_ACCELERATOR, Reason.INTENT_INVALID, Reason.UNSUPPORTED_PRECISION])
def test_whatever_is_unknown_gives_a_whole_assessment(reason: Reason) -> None:
    gone: Missing = unknown(reason, "because")
    for workload, estimate in ((gone, gone), (JOB, gone)):
        found = assess(Inputs(workload=workload, estimate=estimate, now=NOW, policies=(Policy(name="p", mode=Mode.GATE),)))
        assert found.drift and found.summary and found.recommendations == () and found.diagnosis == ()
        assert "\n" not in found.summary


def test_problems_of_the_object_are_its_verdict() -> None:
    found = assess(
        Inputs(workload=unknown(Reason.INTENT_INVALID, "bad"), estimate=unknown(), now=NOW, problems=("spec.training: missing",))
    )
    assert (found.verdict.reason, found.verdict.decision) == (VerdictReason.INTENT_INVALID, Decision.ADMITTED)
    assert "spec.training: missing" in found.verdict.message
