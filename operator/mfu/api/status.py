"""Assessment → the status of a ModelWorkload: strings that a person reads from top to bottom, written only when they say something new."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mfu.api.claims import claims, told_at_the_gate
from mfu.api.conditions import conditions
from mfu.api.expectation import clipped, expected_status
from mfu.api.figures import count_text, instant, money, percent, rate_text, ratio_of, signed_percent
from mfu.api.history import history_status
from mfu.api.settle import settled, settled_text, steady_percent
from mfu.estimate.workload import Inference, Phase, Training, Workload
from mfu.judge.assessment import Assessment, Cost, Drift, Recommendation, Rung
from mfu.judge.calibration import Calibrated
from mfu.judge.verdict import Verdict
from mfu.missing import Missing
from mfu.model.totals import parameters
from mfu.observe.observation import Observation
from mfu.place.assess import Spread
from mfu.place.hint import Hint

__all__ = ["Placement", "model_label", "render"]

_STATIONS = frozenset({"peak", "expected", "observed"})
_OBSERVED = frozenset({"Observed", "Drifting"})  # conditions that speak of observed figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What was asked of the scheduler and what came of it; None: nothing was."""

    hint: Hint | Missing | None = None
    spread: Spread | Missing | None = None


def render(
    assessment: Assessment,
    *,
    spec: Mapping[str, Any],
    previous: Mapping[str, Any],
    generation: int,
    now: datetime,
    placement: Placement | None = None,
) -> dict[str, Any]:
    """The whole status. It equals `previous` (the status as it is stored) when nothing worth writing changed.

    Figures that come from observation keep what is written until they have moved by more than noise; everything that follows from the
    declared intent is exact. `lastTransitionTime` of a condition is kept while its status is the same.
    """
    placement, assessment = placement or Placement(), told_at_the_gate(assessment)
    expected = expected_status(assessment.estimate)
    written_expectation = {key: value for key, value in _mapping(previous.get("expected")).items() if key != "calibrated"}
    observed = _observed(assessment.observation, previous.get("observed"))
    seen = {
        "summary": clipped(assessment.summary),
        "drift": _drift(assessment, expected["mfu"], observed["mfu"]),
        "diagnosis": [
            {"cause": str(item.cause), "share": percent(item.share_ratio), "evidence": clipped(item.evidence)}
            for item in assessment.diagnosis[:16]
        ],
        "waterfall": [clipped(_rung(item)) for item in assessment.waterfall[:32]],
        "recommendations": [_recommendation(item) for item in assessment.recommendations[:8]],
        "cost": _cost(assessment.cost),
        "conditions": conditions(
            claims(assessment, placement.spread, expected["mfu"], observed["mfu"]), previous.get("conditions"), generation, now
        ),
    }
    verdict = _verdict(assessment.verdict)
    # What all these say is made of the expected and the observed figures: it is kept with them or written with them.
    if observed.get("at") and expected == written_expectation and verdict == previous.get("verdict"):
        seen = {key: _steady(key, value, previous.get(key)) for key, value in seen.items()}
    status = {
        "observedGeneration": generation,
        "mode": _mode(assessment.workload, spec),
        "model": model_label(spec, assessment.workload),
        "accelerators": _accelerators(assessment.workload, spec),
        "verdict": verdict,
        "expected": expected | _calibrated(assessment.calibrated, _mapping(previous.get("expected")).get("calibrated")),
        "observed": observed if observed.get("at") else observed | {"at": instant(_moment(assessment.observation, now))},
        "placement": _placement(placement),
        "history": history_status(assessment.record, assessment.peers, previous.get("history")),
        **seen,
    }
    return {key: value for key, value in status.items() if value not in ({}, [], None)}


def model_label(spec: Mapping[str, Any], workload: Workload | Missing) -> str:
    """The model in short: its catalogued name, else its family and size, else where it is declared to be."""
    source = _mapping(spec.get("model"))
    if source.get("catalog"):
        return clipped(str(source["catalog"]))
    if not isinstance(workload, Missing):
        return f"{workload.architecture.family} {count_text(parameters(workload.architecture).total)}"
    reference = _mapping(source.get("configMapRef")).get("name")
    return clipped(str(reference or _mapping(source.get("config")).get("model_type") or "unknown"))


def _mode(workload: Workload | Missing, spec: Mapping[str, Any]) -> str:
    match workload:
        case Workload(job=Training()):
            return "training"
        case Workload(job=Inference(phase=Phase.MIXED)):
            return "inference"
        case Workload(job=Inference(phase=phase)):
            return str(phase)
        case _:
            return "training" if spec.get("training") else "inference" if spec.get("inference") else "unknown"


def _accelerators(workload: Workload | Missing, spec: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(workload, Missing):
        declared = _mapping(spec.get("accelerators"))
        return {key: declared[key] for key in ("class", "count") if declared.get(key) is not None}
    return {"class": workload.fabric.accelerator.name, "count": workload.fabric.count}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    rendered = {"decision": str(verdict.decision), "reason": str(verdict.reason), "message": clipped(verdict.message)}
    return rendered | ({"policy": verdict.policy} if verdict.policy else {})


def _observed(observation: Observation | Missing, written: object) -> dict[str, Any]:
    """With the time that is written where nothing else changed, and without a time where something did."""
    before = _mapping(written)
    rendered: dict[str, Any]
    if isinstance(observation, Missing):
        rendered = _unobserved(observation, before)
    else:
        match observation.mfu_ratio:
            case Missing() as missing:
                rendered = _unobserved(missing, before)
            case ratio:
                rendered = {"mfu": steady_percent(ratio, before.get("mfu"))}
        if not isinstance(observation.hardware_ratio, Missing):
            rendered["hardware"] = steady_percent(observation.hardware_ratio, before.get("hardware"))
        if observation.source is not None:
            rendered["source"] = str(observation.source)
        if observation.tokens_per_second is not None:
            tokens = rate_text(observation.tokens_per_second)
            rendered["tokensPerSecond"] = settled_text(tokens, str(before.get("tokensPerSecond")))
        rendered["accelerators"] = observation.accelerators
        if observation.faults:
            rendered["faults"] = settled([clipped(fault) for fault in observation.faults[:32]], before.get("faults"))
    same = rendered == {key: value for key, value in before.items() if key != "at"}
    return rendered | ({"at": before["at"]} if same and "at" in before else {})


def _unobserved(missing: Missing, before: Mapping[str, Any]) -> dict[str, Any]:
    return {"mfu": "unknown", "message": settled_text(clipped(f"unknown: {missing.message}"), str(before.get("message")), loose=True)}


def _moment(observation: Observation | Missing, now: datetime) -> datetime:
    return now if isinstance(observation, Missing) else datetime.fromtimestamp(observation.at_seconds, UTC)


def _steady(part: str, new: Any, written: Any) -> Any:
    """`new` without noise. What follows from the two ratios or waits for them is kept whatever its figures: near zero all is noise."""
    match part:
        case "conditions":
            before = {item.get("type"): item for item in written if isinstance(item, Mapping)} if isinstance(written, list) else {}
            return [settled(item, before.get(item["type"]), loose=True) if item["type"] in _OBSERVED else item for item in new]
        case "drift":
            return settled(new, written, loose=new["ratio"] == "unknown")
        case _:
            return settled(new, written, loose=part in ("cost", "summary"))


def _drift(assessment: Assessment, expected: str, observed: str) -> dict[str, Any]:
    """Against the expectation the ratio is that of the two shown figures, so that a reader finds what they divide to."""
    match assessment.drift:
        case Missing(message=message):
            rendered, since = {"ratio": "unknown", "message": clipped(f"unknown: {message}")}, assessment.drift_state.since_seconds
        case Drift(ratio=ratio, baseline=baseline, since_seconds=since):
            shown = ratio_of(expected), ratio_of(observed)
            if baseline == "Expected" and shown[0] and shown[1] is not None:
                ratio = shown[1] / shown[0] - 1.0
            rendered = {"ratio": signed_percent(ratio), "baseline": baseline}
            if assessment.drift.change:
                rendered["change"] = clipped(assessment.drift.change)
            if baseline == "OwnLevel" and assessment.drift.level_ratio is not None:
                rendered["level"] = percent(assessment.drift.level_ratio)
    return rendered | ({"since": instant(datetime.fromtimestamp(since, UTC))} if since is not None else {})


def _calibrated(calibrated: Calibrated | None, written: object) -> dict[str, str]:
    if calibrated is None:
        return {}
    many = "1 workload" if calibrated.workloads == 1 else f"{calibrated.workloads} workloads"
    interval = f"[{100.0 * calibrated.low_ratio:.1f}–{100.0 * calibrated.high_ratio:.1f}]"
    return {"calibrated": settled(f"{percent(calibrated.mfu_ratio)} {interval}, from {many}", written)}


def _rung(item: Rung) -> str:
    """`pipeline bubble: -8.1% → 57.6%`; the three stations have no loss."""
    lost = "" if item.name in _STATIONS else f"{signed_percent(-item.lost_ratio)} → "
    return f"{item.name}: {lost}{percent(item.left_ratio)}"


def _recommendation(item: Recommendation) -> dict[str, Any]:
    rendered = {"change": clipped(f"{item.field_path}: {item.old} → {item.new}")}
    if item.speed_ratio != 1.0:
        rendered["gain"] = f"{item.speed_ratio:.2f} times the tokens per second"
    higher = "" if item.peak_ratio <= 1.01 else f" of a peak that is {item.peak_ratio:.2g} times as high"
    rendered["expected"] = f"{percent(item.expected_mfu_ratio)}{higher}"
    if item.low_mfu_ratio is not None and item.high_mfu_ratio is not None:
        rendered["interval"] = f"{percent(item.low_mfu_ratio)} to {percent(item.high_mfu_ratio)}"
    if item.tokens_per_second is not None:
        rendered["tokensPerSecond"] = rate_text(item.tokens_per_second)
    if item.dollars_per_hour is not None:
        rendered["perHour"] = money(item.dollars_per_hour)
    if item.dollars_per_million_tokens is not None:
        rendered["perMillionTokens"] = money(item.dollars_per_million_tokens)
    rendered |= {key: clipped(text) for key, text in (("price", item.price), ("confidence", item.confidence)) if text}
    if not isinstance(item.saves_dollars_per_hour, Missing):
        rendered["saves"] = f"{money(item.saves_dollars_per_hour)}/h"
    return rendered | ({"note": clipped(item.note)} if item.note else {})


def _cost(cost: Cost) -> dict[str, Any]:
    figures = {"perHour": cost.per_hour, "perMillionTokens": cost.per_million_tokens, "gapPerHour": cost.gap_per_hour}
    rendered = {key: money(value) for key, value in figures.items() if not isinstance(value, Missing)}
    unknown = next((value.message for value in figures.values() if isinstance(value, Missing)), None)
    return rendered | ({"message": clipped(f"unknown: {unknown}")} if unknown else {})


def _placement(placement: Placement) -> dict[str, Any]:
    rendered: dict[str, Any] = {}
    match placement.hint:
        case Hint() as hint:
            rendered["hint"] = clipped(hint.reason)
            rendered["labels"] = [clipped(f"{item.key}={'|'.join(item.values)}") for item in hint.requirements[:32]]
            rendered["required"] = hint.required
        case Missing(message=message):
            rendered["hint"] = clipped(f"none: {message}")
    match placement.spread:
        case Spread() as spread:
            rendered["placed"] = clipped(spread.message)
            if spread.groups_inside is not None:
                rendered["satisfied"] = spread.groups_inside
            rendered.setdefault("labels", [clipped(f"{key} ({level})") for level, key in spread.keys[:32]])
        case Missing(message=message):
            rendered["placed"] = clipped(f"unknown: {message}")
    return rendered


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
