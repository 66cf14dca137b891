"""The one question the operator asks of a metrics store, so that everything above can be fed by a fake."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Metrics", "Sample"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One element of an instant vector; `value` is finite. A bare scalar has no labels."""

    labels: Mapping[str, str]
    value: float
    at_seconds: float  # Unix time of the evaluation


class Metrics(Protocol):
    """A store that answers PromQL: Prometheus, Thanos, Mimir, VictoriaMetrics."""

    def query(self, promql: str) -> tuple[Sample, ...]:
        """The instant vector that `promql` evaluates to now, without NaN and infinite elements.

        Raises `MetricsError` with one line that says what was answered instead and what to check.
        """
        ...
