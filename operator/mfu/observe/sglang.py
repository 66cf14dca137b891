"""SGLang's names (`--enable-metrics`; sglang/srt/observability/metrics_collector.py of release 0.5), its gateway's as fallbacks.

The scheduler's token counters say what was computed; the tokenizer's count at the end of a request and include cached tokens.
A worker that only prefills has no decoded tokens, so any of the modes tells that it reports.
Every tensor- and pipeline-parallel rank may report the same work, so ranks are no part of a series' identity; data-parallel ranks are.
"""

from mfu.observe.promql import Across, selector
from mfu.observe.serving import Engine, ServingFigure, gauge, presence, rate
from mfu.observe.telemetry import Source

__all__ = ["SGLANG"]

_REALTIME = "sglang:realtime_tokens_total"
_GATEWAY = "sglang_realtime_tokens_total"  # its gateway, of every worker behind it
_GENERATION = "sglang:generation_tokens_total"
_GATEWAY_GENERATION = "sglang_generation_tokens_total"

SGLANG = Engine(
    source=Source.SGLANG,
    identity=("dp_rank", "model_name", "is_streaming", "cache_source", "worker_addr"),
    figures=(
        rate(
            ServingFigure.GENERATION,
            selector(_REALTIME, mode="decode"),
            selector(_GATEWAY, mode="decode"),
            _GENERATION,
            _GATEWAY_GENERATION,
        ),
        rate(ServingFigure.COMPUTED_PROMPT, selector(_REALTIME, mode="prefill_compute"), selector(_GATEWAY, mode="prefill_compute")),
        rate(ServingFigure.PROMPT, "sglang:prompt_tokens_total", "sglang_prompt_tokens_total"),
        rate(ServingFigure.CACHED_PROMPT, selector(_REALTIME, mode="prefill_cache"), "sglang:cached_tokens_total"),
        rate(ServingFigure.PROMPT_SUM, "sglang:prompt_tokens_histogram_sum"),
        rate(ServingFigure.PROMPT_COUNT, "sglang:prompt_tokens_histogram_count"),
        rate(ServingFigure.GENERATION_SUM, "sglang:generation_tokens_histogram_sum"),
        rate(ServingFigure.GENERATION_COUNT, "sglang:generation_tokens_histogram_count"),
        rate(ServingFigure.REQUESTS, "sglang:num_requests_total"),
        gauge(ServingFigure.RUNNING, "sglang:num_running_reqs", "sglang_num_running_reqs"),
        gauge(ServingFigure.WAITING, "sglang:num_queue_reqs", "sglang_num_queue_reqs"),
        gauge(ServingFigure.CACHE_USAGE, "sglang:token_usage", "sglang_token_usage", across=Across.MEAN),
        rate(ServingFigure.ENGINE_FLOPS, "sglang:estimated_flops_per_gpu_total"),
        *presence(_REALTIME, _GATEWAY, _GENERATION, _GATEWAY_GENERATION),
    ),
)
