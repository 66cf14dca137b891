"""What the operator remembers of one workload from look to look: its best stable level, what it runs with, and a few points of its past.

The rest of the past is in Prometheus. Everything here is bounded, and what matters of it survives a restart in the status.
"""

from dataclasses import dataclass, replace
from math import exp, log
from statistics import median

from mfu.judge.change import UNKNOWN_SETUP, Setup, changes, is_comparable
from mfu.judge.detector import NO_LEVELS, Levels, anchored, band_of, hour_at, level_at, observe_level, watch, woken
from mfu.judge.deviation import UNTRACKED, DriftState
from mfu.judge.policy import DriftRule

__all__ = ["UNRECORDED", "Epoch", "Look", "OwnDrift", "Record", "advance", "frozen", "own_drift"]

DAY_SECONDS = 86_400.0
KEPT_DAYS = 7
# A level across a change of the declared intent rests on two expectations instead of one: their own errors come in.
DECLARED_TOLERANCE = 2.0
# How far apart a change and the beginning of a deviation may be to belong together, in time that was observed.
_BEFORE_SECONDS = 300.0
_AFTER_SECONDS = 3600.0
# Looks at which another setup must be seen before it is believed: pods of a rollout come one by one.
_CONFIRMED_LOOKS = 3
_DAY_SPACING_SECONDS = 600.0
# A silence longer than this is a restart, and what follows it is not judged until it runs as it will run.
SILENCE_SECONDS = 180.0
WARM_UP_SECONDS = 180.0
_LEAST_RATIO = 1e-6  # a standstill, in logarithms


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One observation with what would be expected.

    `declared_ratio`: the expectation at the declared load, of which `load_ratio` is there.
    """

    at_seconds: float
    observed_ratio: float
    expected_ratio: float
    declared_ratio: float
    load_ratio: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """The time since the last change. `first_seconds`: its first look; `change`: what changed, empty at the beginning of the record."""

    first_seconds: float
    change: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """`levels`: best stable ones, learned with `level_setup` at `level_expected_ratio`; `recent`: those since the last
    change; `against_recent`: what the deviation is measured from.

    `days`: median observed MFU of up to seven finished days; `day`: looks of the day that runs.
    """

    setup: Setup = UNKNOWN_SETUP
    suspected: Setup | None = None
    suspected_looks: int = 0
    epoch: Epoch | None = None
    levels: Levels = NO_LEVELS
    level_setup: Setup = UNKNOWN_SETUP
    level_expected_ratio: float | None = None
    level_seconds: float | None = None
    recent: Levels | None = None
    deviation: DriftState = UNTRACKED
    against_recent: bool = False
    day_number: int | None = None
    day: tuple[float, ...] = ()
    day_last_seconds: float = 0.0
    days: tuple[float, ...] = ()
    last: Look | None = None
    seen_seconds: float | None = None
    awake_seconds: float = 0.0


UNRECORDED = Record()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDrift:
    """Against the own level at the same load. `level_ratio`: that level as an MFU at the load of the look; `change`: the suspect."""

    ratio: float
    level_ratio: float
    drifting: bool
    since_seconds: float | None
    change: str


def advance(record: Record, look: Look, setup: Setup, rule: DriftRule) -> Record:
    """One look taken in. Looks that are missing are not given here: `frozen` instead. A load too small to judge by is no look."""
    band = band_of(look.load_ratio)
    if look.expected_ratio <= 0.0 or band is None:
        return frozen(record)
    if record.seen_seconds is None or look.at_seconds - record.seen_seconds > SILENCE_SECONDS:
        recent = None if record.recent is None else woken(record.recent)
        record = replace(record, awake_seconds=look.at_seconds, levels=woken(record.levels), recent=recent)
    record = _with_setup(record, setup, look)
    if look.at_seconds - record.awake_seconds < WARM_UP_SECONDS:
        # What has just started is compiling, filling its caches, or was counted for a part of the window only.
        held = replace(record.deviation, last_seconds=look.at_seconds)
        return replace(record, deviation=held, last=look, seen_seconds=look.at_seconds)
    elapsed = 0.0 if record.deviation.last_seconds is None else max(0.0, look.at_seconds - record.deviation.last_seconds)
    record = _with_reference(record, look)
    return _with_day(_learned(record, look, band, elapsed, _watched(record, look, rule), rule), look)


def frozen(record: Record) -> Record:
    """Nothing was observed: the clocks stand still until the next look."""
    return replace(record, deviation=replace(record.deviation, last_seconds=None), last=None)


def own_drift(record: Record) -> OwnDrift | None:
    """None while there is no level to compare with, or nothing was observed at the last look."""
    if record.last is None or (level := level_at(_reference(record), record.last.load_ratio)) is None:
        return None
    look, deviation = record.last, record.deviation
    short = _log_ratio(record, look) - level
    return OwnDrift(
        ratio=exp(short) - 1.0,
        level_ratio=look.expected_ratio * exp(level),
        drifting=deviation.drifting,
        since_seconds=deviation.since_seconds,
        change=_suspect_change(record),
    )


def _with_setup(record: Record, setup: Setup, look: Look) -> Record:
    if record.epoch is None:
        return replace(record, setup=setup, level_setup=setup, epoch=Epoch(first_seconds=look.at_seconds))
    if setup.is_same(record.setup):
        return replace(record, setup=_filled(record.setup, setup), suspected=None, suspected_looks=0)
    looks = record.suspected_looks + 1 if record.suspected is not None and setup.is_same(record.suspected) else 1
    if looks < _CONFIRMED_LOOKS:
        return replace(record, suspected=setup, suspected_looks=looks)
    return _changed(replace(record, suspected=None, suspected_looks=0), _filled(record.setup, setup), look)


def _filled(before: Setup, after: Setup) -> Setup:
    """`after`, with what it does not know taken from before."""
    return Setup(
        image=after.image or before.image,
        driver=after.driver or before.driver,
        nodes=after.nodes or before.nodes,
        spec=after.spec or before.spec,
        accepted=after.accepted,
        leaves=after.leaves or before.leaves,
    )


def _changed(record: Record, setup: Setup, look: Look) -> Record:
    said = "; ".join(changes(record.setup, setup))
    epoch = Epoch(first_seconds=look.at_seconds, change=said)
    if setup.accepts(record.setup) or not is_comparable(record.setup, setup):
        return Record(setup=setup, level_setup=setup, epoch=epoch, day_number=record.day_number, day=record.day, days=record.days)
    deviation = record.deviation if record.deviation.drifting else DriftState(last_seconds=record.deviation.last_seconds)
    return replace(record, setup=setup, epoch=epoch, levels=anchored(record.levels), recent=NO_LEVELS, deviation=deviation)


def _unexplained(look: Look) -> float:
    """Logarithm of observed over expected."""
    return log(max(_LEAST_RATIO, look.observed_ratio / look.expected_ratio))


def _log_ratio(record: Record, look: Look) -> float:
    """What is held against the level.

    After the declared intent changed, what it costs by its own expectation is no drift, nor is it one to fall short of a better expectation
    without having become slower: the better of both counts.
    """
    ratio = _unexplained(look)
    if record.against_recent or record.level_expected_ratio is None or record.setup.declares_as(record.level_setup):
        return ratio
    return max(ratio, ratio + log(look.declared_ratio / record.level_expected_ratio))


def _watched(record: Record, look: Look, rule: DriftRule) -> DriftState:
    levels = _reference(record)
    level = level_at(levels, look.load_ratio)
    if level is None:
        return replace(record.deviation, last_seconds=look.at_seconds)
    hour = hour_at(levels, look.load_ratio)
    if not record.against_recent and not record.setup.declares_as(record.level_setup):
        rule = replace(rule, tolerance_ratio=min(0.9, DECLARED_TOLERANCE * rule.tolerance_ratio))
        hour = None  # that was another intent
    return watch(record.deviation, level, hour, _log_ratio(record, look), rule, look.at_seconds)


def _with_reference(record: Record, look: Look) -> Record:
    """Another declared intent is held to its own level as soon as it has one; a deviation that has begun stays where it began."""
    if record.deviation.since_seconds is not None:
        return record
    own = not record.setup.declares_as(record.level_setup) and record.recent is not None
    against_recent = own and record.recent is not None and level_at(record.recent, look.load_ratio) is not None
    return record if against_recent == record.against_recent else replace(record, against_recent=against_recent)


def _reference(record: Record) -> Levels:
    return record.recent if record.against_recent and record.recent is not None else record.levels


def _learned(record: Record, look: Look, band: int, elapsed: float, deviation: DriftState, rule: DriftRule) -> Record:
    ratio, recent = _unexplained(look), record.recent
    suspect = deviation.drifting or deviation.below_seconds > rule.for_seconds / 4.0
    if recent is not None:
        recent = observe_level(recent, band, ratio, elapsed, suspect=suspect and record.against_recent)
    levels, level_seconds, expected = record.levels, record.level_seconds, record.level_expected_ratio
    level_setup, against_recent = record.level_setup, record.against_recent
    if record.setup.declares_as(level_setup):
        levels = observe_level(levels, band, ratio, elapsed, suspect=suspect)
        if levels.top != record.levels.top:
            level_seconds, expected = look.at_seconds, look.declared_ratio
    elif recent is not None and recent.is_settled and not deviation.drifting:
        # Half a day without drift in the new intent: from now on its own level is what it is held to.
        levels, level_seconds, expected = recent, look.at_seconds, look.declared_ratio
        level_setup, against_recent = record.setup, False
    return replace(
        record,
        levels=levels,
        level_setup=level_setup,
        level_expected_ratio=expected,
        level_seconds=level_seconds,
        recent=recent,
        against_recent=against_recent,
        deviation=deviation,
        last=look,
        seen_seconds=look.at_seconds,
    )


def _with_day(record: Record, look: Look) -> Record:
    number = int(look.at_seconds // DAY_SECONDS)
    if record.day_number is not None and number > record.day_number:
        days = (*record.days, median(record.day))[-KEPT_DAYS:] if record.day else record.days
        record = replace(record, days=days, day=())
    if record.day and look.at_seconds - record.day_last_seconds < _DAY_SPACING_SECONDS:
        return record
    return replace(record, day_number=number, day=(*record.day, look.observed_ratio), day_last_seconds=look.at_seconds)


def _suspect_change(record: Record) -> str:
    since, epoch = record.deviation.since_seconds, record.epoch
    if since is None or epoch is None:
        return ""
    return epoch.change if -_BEFORE_SECONDS <= since - epoch.first_seconds <= _AFTER_SECONDS else ""
