"""One look at Prometheus for all workloads at once."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from time import monotonic

from mfu.errors import MetricsError
from mfu.missing import Missing, Reason
from mfu.observe import alternation, device_exporter, serving, training, triton
from mfu.observe.amd import AMD
from mfu.observe.attribution import claimed_pod
from mfu.observe.dcgm import DCGM
from mfu.observe.device_exporter import DeviceExporter
from mfu.observe.dynamo import DYNAMO
from mfu.observe.port import Metrics, Sample
from mfu.observe.promql import pack
from mfu.observe.serving import Engine
from mfu.observe.sglang import SGLANG
from mfu.observe.telemetry import PodKey, ServingTelemetry, Snapshot, TrainingCounters
from mfu.observe.tensorrt import TENSORRT_LLM
from mfu.observe.tgi import TGI
from mfu.observe.vllm import VLLM

__all__ = ["DEVICE_EXPORTERS", "ENGINES", "MAX_DECLARED_COUNTERS", "read_snapshot"]

ENGINES: tuple[Engine, ...] = (VLLM, SGLANG, TENSORRT_LLM, TGI, DYNAMO)
DEVICE_EXPORTERS: tuple[DeviceExporter, ...] = (DCGM, AMD)
# Tenants declare names, so their number is bounded: two queries hold this many.
MAX_DECLARED_COUNTERS = 8
_PROBE = "time()"


def read_snapshot(
    metrics: Metrics,
    *,
    now: float,
    window_seconds: float = 120.0,
    training_counters: Collection[TrainingCounters] = (),
    deadline_seconds: float = 60.0,
    clock: Callable[[], float] = monotonic,
) -> Snapshot:
    """Rates and means over the last `window_seconds` of everything that reports, in a number of queries that no workload adds to.

    `now`: our own time, for when the store does not tell its. `training_counters`: the counters that tenants declared by name; beyond
    `MAX_DECLARED_COUNTERS` the rest is left in `unread`. A query that fails costs only its own figures. A store that does not answer
    at all, or past the deadline, is not asked further.
    """
    asked = _Asked(metrics=metrics, ends=clock() + deadline_seconds, clock=clock)
    told = asked.samples((_PROBE,))
    if asked.failures:
        return Snapshot(at_seconds=now, problem=_unavailable(asked.failures[0]), queries=asked.queries)
    found: dict[PodKey, ServingTelemetry] = {}
    claimed: set[PodKey] = set()
    for engine in ENGINES:
        samples = asked.samples(pack(serving.expressions(engine, window_seconds)))
        found = {**serving.read(engine, samples), **found}
        claimed.update(_claims(samples))
    # Presence of a server costs little, so it rides with the training counters' query.
    samples = asked.samples(pack((*training.expressions(window_seconds), *triton.expressions(window_seconds))))
    countless = triton.read(samples)
    reported = training.read(samples)
    claimed.update(_claims(samples))
    # A name that everybody's reporter uses needs no query of its own.
    wanted = sorted({each for each in training_counters if each.tokens_metric != training.REPORTED.tokens_metric})
    taken, left = wanted[:MAX_DECLARED_COUNTERS], wanted[MAX_DECLARED_COUNTERS:]
    declared = training.read_declared(asked.samples(pack(training.declared_expressions(taken, window_seconds))), taken)
    devices = tuple(
        device
        for exporter in DEVICE_EXPORTERS
        for device in device_exporter.read(exporter, asked.stream(device_exporter.queries(exporter, window_seconds)))
    )
    devices = alternation.shared(DCGM, devices, asked.samples((alternation.expression(DCGM),)))
    return Snapshot(
        # Ages of scrapes are told by the store's own clock: ours may differ.
        at_seconds=told[0].value if told else now,
        serving=found,
        training=reported,
        declared=declared,
        devices=devices,
        claimed=frozenset(claimed),
        unread=frozenset(left),
        countless=countless,
        problem=_problem(asked),
        queries=asked.queries,
    )


@dataclass(slots=True)
class _Asked:
    """The questions of one tick and what became of them."""

    metrics: Metrics
    ends: float
    clock: Callable[[], float]
    queries: int = 0
    failures: list[str] = field(default_factory=list)

    def samples(self, queries: Iterable[str]) -> list[Sample]:
        return list(self.stream(queries))

    def stream(self, queries: Iterable[str]) -> Iterator[Sample]:
        """One answer in memory at a time: those of a fleet's devices are large."""
        for promql in queries:
            if self.clock() >= self.ends:
                self.failures.append("the time for one look ran out: raise --tick-seconds or lighten Prometheus")
                continue
            self.queries += 1
            try:
                answer = self.metrics.query(promql)
            except MetricsError as error:
                self.failures.append(str(error))
                continue
            yield from answer


def _claims(samples: Iterable[Sample]) -> set[PodKey]:
    return {claimed for sample in samples if (claimed := claimed_pod(sample.labels)) is not None}


def _unavailable(message: str) -> Missing:
    return Missing(reason=Reason.PROMETHEUS_UNAVAILABLE, message=message)


def _problem(asked: _Asked) -> Missing | None:
    if not asked.failures:
        return None
    return _unavailable(f"{len(asked.failures)} of {asked.queries} queries failed, the rest was read; first: {asked.failures[0]}")
