"""What an exporter would show of one workload over weeks: the physical story that drift detection is scored on.

It knows nothing of the detector. A look is the throughput of the last two minutes, made of 30-second pieces, over the peak.

Training: a step rate with noise, a slow wander (temperature, neighbours on the network), pauses for checkpoints and evaluations, restarts
with a silence, a slow start and a little luck of the placement, other sizes whose expectation errs by a few per cent, scrapes that fail.
Serving: traffic by day and week with bursts, an expectation whose error grows with the distance from the declared load, replicas that
come and go, restarts of the engine.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log, pi, sin

from mfu.judge.change import Setup
from mfu.judge.history import Look

__all__ = ["TICK_SECONDS", "Fall", "Kind", "Seen", "Story", "looks"]

TICK_SECONDS = 30.0
DAY_SECONDS = 86_400.0
_WINDOW = 4  # pieces of 30 s in a look


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """The throughput is lower by `ratio` from `at_seconds` on, at once or over `ramp_seconds`.

    `image`: what the pods run from then on; `restarts`: for that they are replaced first.
    """

    at_seconds: float
    ratio: float
    ramp_seconds: float = 0.0
    image: str = ""
    restarts: bool = False

    def factor(self, at: float) -> float:
        if at < self.at_seconds:
            return 1.0
        part = 1.0 if self.ramp_seconds <= 0.0 else min(1.0, (at - self.at_seconds) / self.ramp_seconds)
        return 1.0 - self.ratio * part


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Sizes of the disturbances, as standard deviations of a logarithm, and how often what happens."""

    serving: bool
    noise: float = 0.02  # of a look
    wander: float = 0.01
    wander_seconds: float = 6 * 3600.0
    restart_days: float = 4.0
    placement: float = 0.01  # from restart to restart
    rescale_days: float = 15.0
    rescale_error: float = 0.03
    estimator_error: float = 0.10
    load_error: float = 0.04  # of the expectation, for each factor e of the load
    lost_scrapes: float = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    kind: Kind
    days: float
    seed: int
    fall: Fall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One tick; `look` None: nothing was observed."""

    at_seconds: float
    look: Look | None
    setup: Setup


def looks(story: Story) -> Iterator[Seen]:
    """Every tick of the story, from second 0 on. The same story is told for the same seed."""
    return _Teller(story).tell()


class _Teller:
    def __init__(self, story: Story) -> None:
        self._story, self._kind = story, story.kind
        self._chance = random.Random(f"{story.seed}/{story.kind}")
        gauss = self._chance.gauss
        self._error = gauss(0.0, self._kind.estimator_error)
        self._load_error = gauss(0.0, self._kind.load_error)
        self._placement = gauss(0.0, self._kind.placement)
        self._wander = gauss(0.0, self._kind.wander)
        self._burst = 0.0
        self._silent = self._slow = self._pause = 0
        self._steps = self._chance.randrange(960)
        self._scale = 64
        self._rescaled = 0.0
        self._nodes = 0

    def tell(self) -> Iterator[Seen]:
        kind, chance = self._kind, self._chance
        pieces: list[float] = []
        kept = exp(-TICK_SECONDS / kind.wander_seconds)
        for tick in range(round(self._story.days * DAY_SECONDS / TICK_SECONDS)):
            at = tick * TICK_SECONDS
            self._wander = kept * self._wander + chance.gauss(0.0, kind.wander * (1.0 - kept * kept) ** 0.5)
            self._happen(at, pieces)
            if self._silent > 0:
                self._silent -= 1
                yield Seen(at_seconds=at, look=None, setup=self._setup(at))
                continue
            pieces.append(self._piece(at))
            del pieces[:-_WINDOW]
            lost = chance.random() < kind.lost_scrapes or len(pieces) < _WINDOW
            yield Seen(at_seconds=at, look=None if lost else self._look(at, sum(pieces) / _WINDOW), setup=self._setup(at))

    def _happen(self, at: float, pieces: list[float]) -> None:
        kind, chance, fall = self._kind, self._chance, self._story.fall
        a_day = TICK_SECONDS / DAY_SECONDS
        rescaled = chance.random() < a_day / kind.rescale_days
        replaced = fall is not None and fall.restarts and at - TICK_SECONDS < fall.at_seconds <= at
        if rescaled or replaced or chance.random() < a_day / kind.restart_days:
            self._silent, self._slow = chance.randrange(8, 60), chance.randrange(3, 12)
            self._placement = chance.gauss(0.0, kind.placement)
            self._nodes += 1
            pieces.clear()
            if rescaled and not kind.serving:
                self._scale = chance.choice([size for size in (32, 64, 128) if size != self._scale])
                self._rescaled = chance.gauss(0.0, kind.rescale_error)
        if not kind.serving and self._silent == 0:
            self._steps += 1
            if self._steps % 960 == 0:
                self._pause = chance.randrange(4, 11)  # an evaluation, every 8 hours
            elif self._steps % 90 == 0:
                self._pause = chance.choice((1, 1, 2))  # a checkpoint, every 45 minutes

    def _piece(self, at: float) -> float:
        """Throughput of the last 30 seconds over what is expected in the mean."""
        kind, chance = self._kind, self._chance
        speed = exp(self._error + self._placement + self._wander + self._rescaled + chance.gauss(0.0, kind.noise * _WINDOW**0.5))
        if self._story.fall is not None:
            speed *= self._story.fall.factor(at)
        if self._slow > 0:
            self._slow -= 1
            speed *= chance.uniform(0.4, 0.9)
        if self._pause > 0:
            self._pause -= 1
            speed *= chance.uniform(0.0, 0.3)
        return speed

    def _look(self, at: float, speed: float) -> Look:
        if not self._kind.serving:
            expected = 0.42 * (self._scale / 64.0) ** -0.05
            return Look(at_seconds=at, observed_ratio=expected * speed, expected_ratio=expected, declared_ratio=expected)
        load = self._load(at)
        expected = 0.2 * load / (0.3 + 0.7 * load)  # saturates towards the declared load
        observed = expected * speed * exp(self._load_error * log(load))
        return Look(at_seconds=at, observed_ratio=observed, expected_ratio=expected, declared_ratio=0.2, load_ratio=load)

    def _load(self, at: float) -> float:
        """Share of the declared load: by the hour, less at weekends, in bursts of minutes."""
        self._burst = 0.9 * self._burst + self._chance.gauss(0.0, 0.07)
        weekend = 0.6 if int(at // DAY_SECONDS) % 7 >= 5 else 1.0
        wave = 0.5 + 0.45 * sin(2.0 * pi * (at / DAY_SECONDS - 0.3))
        return max(0.02, min(1.0, 1.15 * wave * weekend * exp(self._burst)))

    def _setup(self, at: float) -> Setup:
        fall = self._story.fall
        image = fall.image if fall is not None and fall.image and at >= fall.at_seconds else "registry/train:1"
        leaves = (("accelerators.count", str(self._scale)),)
        return Setup(image=image, nodes="" if self._kind.serving else f"set {self._nodes}", spec=str(self._scale), leaves=leaves)
