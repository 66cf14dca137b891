from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.api.resolve import missing_of, resolve
from mfu.api.status import Placement, render
from mfu.api.workloadstatus import ModelWorkloadStatus
from mfu.errors import UnknownName
from mfu.estimate.result import Bound, Estimate, Interval, MemoryFit, MemoryPart, Term, TrainingRates
from mfu.judge.assessment import Assessment, Cause, CauseShare, Cost, Drift, DriftState, Recommendation, Rung
from mfu.judge.verdict import Decision, Verdict, VerdictReason
from mfu.missing import Missing, Reason
from mfu.observe.observation import Observation
from mfu.observe.telemetry import Source
from mfu.place.assess import Spread
from mfu.place.groups import GroupKind
from mfu.place.hint import Hint, Requirement
from mfu.place.topology import Level
from tests.api.objects import TRAINING

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SPEC = TRAINING["spec"]

ESTIMATE = Estimate(
    mfu_ratio=0.431,
    interval=Interval(low_ratio=0.39, high_ratio=0.462),
    hfu_ratio=0.431,
    full_attention_mfu_ratio=0.45,
    roofline_ratio=0.62,
    bound=Bound.COMPUTE,
    model_flops_per_token=4.8e10,
    peak_flops_per_second=989.4e12,
    memory=MemoryFit(
        parts=(MemoryPart(name="weights", required_bytes=20 * 2**30), MemoryPart(name="activations", required_bytes=30 * 2**30)),
        capacity_bytes=76 * 2**30,
    ),
    terms=(
        Term(name="tensorParallel", seconds=0.5, bound=Bound.COMMUNICATION),
        Term(name="matmul", seconds=1.32, bound=Bound.COMPUTE),
        Term(name="pipelineBubble", seconds=0.0, bound=Bound.PIPELINE),
    ),
    rates=TrainingRates(step_seconds=1.82, tokens_per_second_per_accelerator=8123.4, tokens_per_step=4_194_304),
    assumptions=("sharding not declared: zero1",),
)
OBSERVATION = Observation(
    at_seconds=NOW.timestamp(),
    mfu_ratio=0.312,
    hardware_ratio=0.34,
    source=Source.TRAINING,
    tokens_per_second=412_345.6,
    accelerators=64,
)
ASSESSMENT = Assessment(
    workload=resolve(TRAINING),
    estimate=ESTIMATE,
    verdict=Verdict(decision=Decision.ADMITTED, reason=VerdictReason.ADMITTED, message="expected MFU 43.1%; meets floor", policy="floor"),
    observation=OBSERVATION,
    drift=Drift(ratio=-0.276, drifting=True, since_seconds=NOW.timestamp() - 1200, baseline="Expected"),
    drift_state=DriftState(drifting=True, since_seconds=NOW.timestamp() - 1200),
    diagnosis=(
        CauseShare(cause=Cause.DATA_STARVATION, share_ratio=0.61, evidence="22.0% of the time is spent waiting for the data loader"),
    ),
    recommendations=(
        Recommendation(
            field_path="training.parallelism.tensor",
            old="4",
            new="2",
            expected_mfu_ratio=0.46,
            saves_dollars_per_hour=98.2,
            note="data 8 → 16",
        ),
    ),
    cost=Cost(per_hour=191.4, per_million_tokens=0.4213, gap_per_hour=112.4),
    summary="31.2% observed vs 43.1% expected [39.0–46.2]; $112.40/h lost",
)
SPREAD = Spread(
    gpus=64,
    nodes=8,
    nvlink_domains=8,
    leaves=1,
    spines=1,
    level=Level.LEAF,
    link_domain=8,
    crossing=(),
    group_level=Level.NODE,
    wanted_level=Level.NODE,
    groups_inside=True,
    keys=((Level.LEAF, "topology.example.com/leaf"),),
    message="8 nodes, 8 NVLink domains, 1 leaf, 1 spine",
)
HINT = Hint(
    required=True,
    level=Level.LEAF,
    key="topology.example.com/leaf",
    domain="leaf-1",
    requirements=(Requirement(key="topology.example.com/leaf", values=("leaf-1",)),),
    reason="leaf leaf-1 is the smallest block with room for 64 GPUs",
    free=96,
    total=128,
    keeps_groups_whole=True,
    score=(0,),
)
UNOBSERVED = Missing(reason=Reason.TELEMETRY_MISSING, message="no series of the pods in Prometheus; scrape them")


def _render(
    assessment: Assessment = ASSESSMENT, previous: dict[str, Any] | None = None, later: float = 0.0, generation: int = 3
) -> dict[str, Any]:
    return render(
        assessment,
        spec=SPEC,
        previous=previous or {},
        generation=generation,
        now=NOW + timedelta(seconds=later),
        placement=Placement(hint=HINT, spread=SPREAD),
    )


def _observed(ratio: float, at: float = 30.0) -> Assessment:
    """The same workload a tick later, with another observed MFU and everything that follows from it."""
    return replace(
        ASSESSMENT,
        observation=replace(OBSERVATION, mfu_ratio=ratio, hardware_ratio=ratio + 0.03, at_seconds=NOW.timestamp() + at),
        drift=replace(ASSESSMENT.drift, ratio=ratio / 0.431 - 1.0) if isinstance(ASSESSMENT.drift, Drift) else ASSESSMENT.drift,
        cost=replace(ASSESSMENT.cost, gap_per_hour=112.4 * (0.431 - ratio) / 0.119),
        summary=f"{100 * ratio:.1f}% observed vs 43.1% expected [39.0–46.2]; ${112.4 * (0.431 - ratio) / 0.119:.2f}/h lost",
    )


def _conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}


def test_the_status_says_in_words_what_the_assessment_says_in_numbers() -> None:
    status = _render()
    assert (status["mode"], status["model"], status["accelerators"]) == ("training", "llama 8.03B", {"class": "h100-sxm-80gb", "count": 64})
    expected = status["expected"]
    assert [expected[key] for key in ("mfu", "low", "high", "hfu", "fullAttention", "roofline")] == [
        "43.1%",
        "39.0%",
        "46.2%",
        "43.1%",
        "45.0%",
        "62.0%",
    ]
    assert expected["terms"] == ["matmul 73% (1.32 s)", "tensorParallel 27% (500 ms)"]
    assert expected["memory"] == {
        "required": "50.0 GiB",
        "capacity": "76.0 GiB",
        "fits": True,
        "parts": ["activations 30.0 GiB", "weights 20.0 GiB"],
    }
    assert status["observed"] == {
        "mfu": "31.2%",
        "hardware": "34.0%",
        "source": "training",
        "tokensPerSecond": "412,346",
        "accelerators": 64,
        "at": "2026-03-01T12:00:00Z",
    }
    assert status["drift"] == {"ratio": "-27.6%", "baseline": "Expected", "since": "2026-03-01T11:40:00Z"}
    assert status["recommendations"] == [
        {"change": "training.parallelism.tensor: 4 → 2", "expected": "46.0%", "saves": "$98.20/h", "note": "data 8 → 16"}
    ]
    assert status["cost"] == {"perHour": "$191", "perMillionTokens": "$0.42", "gapPerHour": "$112"}
    assert status["placement"] == {
        "hint": HINT.reason,
        "labels": ["topology.example.com/leaf=leaf-1"],
        "required": True,
        "placed": SPREAD.message,
        "satisfied": True,
    }


def _gone(assessment: Assessment) -> Assessment:
    missing = Missing(reason=Reason.UNKNOWN_ACCELERATOR, message="spec.accelerators.class: accelerator class 'x' is not known")
    return replace(
        assessment,
        workload=missing,
        estimate=missing,
        observation=UNOBSERVED,
        drift=UNOBSERVED,
        drift_state=DriftState(),
        diagnosis=(),
        recommendations=(),
        cost=Cost(per_hour=missing, per_million_tokens=missing, gap_per_hour=missing),
        verdict=Verdict(decision=Decision.HELD, reason=VerdictReason.UNKNOWN_ACCELERATOR, message=missing.message),
    )


@pytest.mark.parametrize(
    ("change", "conditions"),
    [
        (
            lambda it: it,
            {
                "Accepted": ("True", "Resolved"),
                "Admitted": ("True", "Admitted"),
                "Placed": ("True", "Placed"),
                "Observed": ("True", "Observed"),
                "Drifting": ("True", "DataStarvation"),
                "Ready": ("True", "Ready"),
            },
        ),
        (
            lambda it: replace(it, drift=Drift(ratio=-0.01, drifting=False, since_seconds=None, baseline="Expected")),
            {"Drifting": ("False", "WithinExpected"), "Ready": ("True", "Ready")},
        ),
        (
            lambda it: replace(it, drift=Drift(ratio=-0.3, drifting=False, since_seconds=1.0, baseline="Expected")),
            {"Drifting": ("False", "Deviating")},
        ),
        (
            lambda it: replace(it, observation=UNOBSERVED, drift=UNOBSERVED, drift_state=DriftState()),
            {"Observed": ("False", "TelemetryMissing"), "Drifting": ("Unknown", "TelemetryMissing"), "Ready": ("True", "Ready")},
        ),
        (
            lambda it: replace(it, observation=UNOBSERVED, drift=UNOBSERVED),
            {"Observed": ("False", "TelemetryMissing"), "Drifting": ("True", "BelowExpected")},
        ),
        (
            lambda it: replace(
                it, verdict=Verdict(decision=Decision.HELD, reason=VerdictReason.BELOW_EXPECTED_MFU_FLOOR, message="19% is under 30%")
            ),
            {"Accepted": ("True", "Resolved"), "Admitted": ("False", "BelowExpectedMFUFloor"), "Ready": ("False", "BelowExpectedMFUFloor")},
        ),
        (
            _gone,
            {
                "Accepted": ("False", "UnknownAccelerator"),
                "Admitted": ("False", "UnknownAccelerator"),
                "Ready": ("False", "UnknownAccelerator"),
            },
        ),
    ],
    ids=["drifting", "healthy", "deviating", "never observed", "drifted and then silent", "held", "unknown GPU"],
)
def test_conditions_have_stable_reasons(change: Callable[[Assessment], Assessment], conditions: dict[str, tuple[str, str]]) -> None:
    found = _conditions(_render(change(ASSESSMENT)))
    assert list(found) == ["Accepted", "Admitted", "Placed", "Observed", "Drifting", "Ready"]
    assert {name: found[name] for name in conditions} == conditions


def test_what_is_unknown_says_so_and_why_and_never_zero() -> None:
    status = _render(_gone(ASSESSMENT))
    for part in ("expected", "observed"):
        assert status[part]["mfu"] == "unknown"
        assert status[part]["message"].startswith("unknown: ")
    assert status["drift"] == {"ratio": "unknown", "message": f"unknown: {UNOBSERVED.message}"}
    assert status["cost"] == {"message": "unknown: spec.accelerators.class: accelerator class 'x' is not known"}
    assert status["accelerators"] == {"class": "h100-sxm-80gb", "count": 64}
    assert (status["mode"], status["model"]) == ("training", "llama")


def test_crossed_links_and_missing_hints_are_said() -> None:
    crossed = replace(SPREAD, crossing=(GroupKind.TENSOR,), groups_inside=False, message="tensor parallelism (16) leaves the fast links")
    no_hint = Missing(reason=Reason.UNKNOWN_TOPOLOGY, message="no labels")
    status = render(ASSESSMENT, spec=SPEC, previous={}, generation=1, now=NOW, placement=Placement(hint=no_hint, spread=crossed))
    assert status["placement"]["hint"] == "none: no labels"
    assert status["placement"]["satisfied"] is False
    assert _conditions(status)["Placed"] == ("True", "LinksCrossed")
    apart = replace(SPREAD, groups_inside=False)
    status = render(ASSESSMENT, spec=SPEC, previous={}, generation=1, now=NOW, placement=Placement(spread=apart))
    assert _conditions(status)["Placed"] == ("True", "GroupsApart")


@pytest.mark.parametrize("change", [lambda it: it, _gone], ids=["known", "unknown"])
def test_the_schema_of_the_crd_keeps_the_whole_status(change: Callable[[Assessment], Assessment]) -> None:
    status = _render(change(ASSESSMENT))
    kept = ModelWorkloadStatus.model_validate(status).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert kept == status


def test_messages_of_any_length_fit_the_schema() -> None:
    long = "words and " * 500
    verdict = Verdict(decision=Decision.HELD, reason=VerdictReason.BELOW_EXPECTED_MFU_FLOOR, message=long)
    ModelWorkloadStatus.model_validate(_render(replace(ASSESSMENT, verdict=verdict, summary=f"a\nb {long}")))


@given(ratio=st.floats(min_value=0.01, max_value=0.9), later=st.floats(min_value=0.0, max_value=1e6))
def test_rendering_what_is_written_again_changes_nothing(ratio: float, later: float) -> None:
    once = _render(_observed(ratio))
    assert _render(_observed(ratio), previous=once, later=later) == once


@given(ratio=st.floats(min_value=0.12, max_value=0.42), noise=st.floats(min_value=-0.0044, max_value=0.0044))
def test_noise_writes_nothing(ratio: float, noise: float) -> None:
    once = _render(_observed(ratio))
    again = _render(_observed(ratio + noise, at=60.0), previous=once, later=60.0)
    assert again["observed"] == once["observed"]
    assert again["drift"]["since"] == once["drift"]["since"]


@pytest.mark.parametrize("ratios", [(0.3125, 0.3109, 0.3131, 0.3117), (0.4301, 0.4285, 0.4329, 0.4299)], ids=["low", "as expected"])
def test_a_quiet_workload_is_not_written_at_every_tick(ratios: tuple[float, ...]) -> None:
    status = _render(_observed(ratios[0]))
    for tick, ratio in enumerate(ratios, start=1):
        assert _render(_observed(ratio, at=30.0 * tick), previous=status, later=30.0 * tick) == status


def test_waiting_for_telemetry_is_not_written_at_every_tick() -> None:
    def silent(seconds: int) -> Assessment:
        missing = Missing(reason=Reason.TELEMETRY_MISSING, message=f"no sample for {seconds} s; scrape the pods")
        return replace(
            ASSESSMENT, observation=missing, drift=missing, drift_state=DriftState(), summary=f"43.1% expected; {missing.message}"
        )

    status = _render(silent(30))
    assert _render(silent(60), previous=status, later=30.0) == status


def test_a_placement_is_exact() -> None:
    before = _render()
    moved = replace(SPREAD, nodes=9, message=SPREAD.message.replace("8 nodes", "9 nodes"))
    after = render(ASSESSMENT, spec=SPEC, previous=before, generation=3, now=NOW, placement=Placement(hint=HINT, spread=moved))
    assert after["placement"]["placed"] == moved.message
    assert {item["type"]: item["message"] for item in after["conditions"]}["Placed"] == moved.message


def test_a_real_change_is_written_whole_and_with_its_time() -> None:
    before = _render()
    after = _render(_observed(0.35), previous=before, later=30.0)
    assert after["observed"]["mfu"] == "35.0%"
    assert after["observed"]["at"] == "2026-03-01T12:00:30Z"
    assert after["summary"].startswith("35.0% observed")
    assert after["conditions"][0]["lastTransitionTime"] == before["conditions"][0]["lastTransitionTime"]


def test_half_a_point_is_a_real_change() -> None:
    before = _render()
    assert _render(_observed(0.3175), previous=before, later=30.0)["observed"]["mfu"] == "31.8%"
    assert _render(_observed(0.3165), previous=before, later=30.0)["observed"]["mfu"] == "31.2%"


def test_a_status_that_changes_gets_a_new_transition_time() -> None:
    before = _render()
    healthy = replace(ASSESSMENT, drift=Drift(ratio=-0.01, drifting=False, since_seconds=None, baseline="Expected"))
    after = _render(healthy, previous=before, later=90.0)
    times = {item["type"]: item["lastTransitionTime"] for item in after["conditions"]}
    assert times["Drifting"] == "2026-03-01T12:01:30Z"
    assert times["Ready"] == "2026-03-01T12:00:00Z"
    assert "since" not in after["drift"]


def test_a_new_expectation_is_exact_however_near_the_old_one() -> None:
    before = _render()
    nearly = replace(ASSESSMENT, estimate=replace(ESTIMATE, mfu_ratio=0.432), summary=ASSESSMENT.summary.replace("43.1%", "43.2%"))
    after = _render(nearly, previous=before, generation=4)
    assert after["expected"]["mfu"] == "43.2%" and "43.2%" in after["summary"]
    assert after["observedGeneration"] == 4


@pytest.mark.parametrize("previous", [{"observed": 3}, {"observed": {"mfu": None}}, {"conditions": "x"}, {"expected": []}], ids=repr)
def test_whatever_was_stored_is_survived(previous: dict[str, Any]) -> None:
    assert _render(previous=previous) == _render()


def test_a_workload_that_cannot_be_resolved_has_a_status_too() -> None:
    missing = missing_of(UnknownName("spec.model.catalog", "model 'x' is not in the catalog"))
    status = render(replace(_gone(ASSESSMENT), workload=missing), spec={}, previous={}, generation=0, now=NOW)
    assert status["mode"] == "unknown" and status["model"] == "unknown"
    assert _conditions(status)["Accepted"] == ("False", "UnknownModel")


def test_a_workload_that_is_held_is_not_asked_to_start_its_pods() -> None:
    waiting = Missing(reason=Reason.NOT_RUNNING, message="no pod of the workload is running; label its pods and start them")
    held = Verdict(decision=Decision.HELD, reason=VerdictReason.BELOW_EXPECTED_MFU_FLOOR, message="19% is under 30%")
    status = _render(replace(ASSESSMENT, verdict=held, observation=waiting, drift=waiting, diagnosis=()))
    told = {item["type"]: item for item in status["conditions"]}["Observed"]
    assert (told["status"], told["reason"]) == ("False", "NotRunning")
    assert told["message"] == "the pods are held at the gate, so nothing runs yet; see the condition Admitted"
    assert "held at the gate" in status["observed"]["message"] and "start them" not in str(status)


def test_the_waterfall_and_what_a_recommendation_costs_are_lines_that_a_person_reads() -> None:
    rungs = (
        Rung(name="peak", lost_ratio=0.0, left_ratio=1.0),
        Rung(name="matmul below peak", lost_ratio=0.569, left_ratio=0.431),
        Rung(name="expected", lost_ratio=0.0, left_ratio=0.431),
    )
    narrower = Recommendation(
        field_path="precision.compute",
        old="bf16",
        new="fp8",
        expected_mfu_ratio=0.104,
        saves_dollars_per_hour=10.0,
        speed_ratio=1.32,
        low_mfu_ratio=0.09,
        high_mfu_ratio=0.12,
        tokens_per_second=1234.5,
        dollars_per_hour=40.0,
        dollars_per_million_tokens=0.5,
        peak_ratio=2.0,
        price="needs a restart, check the results",
        confidence="high",
    )
    status = _render(replace(ASSESSMENT, waterfall=rungs, recommendations=(narrower,)))
    assert status["waterfall"] == ["peak: 100.0%", "matmul below peak: -56.9% → 43.1%", "expected: 43.1%"]
    (told,) = status["recommendations"]
    assert told["gain"] == "1.32 times the tokens per second"
    assert told["expected"] == "10.4% of a peak that is 2 times as high"
    assert (told["interval"], told["perHour"], told["perMillionTokens"]) == ("9.0% to 12.0%", "$40.00", "$0.50")
    assert (told["price"], told["confidence"]) == ("needs a restart, check the results", "high")


def test_noise_around_the_expectation_does_not_write_the_waterfall_again() -> None:
    def near(observed: float) -> Assessment:
        rest = Rung(name="within doubt", lost_ratio=0.431 - observed, left_ratio=observed)
        rungs = (Rung(name="expected", lost_ratio=0.0, left_ratio=0.431), rest)
        return replace(ASSESSMENT, observation=replace(OBSERVATION, mfu_ratio=observed), waterfall=rungs)

    before = _render(near(0.4305))
    assert _render(near(0.4315), previous=before)["waterfall"] == before["waterfall"] == ["expected: 43.1%", before["waterfall"][1]]
