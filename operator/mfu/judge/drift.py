"""Drift: the observed MFU stays below the expected interval, or below the workload's own level, for as long as the policy says."""

from dataclasses import replace

from mfu.estimate.result import Estimate
from mfu.judge.assessment import Drift
from mfu.judge.deviation import UNTRACKED, DriftState
from mfu.judge.history import OwnDrift
from mfu.judge.policy import DriftRule
from mfu.missing import Missing, Reason
from mfu.observe.observation import Observation

__all__ = ["UNTRACKED", "resume", "track", "with_own"]

# Recovery asks for a tenth of the way from the threshold back to the expectation, so that noise at the threshold does not toggle the
# condition.
_RECOVERY_RATIO = 0.1


def resume(*, since_seconds: float | None, drifting: bool, now: float) -> DriftState:
    """The state after a restart, from what the status holds; the time since `since_seconds` counts as observed."""
    if since_seconds is None:
        return UNTRACKED
    return DriftState(drifting=drifting, since_seconds=since_seconds, below_seconds=max(0.0, now - since_seconds))


def track(
    previous: DriftState,
    observation: Observation | Missing,
    estimate: Estimate | Missing,
    rule: DriftRule,
    now: float,
    *,
    baseline: str = "Expected",
) -> tuple[Drift | Missing, DriftState]:
    """One look. Drift begins after `rule.for_seconds` below both tolerance and interval, and ends after `rule.recover_seconds` above.

    Looks without an observation stop the clock and change nothing else: silence neither heals nor harms. A single good look among bad
    ones takes its own time off the count instead of starting it again. A clock that steps backwards adds nothing.
    """
    known = _known(observation, estimate)
    if isinstance(known, Missing):
        return known, replace(previous, last_seconds=None)
    observed, expected, low = known
    threshold = min(expected * (1.0 - rule.tolerance_ratio), low)
    elapsed = 0.0 if previous.last_seconds is None else max(0.0, now - previous.last_seconds)
    if previous.drifting:
        state = _while_drifting(previous, observed >= threshold + _RECOVERY_RATIO * (expected - threshold), elapsed, rule)
    else:
        state = _while_steady(previous, observed < threshold, elapsed, now, rule)
    state = replace(state, last_seconds=now)
    return Drift(ratio=observed / expected - 1.0, drifting=state.drifting, since_seconds=state.since_seconds, baseline=baseline), state


def with_own(drift: Drift | Missing, own: OwnDrift | None) -> Drift | Missing:
    """Both comparisons in one: drift from the expectation where there is one, else from the own level; with what changed."""
    if isinstance(drift, Missing) or own is None:
        return drift
    drift = replace(drift, level_ratio=own.level_ratio)
    if drift.drifting:
        return replace(drift, change=own.change if own.drifting else "")
    if not own.drifting:
        return drift
    return replace(drift, ratio=own.ratio, drifting=True, since_seconds=own.since_seconds, baseline="OwnLevel", change=own.change)


def _known(observation: Observation | Missing, estimate: Estimate | Missing) -> tuple[float, float, float] | Missing:
    """Observed and expected MFU and the lower end of the interval, or the first of them that is missing."""
    if isinstance(observation, Missing):
        return observation
    if isinstance(observation.mfu_ratio, Missing):
        return observation.mfu_ratio
    if isinstance(estimate, Missing):
        return estimate
    if estimate.mfu_ratio <= 0.0:
        return Missing(reason=Reason.NOT_APPLICABLE, message="the expected MFU is zero, so nothing can fall short of it")
    return observation.mfu_ratio, estimate.mfu_ratio, estimate.interval.low_ratio


def _while_steady(previous: DriftState, below: bool, elapsed: float, now: float, rule: DriftRule) -> DriftState:
    if below:
        counted = previous.below_seconds + (elapsed if previous.since_seconds is not None else 0.0)
        since = now if previous.since_seconds is None else previous.since_seconds
        return DriftState(drifting=counted >= rule.for_seconds, since_seconds=since, below_seconds=counted)
    if previous.since_seconds is None:
        return UNTRACKED
    counted, above = previous.below_seconds - elapsed, previous.above_seconds + elapsed
    if counted <= 0.0 or above >= rule.recover_seconds:
        return UNTRACKED
    return replace(previous, below_seconds=counted, above_seconds=above)


def _while_drifting(previous: DriftState, recovered: bool, elapsed: float, rule: DriftRule) -> DriftState:
    if not recovered:
        return replace(previous, below_seconds=previous.below_seconds + elapsed, above_seconds=0.0)
    above = previous.above_seconds + elapsed
    return UNTRACKED if above >= rule.recover_seconds else replace(previous, above_seconds=above)
