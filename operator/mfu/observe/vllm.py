"""vLLM's names (`/metrics` of its API server; vllm/v1/metrics/loggers.py of release 0.33), with older ones as fallbacks."""

from mfu.observe.promql import Across, selector
from mfu.observe.serving import Engine, ServingFigure, gauge, presence, rate
from mfu.observe.telemetry import Source

__all__ = ["VLLM"]

_GENERATION = "vllm:generation_tokens_total"

VLLM = Engine(
    source=Source.VLLM,
    # `engine` is the data-parallel rank; adapters report under their own model_name.
    identity=("engine", "model_name", "finished_reason"),
    figures=(
        rate(ServingFigure.GENERATION, _GENERATION),
        rate(ServingFigure.PROMPT, "vllm:prompt_tokens_total"),
        rate(ServingFigure.COMPUTED_PROMPT, selector("vllm:prompt_tokens_by_source_total", source="local_compute")),
        rate(
            ServingFigure.CACHED_PROMPT,
            "vllm:prompt_tokens_cached_total",
            "vllm:prefix_cache_hits_total",
            "vllm:gpu_prefix_cache_hits_total",
        ),
        rate(ServingFigure.REQUESTS, "vllm:request_success_total"),
        rate(ServingFigure.PROMPT_SUM, "vllm:request_prompt_tokens_sum"),
        rate(ServingFigure.PROMPT_COUNT, "vllm:request_prompt_tokens_count"),
        rate(ServingFigure.GENERATION_SUM, "vllm:request_generation_tokens_sum"),
        rate(ServingFigure.GENERATION_COUNT, "vllm:request_generation_tokens_count"),
        gauge(ServingFigure.RUNNING, "vllm:num_requests_running"),
        gauge(ServingFigure.WAITING, "vllm:num_requests_waiting"),
        gauge(ServingFigure.CACHE_USAGE, "vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", across=Across.MEAN),
        rate(ServingFigure.PREEMPTIONS, "vllm:num_preemptions_total"),
        # Only with --enable-mfu-metrics.
        rate(ServingFigure.ENGINE_FLOPS, "vllm:estimated_flops_per_gpu_total"),
        *presence(_GENERATION),
    ),
)
