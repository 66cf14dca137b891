"""Text Generation Inference's names. It has no token counters: the sums of its per-request histograms count tokens when a request ends."""

from mfu.observe.serving import Engine, ServingFigure, gauge, presence, rate
from mfu.observe.telemetry import Source

__all__ = ["TGI"]

_GENERATED = "tgi_request_generated_tokens"
_INPUT = "tgi_request_input_length"

TGI = Engine(
    source=Source.TGI,
    identity=(),
    figures=(
        rate(ServingFigure.GENERATION, f"{_GENERATED}_sum"),
        rate(ServingFigure.PROMPT, f"{_INPUT}_sum"),
        rate(ServingFigure.PROMPT_SUM, f"{_INPUT}_sum"),
        rate(ServingFigure.PROMPT_COUNT, f"{_INPUT}_count"),
        rate(ServingFigure.GENERATION_SUM, f"{_GENERATED}_sum"),
        rate(ServingFigure.GENERATION_COUNT, f"{_GENERATED}_count"),
        gauge(ServingFigure.RUNNING, "tgi_batch_current_size"),
        gauge(ServingFigure.WAITING, "tgi_queue_size"),
        *presence(f"{_GENERATED}_sum"),
    ),
)
