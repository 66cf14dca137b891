"""Progress of training jobs: the reporter's counters, and counters that a tenant declares by name.

`mfu_training_tokens_total` counts positions (padding included) that the reporting pod accounts for, and pods add up. With the label
`scope="job"` every pod counts the tokens of the whole job. Steps are always the whole job's. Seconds of waiting for data are each process's
own.
"""

from collections.abc import Iterable, Mapping, Sequence

from mfu.observe.attribution import application_pod
from mfu.observe.port import Sample
from mfu.observe.promql import APPLICATION_LABELS, FIGURE, POD_LABELS, Across, Figure, Kind, expression
from mfu.observe.telemetry import PodKey, TrainingCounters, TrainingTelemetry

__all__ = ["REPORTED", "declared_expressions", "expressions", "read", "read_declared"]

REPORTED = TrainingCounters(tokens_metric="mfu_training_tokens_total", steps_metric="mfu_training_steps_total")

_SCOPE = "scope"
_GROUP = (*POD_LABELS, _SCOPE)
_IDENTITY = (*APPLICATION_LABELS, _SCOPE, "rank", "local_rank", "process")
_TOKENS, _STEPS, _DATA_WAIT, _LAST_SCRAPE, _BEFORE_WINDOW = "tokens", "steps", "dataWait", "lastScrape", "beforeWindow"


def expressions(window_seconds: float) -> tuple[str, ...]:
    return _expressions((*_of_counters(REPORTED), _mean_wait("mfu_training_data_wait_seconds_total")), window_seconds)


def declared_expressions(counters: Sequence[TrainingCounters], window_seconds: float) -> tuple[str, ...]:
    """The same for names that tenants declared, told apart by their position in `counters`."""
    figures = [figure for position, each in enumerate(counters) for figure in _of_counters(each, suffix=f" {position}")]
    return _expressions(figures, window_seconds)


def read(samples: Iterable[Sample]) -> Mapping[PodKey, TrainingTelemetry]:
    """Telemetry of every pod that reports tokens."""
    return _telemetry(samples, suffix="")


def read_declared(
    samples: Sequence[Sample], counters: Sequence[TrainingCounters]
) -> Mapping[TrainingCounters, Mapping[PodKey, TrainingTelemetry]]:
    """What was read for each of `counters`, which are those that were asked for."""
    return {each: _telemetry(samples, suffix=f" {position}") for position, each in enumerate(counters)}


def _of_counters(counters: TrainingCounters, suffix: str = "") -> list[Figure]:
    tokens = (counters.tokens_metric,)
    figures = [
        Figure(name=_TOKENS + suffix, selectors=tokens, kind=Kind.RATE),
        Figure(name=_LAST_SCRAPE + suffix, selectors=tokens, kind=Kind.LAST_SCRAPE, across=Across.MAX),
        Figure(name=_BEFORE_WINDOW + suffix, selectors=tokens, kind=Kind.BEFORE_WINDOW, across=Across.MAX),
    ]
    if counters.steps_metric:
        figures.append(Figure(name=_STEPS + suffix, selectors=(counters.steps_metric,), kind=Kind.RATE, across=Across.MAX))
    return figures


def _mean_wait(metric: str) -> Figure:
    return Figure(name=_DATA_WAIT, selectors=(metric,), kind=Kind.RATE, across=Across.MEAN)


def _expressions(figures: Sequence[Figure], window_seconds: float) -> tuple[str, ...]:
    return tuple(expression(figure, group=_GROUP, identity=_IDENTITY, window_seconds=window_seconds) for figure in figures)


def _telemetry(samples: Iterable[Sample], *, suffix: str) -> dict[PodKey, TrainingTelemetry]:
    rows: dict[PodKey, dict[str, float]] = {}
    whole_job: set[PodKey] = set()
    for sample in samples:
        key = application_pod(sample.labels)
        name = sample.labels.get(FIGURE, "")
        if key is None or not name.endswith(suffix) or (not suffix and " " in name):
            continue
        figure = name.removesuffix(suffix)
        rows.setdefault(key, {})[figure] = sample.value
        if figure == _TOKENS and sample.labels.get(_SCOPE) == "job":
            whole_job.add(key)
    return {
        key: TrainingTelemetry(
            tokens_per_second=row.get(_TOKENS, 0.0),
            steps_per_second=row.get(_STEPS),
            data_wait_ratio=None if _DATA_WAIT not in row else min(1.0, row[_DATA_WAIT]),
            counts_whole_job=key in whole_job,
            sampled_at_seconds=row.get(_LAST_SCRAPE),
            covers_window=_BEFORE_WINDOW in row,
        )
        for key, row in rows.items()
        if _TOKENS in row or _LAST_SCRAPE in row
    }
