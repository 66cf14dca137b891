"""TensorRT-LLM's names (trtllm-serve; tensorrt_llm/metrics/collector.py). Per-request figures need `return_perf_metrics: true`."""

from mfu.observe.promql import Across
from mfu.observe.serving import Engine, ServingFigure, gauge, presence, rate
from mfu.observe.telemetry import Source

__all__ = ["TENSORRT_LLM"]

_GENERATION = "trtllm_generation_tokens_total"

TENSORRT_LLM = Engine(
    source=Source.TENSORRT_LLM,
    identity=("engine_type", "model_name", "finished_reason"),
    figures=(
        rate(ServingFigure.GENERATION, _GENERATION),
        rate(ServingFigure.PROMPT, "trtllm_prompt_tokens_total"),
        rate(ServingFigure.CACHED_PROMPT, "trtllm_prompt_cached_tokens_total"),
        rate(ServingFigure.REQUESTS, "trtllm_request_success_total"),
        gauge(ServingFigure.RUNNING, "trtllm_num_requests_running"),
        gauge(ServingFigure.WAITING, "trtllm_num_requests_waiting"),
        gauge(ServingFigure.CACHE_USAGE, "trtllm_kv_cache_utilization", across=Across.MEAN),
        *presence(_GENERATION),
    ),
)
