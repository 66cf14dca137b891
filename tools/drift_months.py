"""Measure how fast a workload that became slower is found, and how often one is accused that did not.

    python -m tools.drift_months [--years N] [--trials N] [--first-seed N]

Simulated workloads (`tools/simulated_months.py`) are watched by the operator's own code at its default settings, one look every 30
seconds. The table says, for each kind of workload: false alarms per workload-year, and for sustained falls of several depths how many
were found and after how long. The same seeds give the same table.
"""

import argparse
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from mfu.judge.history import UNRECORDED, Record, advance, frozen, own_drift
from mfu.judge.policy import DriftRule
from tools.simulated_months import DAY_SECONDS, Fall, Kind, Seen, Story, looks

__all__ = ["KINDS", "Delays", "delays", "detection", "false_alarms", "main"]

KINDS = {
    "training": Kind(serving=False),
    "training, noise 4 %": Kind(serving=False, noise=0.04),
    "serving": Kind(serving=True, noise=0.03),
}
DEPTHS = (0.05, 0.075, 0.10, 0.15, 0.30)
MONTH_DAYS = 365.0 / 12.0
_LEARNING_DAYS = 3.0
_WATCHED_SECONDS = 6 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """Seconds from the beginning of the fall to the verdict, of the trials in which there was one within six hours, in order.

    `named`: how many of them named the change that came with the fall. `early`: trials that were accused before it and are not counted.
    """

    found: tuple[float, ...]
    trials: int
    named: int
    early: int

    def within(self, seconds: float) -> float:
        return sum(delay <= seconds for delay in self.found) / max(1, self.trials)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="drift_months", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=float, default=2.0, help="workload-years of each kind without a fall")
    parser.add_argument("--trials", type=int, default=60, help="falls of each depth and kind")
    parser.add_argument("--first-seed", type=int, default=1)
    args = parser.parse_args(argv)
    rule = DriftRule()
    print(f"tolerance {rule.tolerance_ratio:.0%}, for {rule.for_seconds:.0f} s, recovery {rule.recover_seconds:.0f} s, a look every 30 s")
    if args.years > 0:
        _print_alarms(args.years, rule, args.first_seed)
    print(f"\n{'sustained fall':30s} {'depth':>6s} {'found':>6s} {'in 15 min':>10s} {'median':>8s} {'90 %':>8s} {'named':>6s}")
    for name, kind in KINDS.items():
        for depth in DEPTHS:
            _print_delays(name, depth, delays(kind, depth, args.trials, rule, first_seed=1000 + args.first_seed))
        for depth in (0.10, 0.15):
            measured = delays(kind, depth, args.trials, rule, first_seed=2000 + args.first_seed, restarts=True)
            _print_delays(f"{name}, restarted", depth, measured)
    return 0


def _print_alarms(years: float, rule: DriftRule, first_seed: int) -> None:
    print(f"\n{'without a fall':30s} {'months':>7s} {'alarms':>7s} {'per year':>9s}")
    for name, kind in KINDS.items():
        months = round(years * 12)
        alarms = sum(false_alarms(Story(kind=kind, days=MONTH_DAYS, seed=first_seed + number), rule) for number in range(months))
        print(f"{name:30s} {months:7d} {alarms:7d} {alarms / years:9.2f}", flush=True)


def false_alarms(story: Story, rule: DriftRule) -> int:
    """How often drift begins."""
    alarms, before = 0, False
    for record in _records(looks(story), rule):
        alarms += record.deviation.drifting and not before
        before = record.deviation.drifting
    return alarms


def delays(kind: Kind, depth: float, trials: int, rule: DriftRule, *, first_seed: int, restarts: bool = False) -> Delays:
    """A fall with a new image, each trial at another time of the day; `restarts`: the pods are replaced for it, and are slow at first."""
    found: list[float] = []
    named = early = 0
    for seed in range(first_seed, first_seed + trials):
        at = (_LEARNING_DAYS + random.Random(seed).random()) * DAY_SECONDS
        story = Story(
            kind=kind,
            days=(at + _WATCHED_SECONDS) / DAY_SECONDS,
            seed=seed,
            fall=Fall(at_seconds=at, ratio=depth, image="train:2", restarts=restarts),
        )
        delay, change = detection(story, rule)
        if delay is not None and delay < 0.0:
            early += 1
        elif delay is not None:
            found.append(delay)
            named += "registry/train:1 → train:2" in change
    return Delays(found=tuple(sorted(found)), trials=trials - early, named=named, early=early)


def detection(story: Story, rule: DriftRule) -> tuple[float | None, str]:
    """Seconds of observed time from the fall to the verdict (negative: accused before), and the change that was named with it."""
    assert story.fall is not None
    record, silent = UNRECORDED, 0.0
    for seen in looks(story):
        record = _after(record, seen, rule)
        begun = seen.at_seconds >= story.fall.at_seconds
        silent += 30.0 if begun and seen.look is None else 0.0
        if record.deviation.drifting:
            drift = own_drift(record)
            delay = seen.at_seconds - story.fall.at_seconds - silent
            if not begun:
                if seen.at_seconds > story.fall.at_seconds - 1800.0:
                    return -1.0, ""
                continue
            return delay, "" if drift is None else drift.change
    return None, ""


def _records(story: Iterable[Seen], rule: DriftRule) -> Iterable[Record]:
    record = UNRECORDED
    for seen in story:
        record = _after(record, seen, rule)
        yield record


def _after(record: Record, seen: Seen, rule: DriftRule) -> Record:
    return frozen(record) if seen.look is None else advance(record, seen.look, seen.setup, rule)


def _print_delays(name: str, depth: float, measured: Delays) -> None:
    found = measured.found
    middle = f"{median(found) / 60:.1f} min" if found else "-"
    late = f"{found[int(0.9 * (len(found) - 1))] / 60:.1f} min" if found else "-"
    share = len(found) / max(1, measured.trials)
    named = measured.named / len(found) if found else 0.0
    print(f"{name:30s} {depth:6.1%} {share:6.0%} {measured.within(900.0):10.0%} {middle:>8s} {late:>8s} {named:6.0%}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
