"""The in-process reporter: three counters, one small HTTP server, no framework."""

import os
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from time import perf_counter
from types import TracebackType
from typing import Generic, Self, TypeVar

from prometheus_client import CollectorRegistry, Counter

from mfu.report.exposition import DATA_WAIT, DEFAULT_PORT, STEPS, TOKENS, Exposition

__all__ = ["Reporter", "Scope", "TimedData"]

_Batch = TypeVar("_Batch")


class Scope(StrEnum):
    """Whose tokens `Reporter.step` is told."""

    JOB = "job"  # the whole job's, told by global rank 0 alone
    RANK = "rank"  # each process its own; the pod's ranks and the job's pods add up


class Reporter:
    """Counts training progress and serves it to Prometheus while entered.

    ::

        with Reporter(port=9400) as reporter:
            for batch in reporter.timed_data(loader):
                train_step(batch)
                reporter.step(tokens=global_batch_size * sequence_length)

    `scope=Scope.JOB` (the default): `tokens` are those of the whole job's step; only global rank 0 serves, in the other ranks every
    call does nothing. `scope=Scope.RANK`: `tokens` are those that this process accounts for (ranks that work on the same tokens, as in
    tensor, pipeline or context parallelism, must share them out, or only one of them count); every process serves, on `port` plus its
    local rank.

    Tokens are positions, padding included: the declared `tokenEfficiency` says how many of them are real. Ranks are read from
    RANK and LOCAL_RANK (torchrun, Kubeflow), else SLURM_PROCID and SLURM_LOCALID, else they are 0.
    """

    def __init__(
        self,
        port: int = DEFAULT_PORT,
        *,
        address: str = "0.0.0.0",
        scope: Scope | str = Scope.JOB,
        rank: int | None = None,
        local_rank: int | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.scope = Scope(scope)
        self.rank = _rank(environment, "RANK", "SLURM_PROCID") if rank is None else rank
        own = _rank(environment, "LOCAL_RANK", "SLURM_LOCALID") if local_rank is None else local_rank
        self.serves = self.scope is Scope.RANK or self.rank == 0
        registry = CollectorRegistry()
        labels = {"scope": str(self.scope), "rank": str(self.rank)}
        self._tokens = Counter(TOKENS, "Positions trained on, padding included.", tuple(labels), registry=registry).labels(**labels)
        self._steps = Counter(STEPS, "Optimizer steps of the job.", tuple(labels), registry=registry).labels(**labels)
        self._wait = Counter(DATA_WAIT, "Time this process waited for its data loader.", tuple(labels), registry=registry).labels(**labels)
        offset = own if self.scope is Scope.RANK and port else 0
        self._exposition = Exposition(registry, port=port + offset, address=address)

    @property
    def port(self) -> int | None:
        """The port that is served; None: none is."""
        return self._exposition.port

    def step(self, *, tokens: int = 0, data_wait_seconds: float = 0.0, steps: int = 1) -> None:
        """`steps` optimizer steps are done, over `tokens` positions, having waited `data_wait_seconds` for data in all.

        Pass `steps=0` for a micro batch. Figures that are not positive count as none.
        """
        if not self.serves:
            return
        self._tokens.inc(max(0, tokens))
        self._steps.inc(max(0, steps))
        self.waited(data_wait_seconds)

    def waited(self, seconds: float) -> None:
        """This process waited `seconds` for data."""
        if self.serves:
            self._wait.inc(max(0.0, seconds))

    def timed_data(self, batches: Iterable[_Batch]) -> "TimedData[_Batch]":
        """The same batches, with the time spent waiting for each counted; can be iterated as often as `batches` can."""
        return TimedData(batches, self)

    def __enter__(self) -> Self:
        if self.serves:
            self._exposition.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.serves:
            self._exposition.__exit__(kind, error, trace)


class TimedData(Generic[_Batch]):
    """An iterable whose iterators report how long they were waited for. Its length is that of what it wraps."""

    def __init__(self, batches: Iterable[_Batch], reporter: Reporter) -> None:
        self._batches = batches
        self._reporter = reporter

    def __len__(self) -> int:
        return len(self._batches)  # type: ignore[arg-type]  # TypeError where there is no length, as without the wrapper

    def __iter__(self) -> Iterator[_Batch]:
        started = perf_counter()
        for batch in self._batches:
            self._reporter.waited(perf_counter() - started)
            yield batch
            started = perf_counter()


def _rank(environment: Mapping[str, str], *names: str) -> int:
    values = (environment.get(name, "") for name in names)
    return next((int(value) for value in values if value.isdigit()), 0)
