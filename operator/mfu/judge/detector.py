"""The workload's own stable level, and whether it stays below that: a robust one-sided cumulative sum with hysteresis.

What is looked at is the logarithm of observed over expected at the load of the moment: a load or a size that the estimator accounts for
moves both, and only what it does not explain is left. A constant error of the estimator is part of the level. The estimator's error does
depend on the load, so a replica has one level for each octave of load, and between their middles the level is a straight line.

The level is the median of ten-minute medians. It follows them for the first half day and is anchored then: it is raised when half a day is
clearly better, and never lowered, so that a decay is seen however slow it is.

Below the level, the time counts with a weight between −1 and 1 that is bounded on both sides (Huber's influence function): no single look,
however bad, counts for more than its own time, and looks within the tolerance count it down again. This is Page's CUSUM (Biometrika 41,
1954, pages 100–115) of bounded scores.
"""

from dataclasses import dataclass, replace
from math import log
from statistics import median

from mfu.judge.deviation import DriftState
from mfu.judge.policy import DriftRule

__all__ = ["BANDS", "NO_LEVELS", "Band", "Levels", "anchored", "band_of", "hour_at", "level_at", "observe_level", "watch", "woken"]

BLOCK_SECONDS = 600.0
SPACING_SECONDS = 30.0
LEAST_BLOCKS = 3
HOUR_BLOCKS = 6
SETTLED_BLOCKS = 72
RAISED_LOG = 0.04
# A good half day is partly luck: the level is not raised by all of it.
_KEPT_BACK = 0.02

# Where a look begins to count, and where it counts in full, as shares of the tolerance. From the level: far enough for its wander and the
# luck of a placement. From the last hour, which shares most of that with the present: nearer, so that a sudden fall as large as the
# tolerance counts in full in spite of noise.
_FROM_LEVEL = (0.66, 0.84)
_FROM_HOUR = (0.54, 0.72)
_RECOVERED = 0.5

# Lower ends of the octaves of load, as shares of the declared one. With less than a sixteenth a replica waits more than it computes, and
# nothing is compared.
_BAND_ENDS = (0.71, 0.355, 0.177, 0.089, 0.044)
_LEAST_LOAD = 0.0625
BANDS = len(_BAND_ENDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """What is known of one band of load. Natural logarithms of observed over expected."""

    level: float | None = None
    settled: bool = False
    looks: tuple[float, ...] = ()  # of the block that is being filled
    filled_seconds: float = 0.0
    blocks: tuple[float, ...] = ()  # medians of the last blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """One band for each range of load, the declared load first; training has only that."""

    bands: tuple[Band, ...] = (Band(),) * BANDS

    @property
    def top(self) -> float | None:
        """The level of the highest load that is known."""
        return next((band.level for band in self.bands if band.level is not None), None)

    @property
    def is_settled(self) -> bool:
        return any(band.settled for band in self.bands)


NO_LEVELS = Levels()


def band_of(load_ratio: float) -> int | None:
    """Index of the band for a load as a share of the declared one; None where the load is too small to say anything."""
    if load_ratio < _LEAST_LOAD:
        return None
    return next(index for index, end in enumerate(_BAND_ENDS) if load_ratio >= end)


def level_at(levels: Levels, load_ratio: float) -> float | None:
    """The level at a load; None where no level is known for the octave that it is in."""
    return _between(tuple(band.level for band in levels.bands), load_ratio)


def hour_at(levels: Levels, load_ratio: float) -> float | None:
    """What the last hour at such a load was like; None where there is none yet."""
    band = band_of(load_ratio)
    if band is None or len(levels.bands[band].blocks) < LEAST_BLOCKS:
        return None
    return _between(tuple(_hour(each) for each in levels.bands), load_ratio)


def _hour(band: Band) -> float | None:
    return median(band.blocks[-HOUR_BLOCKS:]) if len(band.blocks) >= LEAST_BLOCKS else band.level


def _between(heights: tuple[float | None, ...], load_ratio: float) -> float | None:
    """The straight line between the middles of the octaves."""
    band = band_of(load_ratio)
    if band is None or (level := heights[band]) is None:
        return None
    octaves = log(load_ratio / _BAND_ENDS[band]) / log(2.0) - 0.5  # from the middle of the band
    neighbour = band - 1 if octaves > 0.0 else band + 1
    beyond = heights[neighbour] if 0 <= neighbour < BANDS else None
    if beyond is None and neighbour == BANDS and (above := heights[band - 1]) is not None:
        beyond = 2.0 * level - above
    return level if beyond is None else level + (beyond - level) * min(0.5, abs(octaves))


def anchored(levels: Levels) -> Levels:
    """The levels as they are, from now on only ever raised."""
    return Levels(bands=tuple(replace(band, settled=True) if band.level is not None else Band() for band in levels.bands))


def woken(levels: Levels) -> Levels:
    """After a restart: a block is of one run."""
    return Levels(bands=tuple(replace(band, looks=(), filled_seconds=0.0) for band in levels.bands))


def observe_level(levels: Levels, band: int, log_ratio: float, elapsed_seconds: float, *, suspect: bool) -> Levels:
    """One look taken into the level of its band. `suspect`: the workload is below its level; the block that this fills is thrown away."""
    known = levels.bands[band]
    filled = known.filled_seconds + elapsed_seconds
    looks = (*known.looks, log_ratio) if filled >= SPACING_SECONDS * len(known.looks) else known.looks
    if filled < BLOCK_SECONDS:
        learned = Band(level=known.level, settled=known.settled, looks=looks, filled_seconds=filled, blocks=known.blocks)
    elif suspect:
        learned = replace(known, looks=(), filled_seconds=0.0)
    else:
        learned = _with_block(known, median(looks))
    return Levels(bands=(*levels.bands[:band], learned, *levels.bands[band + 1 :]))


def _with_block(known: Band, block: float) -> Band:
    blocks = (*known.blocks, block)[-SETTLED_BLOCKS:]
    emptied = replace(known, looks=(), filled_seconds=0.0, blocks=blocks)
    full = len(blocks) == SETTLED_BLOCKS
    if not known.settled:
        return replace(emptied, level=median(blocks) if len(blocks) >= LEAST_BLOCKS else known.level, settled=full)
    if full and known.level is not None and sorted(blocks)[SETTLED_BLOCKS // 4] > known.level + RAISED_LOG:
        return replace(emptied, level=median(blocks) - _KEPT_BACK, blocks=())
    return emptied


def watch(previous: DriftState, level: float, hour: float | None, log_ratio: float, rule: DriftRule, now: float) -> DriftState:
    """One look at how far `log_ratio` is below the level and below the last hour, if there was one; all natural logarithms.

    Drift begins when looks below the tolerance add up to `rule.for_seconds`, and ends after `rule.recover_seconds` well within it. Scale
    plays no part, a constant series never drifts, and a deeper drop is never found later.
    """
    tolerated = -log(1.0 - min(0.99, rule.tolerance_ratio))
    short = level - log_ratio
    sudden = short if hour is None else hour - log_ratio
    elapsed = 0.0 if previous.last_seconds is None else max(0.0, now - previous.last_seconds)
    if previous.drifting:
        if max(short, sudden) > _RECOVERED * tolerated:
            return replace(previous, below_seconds=previous.below_seconds + elapsed, above_seconds=0.0, last_seconds=now)
        above = previous.above_seconds + elapsed
        return DriftState(last_seconds=now) if above >= rule.recover_seconds else replace(previous, above_seconds=above, last_seconds=now)
    weight = _weight(short, tolerated, *_FROM_LEVEL)
    if hour is not None:
        weight = max(weight, _weight(sudden, tolerated, *_FROM_HOUR))
    if previous.since_seconds is None:
        if weight <= 0.0:
            return DriftState(last_seconds=now)
        return DriftState(drifting=rule.for_seconds <= 0.0, since_seconds=now, last_seconds=now)
    counted = previous.below_seconds + weight * elapsed
    if counted < 0.0 or (counted == 0.0 and weight <= 0.0):
        return DriftState(last_seconds=now)
    return replace(previous, below_seconds=counted, drifting=counted >= rule.for_seconds, last_seconds=now)


def _weight(short: float, tolerated: float, none: float, full: float) -> float:
    """Of a look that is `short`: 0 where it begins to count, ±1 as far from there as where it counts in full, and beyond."""
    if tolerated <= 0.0:
        return 1.0 if short > 0.0 else -1.0
    return max(-1.0, min(1.0, (short / tolerated - none) / (full - none)))
