"""Everything about one workload at one moment, from everything that is known: the one call of the reconciler and the CLI."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mfu.estimate.result import Estimate
from mfu.estimate.search import Change, best_changes
from mfu.estimate.workload import Workload
from mfu.judge.admission import decide, drift_rule
from mfu.judge.assessment import Assessment, Cost, Drift, DriftState, Recommendation
from mfu.judge.baseline import at_load
from mfu.judge.calibration import Calibrated
from mfu.judge.diagnosis import diagnose
from mfu.judge.drift import UNTRACKED, track, with_own
from mfu.judge.economics import cost
from mfu.judge.history import UNRECORDED, Record, own_drift
from mfu.judge.peers import Peer
from mfu.judge.policy import DriftRule, Policy
from mfu.judge.question import Answer, Question
from mfu.judge.recommend import consolidate, recommend
from mfu.judge.summary import summarize
from mfu.judge.verdict import Verdict
from mfu.judge.waterfall import waterfall
from mfu.missing import Missing, Reason
from mfu.observe.observation import Observation
from mfu.place.assess import Spread

__all__ = ["Inputs", "assess"]

_SEARCHED_CHANGES = 12


def _not_running() -> Missing:
    return Missing(reason=Reason.NOT_RUNNING, message="no pod of this workload is running")


def _not_placed() -> Missing:
    return Missing(reason=Reason.UNKNOWN_TOPOLOGY, message="the placement is not known")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """`previous`: the last assessment of the same object; its drift goes on, and its verdict and searched changes are used again while
    what they depend on is the same. `drift_state`: overrides the drift carried so far (after a restart). `search`: False leaves out
    recommendations and remedies. `record`, `calibrated` and `peers`: what the ticks remember, taken over as they are.
    """

    workload: Workload | Missing
    estimate: Estimate | Missing
    now: float
    policies: Sequence[Policy] = ()
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    workload_labels: Mapping[str, str] = field(default_factory=dict)
    skip_gate_reason: str | None = None
    problems: Sequence[str] = ()
    link_domain_satisfied: bool | None = None
    observation: Observation | Missing = field(default_factory=_not_running)
    spread: Spread | Missing = field(default_factory=_not_placed)
    previous: Assessment | None = None
    drift_state: DriftState | None = None
    search: bool = True
    record: Record = UNRECORDED
    calibrated: Calibrated | None = None
    peers: tuple[Peer, ...] = ()


def assess(inputs: Inputs) -> Assessment:
    """Verdict, drift, diagnosis, recommendations, money and summary of one workload. Never raises for what is merely unknown."""
    question = Question(
        workload=inputs.workload,
        estimate=inputs.estimate,
        policies=tuple(inputs.policies),
        namespace_labels=inputs.namespace_labels,
        workload_labels=inputs.workload_labels,
        skip_gate_reason=inputs.skip_gate_reason,
        problems=tuple(inputs.problems),
        link_domain_satisfied=inputs.link_domain_satisfied,
        search=inputs.search,
    )
    changes = _changes(question, inputs.previous)
    verdict = _verdict(question, changes, inputs.previous)
    money = _cost(inputs)
    drift, state = _drift(
        inputs, drift_rule(inputs.policies, namespace_labels=inputs.namespace_labels, workload_labels=inputs.workload_labels)
    )
    drift = with_own(drift, own_drift(inputs.record))
    diagnosis = (
        ()
        if isinstance(inputs.workload, Missing)
        else diagnose(inputs.workload, inputs.estimate, inputs.observation, inputs.spread, changes)
    )
    return Assessment(
        workload=inputs.workload,
        estimate=inputs.estimate,
        verdict=verdict,
        observation=inputs.observation,
        drift=drift,
        diagnosis=diagnosis,
        recommendations=_recommendations(inputs, changes, money),
        cost=money,
        summary=summarize(
            estimate=inputs.estimate,
            verdict=verdict,
            observation=inputs.observation,
            drift=drift,
            diagnosis=diagnosis,
            cost=money,
        ),
        drift_state=state,
        record=inputs.record,
        calibrated=inputs.calibrated,
        peers=inputs.peers,
        waterfall=waterfall(inputs.estimate, inputs.observation, diagnosis),
        changes=changes,
        answer=Answer(question=question, verdict=verdict),
    )


def _changes(question: Question, previous: Assessment | None) -> tuple[Change, ...]:
    if not question.search or isinstance(question.workload, Missing) or isinstance(question.estimate, Missing):
        return ()
    if previous is not None and previous.answer is not None and question.has_changes_of(previous.answer.question):
        return previous.changes
    return best_changes(question.workload, question.estimate, limit=_SEARCHED_CHANGES)


def _verdict(question: Question, changes: tuple[Change, ...], previous: Assessment | None) -> Verdict:
    if previous is not None and previous.answer is not None and previous.answer.question == question:
        return previous.answer.verdict
    return decide(
        question.workload,
        question.estimate,
        question.policies,
        namespace_labels=question.namespace_labels,
        workload_labels=question.workload_labels,
        skip_gate_reason=question.skip_gate_reason,
        problems=question.problems,
        link_domain_satisfied=question.link_domain_satisfied,
        changes=lambda: changes,
    )


def _cost(inputs: Inputs) -> Cost:
    if isinstance(inputs.workload, Missing):
        return Cost(per_hour=inputs.workload, per_million_tokens=inputs.workload, gap_per_hour=inputs.workload)
    return cost(inputs.workload, inputs.estimate, inputs.observation)


def _recommendations(inputs: Inputs, changes: tuple[Change, ...], money: Cost) -> tuple[Recommendation, ...]:
    if isinstance(inputs.workload, Missing) or isinstance(inputs.estimate, Missing):
        return ()
    if not isinstance(inputs.observation, Missing) and at_load(inputs.workload, inputs.estimate, inputs.observation) is not None:
        # Requests that do not come cannot be admitted by raising a limit.
        fewer = consolidate(inputs.workload, inputs.estimate, inputs.observation, money)
        others = recommend((change for change in changes if change.field_path != "inference.concurrency"), inputs.estimate, money)
        return others if fewer is None else (fewer, *others[:2])
    return recommend(changes, inputs.estimate, money)


def _drift(inputs: Inputs, rule: DriftRule) -> tuple[Drift | Missing, DriftState]:
    state = inputs.drift_state or (inputs.previous.drift_state if inputs.previous is not None else UNTRACKED)
    loaded = None
    if (
        not isinstance(inputs.workload, Missing)
        and not isinstance(inputs.estimate, Missing)
        and not isinstance(inputs.observation, Missing)
    ):
        loaded = at_load(inputs.workload, inputs.estimate, inputs.observation)
    if loaded is not None:
        return track(state, inputs.observation, loaded, rule, inputs.now, baseline="ExpectedAtLoad")
    return track(state, inputs.observation, inputs.estimate, rule, inputs.now)
