"""One line that answers "how is it doing?"."""

from collections.abc import Sequence

from mfu.estimate.result import Estimate
from mfu.judge.assessment import CauseShare, Cost, Drift
from mfu.judge.verdict import Decision, Verdict
from mfu.judge.wording import dollars, spoken
from mfu.missing import Missing
from mfu.observe.observation import Observation

__all__ = ["summarize"]


def summarize(
    *,
    estimate: Estimate | Missing,
    verdict: Verdict,
    observation: Observation | Missing,
    drift: Drift | Missing,
    diagnosis: Sequence[CauseShare],
    cost: Cost,
) -> str:
    """Observed against expected, the first cause, and the money; or why one of them is not there.

    `31.2% observed vs 43.1% expected [39.0–46.2]; communication: tensor parallelism crosses nodes; $112/h lost`
    """
    if verdict.decision in (Decision.HELD, Decision.REFUSED):
        return f"{verdict.decision.lower()}: {verdict.message}"
    if isinstance(estimate, Missing):
        seen = _observed(observation)
        return f"{seen}; no expectation: {estimate.message}" if seen else f"no expectation: {estimate.message}"
    low, high = estimate.interval.low_ratio * 100, estimate.interval.high_ratio * 100
    expected = f"{estimate.mfu_ratio:.1%} expected [{low:.1f}–{high:.1f}]"
    if isinstance(observation, Missing):
        return f"{expected}; {observation.message}"
    if isinstance(observation.mfu_ratio, Missing):
        return f"{expected}; MFU not observed: {observation.mfu_ratio.message}"
    parts = [f"{observation.mfu_ratio:.1%} observed vs {expected}"]
    if isinstance(drift, Drift) and drift.drifting and drift.baseline == "OwnLevel":
        parts.append(f"{drift.ratio:.1%} from its own best level" + (f" since {drift.change}" if drift.change else ""))
    if diagnosis and diagnosis[0].expected:
        parts.append(f"as declared; limited by {spoken(diagnosis[0].cause)}: {diagnosis[0].evidence}")
    elif diagnosis:
        parts.append(f"{spoken(diagnosis[0].cause)}: {diagnosis[0].evidence}")
    elif isinstance(drift, Drift) and not drift.drifting:
        parts.append("as expected")
    if diagnosis and not diagnosis[0].expected and not isinstance(cost.gap_per_hour, Missing) and cost.gap_per_hour >= 0.01:
        parts.append(f"{dollars(cost.gap_per_hour)}/h lost")
    return "; ".join(parts)


def _observed(observation: Observation | Missing) -> str:
    if isinstance(observation, Missing) or isinstance(observation.mfu_ratio, Missing):
        return ""
    return f"{observation.mfu_ratio:.1%} observed"
