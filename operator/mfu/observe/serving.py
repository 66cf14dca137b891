"""What the inference engines have in common: the figures they all give under their own names, and reading them back into telemetry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mfu.observe.attribution import application_pod
from mfu.observe.port import Sample
from mfu.observe.promql import APPLICATION_LABELS, FIGURE, POD_LABELS, Across, Figure, Kind, expression
from mfu.observe.telemetry import PodKey, ServingTelemetry, Source

__all__ = ["Engine", "ServingFigure", "expressions", "gauge", "presence", "rate", "read"]


class ServingFigure(StrEnum):
    PROMPT = "prompt"
    COMPUTED_PROMPT = "computedPrompt"
    CACHED_PROMPT = "cachedPrompt"
    GENERATION = "generation"
    REQUESTS = "requests"
    PROMPT_SUM = "promptSum"
    PROMPT_COUNT = "promptCount"
    GENERATION_SUM = "generationSum"
    GENERATION_COUNT = "generationCount"
    RUNNING = "running"
    WAITING = "waiting"
    CACHE_USAGE = "cacheUsage"
    PREEMPTIONS = "preemptions"
    ENGINE_FLOPS = "engineFlops"
    LAST_SCRAPE = "lastScrape"
    BEFORE_WINDOW = "beforeWindow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine's names. `identity`: labels beyond pod and instance that tell apart series which both count (ranks, adapters)."""

    source: Source
    figures: tuple[Figure, ...]
    identity: tuple[str, ...]


def rate(figure: ServingFigure, *selectors: str) -> Figure:
    return Figure(name=figure, selectors=selectors, kind=Kind.RATE)


def gauge(figure: ServingFigure, *selectors: str, across: Across = Across.SUM) -> Figure:
    return Figure(name=figure, selectors=selectors, kind=Kind.MEAN, across=across)


def presence(*selectors: str) -> tuple[Figure, Figure]:
    """When the engine's main counter was last scraped, and whether it was there a window ago."""
    return (
        Figure(name=ServingFigure.LAST_SCRAPE, selectors=selectors, kind=Kind.LAST_SCRAPE, across=Across.MAX),
        Figure(name=ServingFigure.BEFORE_WINDOW, selectors=selectors, kind=Kind.BEFORE_WINDOW, across=Across.MAX),
    )


def expressions(engine: Engine, window_seconds: float) -> tuple[str, ...]:
    identity = (*APPLICATION_LABELS, *engine.identity)
    return tuple(expression(figure, group=POD_LABELS, identity=identity, window_seconds=window_seconds) for figure in engine.figures)


def read(engine: Engine, samples: Iterable[Sample]) -> Mapping[PodKey, ServingTelemetry]:
    """Telemetry of every pod that reports generated tokens; other pods' figures are dropped, and so is what claims another namespace."""
    rows: dict[PodKey, dict[str, float]] = {}
    for sample in samples:
        key = application_pod(sample.labels)
        if key is not None:
            rows.setdefault(key, {})[sample.labels.get(FIGURE, "")] = sample.value
    return {key: _telemetry(engine.source, row) for key, row in rows.items() if _reports(row)}


def _reports(row: Mapping[str, float]) -> bool:
    return ServingFigure.GENERATION in row or ServingFigure.LAST_SCRAPE in row


def _telemetry(source: Source, row: Mapping[str, float]) -> ServingTelemetry:
    prompt = row.get(ServingFigure.PROMPT, 0.0)
    cached = row.get(ServingFigure.CACHED_PROMPT)
    computed = row.get(ServingFigure.COMPUTED_PROMPT)
    if computed is None:
        computed = max(0.0, prompt - (cached or 0.0))
    return ServingTelemetry(
        source=source,
        computed_prompt_tokens_per_second=computed,
        generation_tokens_per_second=row.get(ServingFigure.GENERATION, 0.0),
        cached_prompt_tokens_per_second=cached,
        requests_per_second=_first(row, (ServingFigure.REQUESTS, ServingFigure.PROMPT_COUNT)),
        mean_prompt_tokens=_ratio(row, ServingFigure.PROMPT_SUM, ServingFigure.PROMPT_COUNT),
        mean_generation_tokens=_ratio(row, ServingFigure.GENERATION_SUM, ServingFigure.GENERATION_COUNT),
        running_requests=row.get(ServingFigure.RUNNING),
        waiting_requests=row.get(ServingFigure.WAITING),
        cache_usage_ratio=row.get(ServingFigure.CACHE_USAGE),
        preemptions_per_second=row.get(ServingFigure.PREEMPTIONS),
        engine_flops_per_second=row.get(ServingFigure.ENGINE_FLOPS),
        sampled_at_seconds=row.get(ServingFigure.LAST_SCRAPE),
        covers_window=ServingFigure.BEFORE_WINDOW in row,
    )


def _first(row: Mapping[str, float], figures: Sequence[str]) -> float | None:
    return next((row[figure] for figure in figures if figure in row), None)


def _ratio(row: Mapping[str, float], over: str, under: str) -> float | None:
    """A histogram's mean over the window, None when nothing finished in it."""
    count = row.get(under, 0.0)
    return row[over] / count if over in row and count > 0.0 else None
