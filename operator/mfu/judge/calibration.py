"""What the analytic expectation misses on this cluster, learned from its own stable workloads: shown beside the expectation, never in it.

Most of an estimator's error is a constant of the deployment: the choice of kernels, a release, the cooling of a hall. So for each software
on each class of accelerators, and within that for each model family, the logarithm of observed over expected has a mean, which is the
median of what workloads reached at their best, drawn towards the mean above it while they are few: towards that of the software on the
class, and that towards none (two nested normal means; Gelman et al., Bayesian Data Analysis, chapter 5).

A fleet that decays must not teach the calibration that slow is normal. A workload contributes its own best stable level, which never
falls, and nothing while it drifts; and a correction is anchored two weeks after it began: what starts later can raise it, never lower it.
How far the later ones are below the anchor is the decay.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, sqrt
from statistics import median

__all__ = ["Anchor", "Calibrated", "Contribution", "Correction", "Corrections", "Where", "calibrate", "calibrated"]

_SOFTWARE_SD = 0.10  # of corrections among software on a class
_FAMILY_SD = 0.06  # among families under one software
_WORKLOAD_SD = 0.06  # among workloads of one family; what is seen counts as much as this many workloads' worth of belief:
_BELIEVED = 4.0
_OUTLIER = 0.35  # further from its cell's median than this is another declaration than what runs, not a calibration
_TO_SD = 1.4826
_TENTH = 1.2816  # standard deviations from the mean of a normal distribution to its last tenth

ANCHORED_AFTER_SECONDS = 14 * 86_400.0
LATELY_SECONDS = 28 * 86_400.0
RAISED_LOG = 0.04
_LEAST_ANCHORED = 3
_LEAST_LATELY = 3


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Where:
    """Of what a correction is. `software`: framework or engine with its release; `family` empty: of all families."""

    accelerator: str
    software: str
    family: str = ""

    @property
    def above(self) -> "Where":
        return Where(accelerator=self.accelerator, software=self.software)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One workload's best stable level (natural logarithm of observed over expected).

    `origin`: its namespace, whose workloads are alike.
    """

    where: Where
    origin: str
    log_ratio: float
    learned_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Natural logarithms. `half_width`: of the 80 % interval in which another workload falls; `workloads`: of the family alone."""

    log_ratio: float
    half_width: float
    workloads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """What a correction may not fall below. `begun_seconds`: when its first workload was learned from."""

    where: Where
    begun_seconds: float
    log_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """`decays`: how far the workloads learned of in the last four weeks are below the anchor; ≤ 0."""

    by_where: Mapping[Where, Correction]
    anchors: tuple[Anchor, ...]
    decays: Mapping[Where, float]

    def of(self, where: Where) -> Correction | None:
        """The family's, else that of the software on the class; None where neither has been seen."""
        return self.by_where.get(where) or self.by_where.get(where.above)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """An expectation with its correction applied."""

    mfu_ratio: float
    low_ratio: float
    high_ratio: float
    workloads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mean:
    log_ratio: float
    variance: float
    spread: float  # standard deviation among the workloads


def calibrated(expected_ratio: float, correction: Correction) -> Calibrated:
    middle = expected_ratio * exp(correction.log_ratio)
    factor = exp(correction.half_width)
    return Calibrated(
        mfu_ratio=min(1.0, middle),
        low_ratio=min(1.0, middle / factor),
        high_ratio=min(1.0, middle * factor),
        workloads=correction.workloads,
    )


def calibrate(contributions: Sequence[Contribution], anchors: Iterable[Anchor], now: float) -> Corrections:
    """Corrections of everything that at least one workload was learned from. `anchors`: those of the last time."""
    known = {anchor.where: anchor for anchor in anchors}
    nearby = _without_outliers(contributions)
    means = _means(nearby)
    lately = _means([each for each in nearby if now - each.learned_seconds <= LATELY_SECONDS])
    counts = _counts(nearby)
    late_counts = _counts([each for each in nearby if now - each.learned_seconds <= LATELY_SECONDS])
    by_where: dict[Where, Correction] = {}
    decays: dict[Where, float] = {}
    for where, mean in means.items():
        before = known.get(where) or Anchor(where=where, begun_seconds=now, log_ratio=mean.log_ratio)
        is_young = now - before.begun_seconds < ANCHORED_AFTER_SECONDS or counts[where] < _LEAST_ANCHORED
        if is_young or mean.log_ratio > before.log_ratio + RAISED_LOG:
            known[where] = Anchor(where=where, begun_seconds=before.begun_seconds, log_ratio=mean.log_ratio)
        else:
            known[where] = before
            if late_counts[where] >= _LEAST_LATELY:
                decays[where] = min(0.0, lately[where].log_ratio - before.log_ratio)
        by_where[where] = Correction(
            log_ratio=mean.log_ratio if is_young else max(mean.log_ratio, known[where].log_ratio),
            half_width=_TENTH * sqrt(mean.spread**2 + mean.variance),
            workloads=counts[where],
        )
    return Corrections(by_where=by_where, anchors=tuple(known[where] for where in sorted(known)), decays=decays)


def _without_outliers(contributions: Sequence[Contribution]) -> list[Contribution]:
    cells = _cells(contributions)
    middles = {where: median([each.log_ratio for each in members]) for where, members in cells.items()}
    return [each for each in contributions if abs(each.log_ratio - middles[each.where.above]) <= _OUTLIER]


def _cells(contributions: Iterable[Contribution]) -> dict[Where, list[Contribution]]:
    cells: dict[Where, list[Contribution]] = defaultdict(list)
    for each in contributions:
        cells[each.where.above].append(each)
        if each.where.family:
            cells[each.where].append(each)
    return cells


def _counts(contributions: Sequence[Contribution]) -> Counter[Where]:
    return Counter({where: len(members) for where, members in _cells(contributions).items()})


def _means(contributions: Sequence[Contribution]) -> dict[Where, _Mean]:
    cells = _cells(contributions)
    means: dict[Where, _Mean] = {}
    for where in sorted(cells, key=lambda each: (each.family != "", each)):
        if where.family:
            above = means[where.above]
            means[where] = _drawn(cells[where], above.log_ratio, _FAMILY_SD**2 + above.variance)
        else:
            means[where] = _drawn(_family_medians(cells[where]), 0.0, _SOFTWARE_SD**2, extra=_FAMILY_SD)
    return means


def _family_medians(members: Sequence[Contribution]) -> list[Contribution]:
    """One for each family, so that a popular family does not speak for all."""
    families: dict[Where, list[Contribution]] = defaultdict(list)
    for each in members:
        families[each.where].append(each)
    return [
        Contribution(where=where, origin=where.family, log_ratio=median([e.log_ratio for e in group]), learned_seconds=0.0)
        for where, group in families.items()
    ]


def _drawn(members: Sequence[Contribution], prior: float, prior_variance: float, *, extra: float = 0.0) -> _Mean:
    """The mean of the members, drawn towards `prior`. Workloads of one namespace count less than as many of several."""
    values = [each.log_ratio for each in members]
    middle = median(values)
    seen = _TO_SD * median([abs(value - middle) for value in values])
    believed = sqrt(_WORKLOAD_SD**2 + extra**2)
    spread = sqrt((_BELIEVED * believed**2 + (len(values) - 1) * seen**2) / (_BELIEVED + len(values) - 1))
    origins = Counter(each.origin for each in members)
    count = sum(sqrt(number) for number in origins.values())
    precision = count / spread**2
    variance = 1.0 / (precision + 1.0 / prior_variance)
    return _Mean(log_ratio=variance * (precision * middle + prior / prior_variance), variance=variance, spread=spread)
