"""The terms of a step, as they are summed and as they are reported."""

from dataclasses import dataclass

from mfu.estimate.result import Bound, Term

__all__ = ["Part", "dominant", "terms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A term before it is reported: `ideal_seconds` is its arithmetic at the data-sheet peak."""

    name: str
    seconds: float
    bound: Bound
    ideal_seconds: float = 0.0


def terms(parts: tuple[Part, ...], mfu_ratio: float) -> tuple[Term, ...]:
    """Report parts, each with the MFU that would be reached if it took only its arithmetic at the data-sheet peak."""
    seconds = sum(part.seconds for part in parts)
    return tuple(
        Term(
            name=part.name,
            seconds=part.seconds,
            bound=part.bound,
            ceiling_mfu_ratio=_ceiling(mfu_ratio, seconds, part),
        )
        for part in parts
    )


def _ceiling(mfu_ratio: float, seconds: float, part: Part) -> float:
    saved = part.seconds - min(part.ideal_seconds, part.seconds)
    return 1.0 if seconds <= saved else min(1.0, mfu_ratio * seconds / (seconds - saved))


def dominant(parts: tuple[Part, ...]) -> Bound:
    """The kind of limit with the largest share of the time."""
    shares = dict.fromkeys(Bound, 0.0)
    for part in parts:
        shares[part.bound] += part.seconds
    return max(shares, key=lambda bound: shares[bound])
