"""Money: what a workload costs, what its tokens cost, and what the gap between expected and observed costs."""

from mfu.estimate.result import Estimate, ServingRates, TrainingRates
from mfu.estimate.workload import Inference, Phase, Workload
from mfu.judge.assessment import Cost
from mfu.missing import Missing, Reason
from mfu.observe.observation import Observation

__all__ = ["cost", "expected_dollars_per_million_tokens", "expected_tokens_per_second", "gap_ratio"]

_SECONDS_PER_HOUR = 3600.0


def cost(workload: Workload, estimate: Estimate | Missing, observation: Observation | Missing) -> Cost:
    """Dollars per hour for the accelerators held (declared, when nothing runs), and for a million tokens as observed, else as expected.

    Tokens are trained tokens, output tokens of inference, or prompt tokens of a prefill replica. The gap is the share of the hourly
    cost that bought nothing: 1 − observed ÷ expected, never negative.
    """
    price = workload.fabric.accelerator.price_per_hour
    if price is None:
        unknown = Missing(
            reason=Reason.UNKNOWN_PRICE,
            message=f"{workload.fabric.accelerator.name} has no price; set spec.pricePerHour in its AcceleratorClass",
        )
        return Cost(per_hour=unknown, per_million_tokens=unknown, gap_per_hour=unknown)
    seen = None if isinstance(observation, Missing) else observation
    per_hour = price * (seen.accelerators if seen is not None and seen.accelerators else workload.fabric.count)
    gap = gap_ratio(estimate, observation)
    return Cost(
        per_hour=per_hour,
        per_million_tokens=_per_million(workload, estimate, seen, per_hour),
        gap_per_hour=gap if isinstance(gap, Missing) else per_hour * gap,
    )


def gap_ratio(estimate: Estimate | Missing, observation: Observation | Missing) -> float | Missing:
    """1 − observed ÷ expected MFU, at least 0."""
    if isinstance(observation, Missing):
        return observation
    if isinstance(observation.mfu_ratio, Missing):
        return observation.mfu_ratio
    if isinstance(estimate, Missing):
        return estimate
    if estimate.mfu_ratio <= 0.0:
        return Missing(reason=Reason.NOT_APPLICABLE, message="the expected MFU is zero, so there is nothing to fall short of")
    return max(0.0, 1.0 - observation.mfu_ratio / estimate.mfu_ratio)


def expected_tokens_per_second(workload: Workload, estimate: Estimate) -> float:
    """Tokens a second of the declared accelerators: trained, output, or (prefill) prompt tokens."""
    match estimate.rates:
        case TrainingRates() as training:
            each = training.tokens_per_second_per_accelerator
        case ServingRates() as serving:
            prefill = isinstance(workload.job, Inference) and workload.job.phase is Phase.PREFILL
            each = serving.total_tokens_per_second_per_accelerator if prefill else serving.output_tokens_per_second_per_accelerator
    return each * workload.fabric.count


def expected_dollars_per_million_tokens(workload: Workload, estimate: Estimate) -> float | Missing:
    """What a million tokens are expected to cost at the accelerator's price."""
    return cost(workload, estimate, Missing(reason=Reason.NOT_RUNNING, message="not observed")).per_million_tokens


def _per_million(workload: Workload, estimate: Estimate | Missing, seen: Observation | None, per_hour: float) -> float | Missing:
    if seen is not None and seen.tokens_per_second:
        return per_hour / _SECONDS_PER_HOUR / seen.tokens_per_second * 1e6
    if isinstance(estimate, Missing):
        return estimate
    tokens = expected_tokens_per_second(workload, estimate)
    # The expectation is for the declared count, whatever number is held.
    price = workload.fabric.accelerator.price_per_hour or 0.0
    if tokens <= 0.0:
        return Missing(reason=Reason.NOT_APPLICABLE, message="no tokens are expected")
    return price * workload.fabric.count / _SECONDS_PER_HOUR / tokens * 1e6
