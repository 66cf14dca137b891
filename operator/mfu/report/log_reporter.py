"""What the sidecar serves: the reporter's counters, read off a log, and what the log itself says of its speed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from mfu.report.exposition import SCOPE_JOB, STEPS, TOKENS
from mfu.report.logs.record import Facts, Parser, Record
from mfu.report.payout import NOTHING
from mfu.report.progress import Progress

__all__ = ["LogReporter"]


class LogReporter(Collector):
    """Feed it lines; Prometheus collects it.

    `warn` gets one line for each different thing that keeps tokens from being counted. `smooth`: pay out evenly what comes in lumps; for
    a log that is read at once there is nothing to smooth.
    """

    def __init__(
        self,
        parser: Parser,
        declared: Facts,
        *,
        warn: Callable[[str], None],
        smooth: bool = True,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._parser = parser
        self._progress = Progress(declared)
        self._warn = warn
        self._smooth = smooth
        self._clock = clock
        self._payout = NOTHING
        self._latest: Record | None = None
        self._tokens_per_second: float | None = None
        self._records = 0
        self._warned: set[str] = set()

    def remember(self, lines: Iterable[str]) -> None:
        """Lines that were written before: they tell the job and its place, and are not counted."""
        for line in lines:
            for found in self._parser.feed(line):
                self._take(found, count=False)

    def feed(self, line: str) -> None:
        for found in self._parser.feed(line):
            self._take(found)

    def pause(self) -> None:
        """The log is silent: what waited for its last line is taken as it is."""
        for found in self._parser.flush():
            self._take(found)

    @property
    def found(self) -> bool:
        """Whether any line said how the training goes."""
        return self._latest is not None

    def collect(self) -> Iterator[Metric]:
        tokens, steps = self._payout.at(self._clock())
        for name, text, value in (
            (TOKENS, "Positions trained on, padding included, as the log tells.", tokens),
            (STEPS, "Optimizer steps of the job, as the log tells.", steps),
        ):
            counter = CounterMetricFamily(name, text, labels=("scope",))
            counter.add_metric((SCOPE_JOB,), value)
            yield counter
        yield CounterMetricFamily("mfu_training_log_records", "Steps that were read off the log.", value=self._records)
        yield from self._gauges()

    def _gauges(self) -> Iterator[Metric]:
        """Only what the log says: a figure that is not there is no series."""
        latest = self._latest
        if latest is None:
            return
        figures: Sequence[tuple[str, str, float | None]] = (
            ("step_seconds", "Time of the last step.", latest.step_seconds),
            ("tokens_per_second", "Speed of the job at the last step.", self._tokens_per_second),
            ("sequences_per_second", "Sequences of the job, by the log.", latest.sequences_per_second),
            ("accelerator_tokens_per_second", "Speed of one accelerator, by the log.", latest.tokens_per_second_per_accelerator),
            (
                "accelerator_flops_per_second",
                "FLOP/s of one accelerator, as its framework counts.",
                latest.flops_per_second_per_accelerator,
            ),
            ("mfu_ratio", "The framework's own MFU, of the peak that it assumes.", latest.mfu_ratio),
            ("step", "The last step.", None if latest.step is None else float(latest.step)),
        )
        for name, text, value in figures:
            if value is not None:
                yield GaugeMetricFamily(f"mfu_training_log_{name}", text, value=value)

    def _take(self, found: Record | Facts, *, count: bool = True) -> None:
        if isinstance(found, Facts):
            self._progress.learn(found)
            return
        now = self._clock()
        advance = self._progress.take(found, now=now if count and self._smooth else None)
        if advance is None:
            if found.step is None:
                self._latest, self._tokens_per_second = found, found.tokens_per_second
            return
        self._latest = found
        self._tokens_per_second = advance.tokens_per_second
        if advance.lacking and advance.lacking not in self._warned:
            self._warned.add(advance.lacking)
            self._warn(f"tokens are not counted: {advance.lacking}")
        if count:
            self._records += 1
            seconds = advance.seconds if self._smooth else 0.0
            self._payout = self._payout.add(now=now, tokens=advance.tokens or 0.0, steps=advance.steps, seconds=seconds)
