"""Measure what the local calibration is worth, and that a fleet which decays slowly is not taken for a normal one.

    python -m tools.calibration_fleet [--fleets N]

Simulated fleets: each software on each class of accelerators has an error of its own, each family within that, each workload within that,
and some workloads are broken. The error of the expectation for workloads that the calibration has not seen is compared before and after,
by the number of workloads of their kind that it has seen. Then a year of a fleet that loses a per cent a month while its jobs are replaced.
"""

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp
from statistics import median

from mfu.judge.calibration import Contribution, Corrections, Where, calibrate

__all__ = ["Errors", "decaying_year", "errors_by_number", "main"]

_DAY = 86_400.0
_CLASSES = tuple(f"class-{number}" for number in range(4))
_SOFTWARE = tuple(f"software-{number}" for number in range(4))
_FAMILIES = tuple(f"family-{number}" for number in range(6))
_NUMBERS = ((0, "none of its family"), (1, "1"), (2, "2 to 4"), (5, "5 to 14"), (15, "15 and more"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Absolute errors as ratios, in order; `covered`: how many fell into the interval that was given with them."""

    before: tuple[float, ...]
    after: tuple[float, ...]
    covered: float


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="calibration_fleet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleets", type=int, default=40)
    args = parser.parse_args(argv)
    print(f"{'seen of its kind':20s} {'workloads':>9s} {'analytic':>16s} {'calibrated':>16s} {'in 80 % interval':>17s}")
    print(f"{'':20s} {'':9s} {'median':>8s} {'90 %':>7s} {'median':>8s} {'90 %':>7s}")
    for name, errors in errors_by_number(range(args.fleets)).items():
        before, after = errors.before, errors.after
        print(
            f"{name:20s} {len(before):9d} {median(before):8.1%} {_tenth(before):7.1%} {median(after):8.1%} {_tenth(after):7.1%}"
            f" {errors.covered:17.0%}"
        )
    print(f"\n{'a fleet that loses 1 % a month':32s} {'truth':>7s} {'correction':>11s} {'decay shown':>12s}")
    for month, truth, correction, decay in decaying_year(seed=1):
        print(f"{'month ' + str(month):32s} {truth:+7.1%} {correction:+11.1%} {decay:+12.1%}")
    return 0


def errors_by_number(seeds: Sequence[int]) -> dict[str, Errors]:
    before: dict[str, list[float]] = defaultdict(list)
    after: dict[str, list[float]] = defaultdict(list)
    covered: dict[str, int] = defaultdict(int)
    for seed in seeds:
        chance = random.Random(f"fleet/{seed}")
        software = {(a, s): chance.gauss(0.0, 0.10) for a in _CLASSES for s in _SOFTWARE}
        errors = {
            Where(accelerator=a, software=s, family=f): software[a, s] + chance.gauss(0.0, 0.05)
            for a in _CLASSES
            for s in _SOFTWARE
            for f in _FAMILIES
        }
        seen: list[Contribution] = []
        for where, error in errors.items():
            for _ in range(min(40, int(chance.paretovariate(0.6)) - 1)):
                broken = -0.5 if chance.random() < 0.03 else 0.0
                origin = f"team-{chance.randrange(6)}"
                ratio = error + chance.gauss(0.0, 0.05) + broken
                seen.append(Contribution(where=where, origin=origin, log_ratio=ratio, learned_seconds=0.0))
        corrections = calibrate(seen, (), 0.0)
        for where, error in errors.items():
            correction = corrections.of(where)
            if correction is None:
                continue
            number = sum(each.where == where for each in seen)
            name = next(text for least, text in reversed(_NUMBERS) if number >= least)
            truth = error + chance.gauss(0.0, 0.05)
            before[name].append(abs(exp(truth) - 1.0))
            after[name].append(abs(exp(truth - correction.log_ratio) - 1.0))
            covered[name] += abs(truth - correction.log_ratio) <= correction.half_width
    return {
        name: Errors(before=tuple(sorted(before[name])), after=tuple(sorted(after[name])), covered=covered[name] / len(before[name]))
        for _, name in _NUMBERS
        if before[name]
    }


def decaying_year(seed: int, a_month: float = 0.01, replaced_a_month: float = 0.3) -> Iterator[tuple[int, float, float, float]]:
    """Month, what new workloads truly reach against the first, the correction that is in use, and the decay that is shown; all ratios.

    Every workload contributes what it reached when it started; each month some end and as many new ones start.
    """
    chance = random.Random(f"decay/{seed}")
    where = Where(accelerator="class", software="software", family="family")
    constant = 0.05

    def started(month: int) -> Contribution:
        ratio = constant - a_month * month + chance.gauss(0.0, 0.04)
        return Contribution(where=where, origin=f"team-{chance.randrange(6)}", log_ratio=ratio, learned_seconds=month * 30 * _DAY)

    running = [started(0) for _ in range(20)]
    corrections: Corrections = calibrate(running, (), 0.0)
    for month in range(13):
        if month:
            running = [each if chance.random() >= replaced_a_month else started(month) for each in running]
            corrections = calibrate(running, corrections.anchors, month * 30 * _DAY)
        correction = corrections.of(where)
        shown = 0.0 if correction is None else correction.log_ratio - constant
        yield month, exp(-a_month * month) - 1.0, exp(shown) - 1.0, exp(corrections.decays.get(where, 0.0)) - 1.0


def _tenth(values: Sequence[float]) -> float:
    return values[int(0.9 * (len(values) - 1))]


if __name__ == "__main__":
    sys.exit(main())
