"""NVIDIA Dynamo's front end (docs/observability/metrics.md). It counts for all workers behind it: label its pods with the workload.

Input tokens are counted when a request ends, the cached part of them in a histogram of its own.
"""

from mfu.observe.serving import Engine, ServingFigure, gauge, presence, rate
from mfu.observe.telemetry import Source

__all__ = ["DYNAMO"]

_GENERATION = "dynamo_frontend_output_tokens_total"
_INPUT = "dynamo_frontend_input_sequence_tokens"
_OUTPUT = "dynamo_frontend_output_sequence_tokens"

DYNAMO = Engine(
    source=Source.DYNAMO,
    identity=("model",),
    figures=(
        rate(ServingFigure.GENERATION, _GENERATION),
        rate(ServingFigure.PROMPT, f"{_INPUT}_sum"),
        rate(ServingFigure.CACHED_PROMPT, "dynamo_frontend_cached_sequence_length_sum"),
        rate(ServingFigure.PROMPT_SUM, f"{_INPUT}_sum"),
        rate(ServingFigure.PROMPT_COUNT, f"{_INPUT}_count"),
        rate(ServingFigure.GENERATION_SUM, f"{_OUTPUT}_sum"),
        rate(ServingFigure.GENERATION_COUNT, f"{_OUTPUT}_count"),
        gauge(ServingFigure.RUNNING, "dynamo_frontend_inflight_requests"),
        gauge(ServingFigure.WAITING, "dynamo_frontend_queued_requests"),
        *presence(_GENERATION),
    ),
)
