"""What is expected, in words and figures for the status of a ModelWorkload."""

from typing import Any

from mfu.api.figures import bytes_text, flops_text, percent, rate_text, seconds_text
from mfu.estimate.result import Estimate, MemoryFit, ServingRates, TrainingRates
from mfu.missing import Missing

__all__ = ["clipped", "expected_status"]

_LONGEST = 1024
_MOST_LINES = 32


def expected_status(estimate: Estimate | Missing) -> dict[str, Any]:
    """The `expected` of the status; an expectation that is not known says why in `message`."""
    if isinstance(estimate, Missing):
        return {"mfu": "unknown", "message": clipped(f"unknown: {estimate.message}")}
    rendered = {
        "mfu": percent(estimate.mfu_ratio),
        "low": percent(estimate.interval.low_ratio),
        "high": percent(estimate.interval.high_ratio),
        "hfu": percent(estimate.hfu_ratio),
        "fullAttention": percent(estimate.full_attention_mfu_ratio),
        "roofline": percent(estimate.roofline_ratio),
        "boundBy": str(estimate.bound),
        "flopsPerToken": flops_text(estimate.model_flops_per_token),
        "peakPerAccelerator": f"{flops_text(estimate.peak_flops_per_second)}/s",
        "memory": _memory(estimate.memory),
        "terms": _terms(estimate),
        "assumptions": [clipped(text) for text in estimate.assumptions[:_MOST_LINES]],
        **_rates(estimate.rates),
    }
    return {key: value for key, value in rendered.items() if value != []}


def clipped(text: str) -> str:
    """One line of at most the length that the schema allows."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _memory(memory: MemoryFit) -> dict[str, Any]:
    parts = sorted(memory.parts, key=lambda part: -part.required_bytes)
    rendered: dict[str, Any] = {
        "required": bytes_text(memory.required_bytes),
        "capacity": bytes_text(memory.capacity_bytes),
        "fits": memory.fits,
        "parts": [f"{part.name} {bytes_text(part.required_bytes)}" for part in parts[:_MOST_LINES]],
    }
    return rendered | ({"remedy": clipped(memory.remedy)} if memory.remedy else {})


def _terms(estimate: Estimate) -> list[str]:
    total = estimate.step_seconds
    terms = sorted((term for term in estimate.terms if term.seconds > 0), key=lambda term: -term.seconds)
    return [f"{term.name} {_share(term.seconds / total)} ({seconds_text(term.seconds)})" for term in terms[:_MOST_LINES]]


def _share(ratio: float) -> str:
    return f"{100.0 * ratio:.0f}%" if ratio >= 0.01 else "<1%"


def _rates(rates: TrainingRates | ServingRates) -> dict[str, Any]:
    match rates:
        case TrainingRates():
            return {
                "stepTime": seconds_text(rates.step_seconds),
                "tokensPerSecondPerAccelerator": rate_text(rates.tokens_per_second_per_accelerator),
            }
        case ServingRates():
            return {
                "tokensPerSecondPerAccelerator": rate_text(rates.total_tokens_per_second_per_accelerator),
                "outputTokensPerSecondPerAccelerator": rate_text(rates.output_tokens_per_second_per_accelerator),
                "timeToFirstToken": seconds_text(rates.time_to_first_token_seconds),
                "timePerOutputToken": seconds_text(rates.time_per_output_token_seconds),
                "concurrency": rates.concurrency,
            }
