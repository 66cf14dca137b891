"""NVIDIA Dynamo's front end (docs/observability/metrics.md). It counts for all workers behind it: label its pods with the workload.

Input tokens are counted when a request ends, the cached part of them in a histogram of its own. Output tokens have a counter of their own
in newer releases only.

Workers pass their engine's metrics on (`vllm:*`, `sglang:*`, `trtllm_*` on DYN_SYSTEM_PORT): counted where they are computed and with
what the engine knows of its cache, they are preferred.
"""

from collections.abc import Sequence

from mfu.observe.serving import Engine, ServingFigure, gauge, presence, rate
from mfu.observe.telemetry import ServingTelemetry, Source

__all__ = ["DYNAMO", "preferring_engines"]

_INPUT = "dynamo_frontend_input_sequence_tokens"
_OUTPUT = "dynamo_frontend_output_sequence_tokens"
_GENERATION = ("dynamo_frontend_output_tokens_total", f"{_OUTPUT}_sum")

DYNAMO = Engine(
    source=Source.DYNAMO,
    identity=("model",),
    figures=(
        rate(ServingFigure.GENERATION, *_GENERATION),
        rate(ServingFigure.PROMPT, f"{_INPUT}_sum"),
        rate(ServingFigure.CACHED_PROMPT, "dynamo_frontend_cached_sequence_length_sum"),
        rate(ServingFigure.PROMPT_SUM, f"{_INPUT}_sum"),
        rate(ServingFigure.PROMPT_COUNT, f"{_INPUT}_count"),
        rate(ServingFigure.GENERATION_SUM, f"{_OUTPUT}_sum"),
        rate(ServingFigure.GENERATION_COUNT, f"{_OUTPUT}_count"),
        gauge(ServingFigure.RUNNING, "dynamo_frontend_inflight_requests"),
        gauge(ServingFigure.WAITING, "dynamo_frontend_queued_requests"),
        *presence(*_GENERATION),
    ),
)


def preferring_engines(found: Sequence[ServingTelemetry]) -> list[ServingTelemetry]:
    """Without the front end where any worker reports for itself: its tokens are theirs, counted a second time."""
    engines = [each for each in found if each.source is not Source.DYNAMO]
    return engines or list(found)
