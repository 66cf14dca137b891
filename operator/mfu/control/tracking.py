"""The memory of the ticks: every workload's record, and what is learned from all of them together."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp

from mfu.api.history import record_of
from mfu.control.resources import JsonObject, Key
from mfu.estimate.result import Estimate
from mfu.estimate.workload import Inference, Training, Workload
from mfu.judge.calibration import Calibrated, Contribution, Corrections, Where, calibrate, calibrated
from mfu.judge.change import Setup
from mfu.judge.deviation import DriftState
from mfu.judge.history import UNRECORDED, Record, advance, frozen
from mfu.judge.history_look import LoadedEstimates, look_of
from mfu.judge.peers import Peer, Placed, peers, work_of
from mfu.judge.policy import DriftRule
from mfu.missing import Missing
from mfu.observe.observation import Observation

__all__ = ["Tracking", "where_of"]

LEARNED_EVERY_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    workload: Workload
    record: Record


class Tracking:
    """`look` is called with every workload at every tick, `learn` after it; everything else only reads."""

    def __init__(self) -> None:
        self._records: dict[Key, Record] = {}
        self._expected: dict[Key, LoadedEstimates] = {}
        self._workloads: dict[Key, Workload] = {}
        self._peers: Mapping[Key, tuple[Peer, ...]] = {}
        self._learned_seconds: float | None = None
        self.corrections = Corrections(by_where={}, anchors=(), decays={})

    def record(self, key: Key, body: JsonObject) -> Record:
        """What is remembered of a workload; after a restart, what its status says."""
        if key not in self._records:
            self._records[key] = record_of(body.get("status") or {})
        return self._records[key]

    def forget(self, key: Key) -> None:
        for known in (self._records, self._expected, self._workloads):
            known.pop(key, None)

    def look(
        self,
        key: Key,
        body: JsonObject,
        workload: Workload,
        estimate: Estimate | Missing,
        observation: Observation | Missing,
        setup: Setup,
        rule: DriftRule,
    ) -> bool:
        """One tick. Whether there is news that is worth a status: drift began or ended, a level was found, something changed."""
        before = self.record(key, body)
        self._workloads[key] = workload
        seen = look_of(workload, estimate, observation, self._expected.setdefault(key, LoadedEstimates()))
        after = frozen(before) if seen is None else advance(before, seen, setup, rule)
        self._records[key] = after
        return _news(before) != _news(after)

    def silent(self, key: Key) -> None:
        """The workload is not looked at: nothing of it runs."""
        if key in self._records:
            self._records[key] = frozen(self._records[key])

    def learn(self, now: float) -> None:
        """Takes what all workloads show into the calibration and the comparison with each other, every ten minutes."""
        if self._learned_seconds is not None and 0.0 <= now - self._learned_seconds < LEARNED_EVERY_SECONDS:
            return
        self._learned_seconds = now
        subjects = {
            key: _Subject(workload=workload, record=self._records[key])
            for key, workload in self._workloads.items()
            if key in self._records and self._records[key].levels.top is not None
        }
        contributions = [each for key, subject in sorted(subjects.items()) if (each := _contribution(key, subject, now)) is not None]
        self.corrections = calibrate(contributions, self.corrections.anchors, now)
        placed = {key: here for key, subject in subjects.items() if (here := _placed(key, subject)) is not None}
        self._peers = peers(placed)

    def calibrated(self, workload: Workload | Missing, estimate: Estimate | Missing) -> Calibrated | None:
        if isinstance(workload, Missing) or isinstance(estimate, Missing):
            return None
        correction = self.corrections.of(where_of(workload))
        return None if correction is None else calibrated(estimate.mfu_ratio, correction)

    def peers(self, key: Key) -> tuple[Peer, ...]:
        return self._peers.get(key, ())


def where_of(workload: Workload) -> Where:
    """Of which correction a workload is a witness."""
    match workload.job:
        case Training(framework=framework, framework_version=version):
            software = f"{framework} {version or ''}"
        case Inference(engine=engine, engine_version=version):
            software = f"{engine} {version or ''}"
    return Where(accelerator=workload.fabric.accelerator.name, software=software.strip(), family=workload.architecture.family)


def _news(record: Record) -> tuple[object, ...]:
    deviation: DriftState = record.deviation
    known = tuple(band.settled for band in record.levels.bands)
    return deviation.drifting, record.epoch, known, record.levels.top is None, len(record.days), record.days[-1:]


def _contribution(key: Key, subject: _Subject, now: float) -> Contribution | None:
    """Only a settled level of a workload that does not drift teaches anything."""
    top = subject.record.levels.top
    if top is None or not subject.record.levels.is_settled or subject.record.deviation.drifting:
        return None
    learned = subject.record.level_seconds
    return Contribution(
        where=where_of(subject.workload), origin=key.namespace, log_ratio=top, learned_seconds=now if learned is None else learned
    )


def _placed(key: Key, subject: _Subject) -> Placed | None:
    record, fabric = subject.record, subject.workload.fabric
    if record is UNRECORDED or record.levels.top is None or record.level_expected_ratio is None:
        return None
    return Placed(
        tenant=key.namespace,
        work=work_of(subject.workload),
        accelerator=fabric.accelerator.name,
        count=fabric.count,
        observed_ratio=record.level_expected_ratio * exp(record.levels.top),
    )
