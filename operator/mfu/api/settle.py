"""Keeps what is written where only noise changed: observed figures move a little at every tick, and nobody gains from a write for that.

A text is kept when its words are the same and each of its figures is near the one that is written. The comparison is with what is written,
not with the last observation, so that a slow trend is not missed: it is written once it has gone far enough.
"""

import re
from collections.abc import Mapping
from typing import Any

from mfu.api.figures import percent, ratio_of

__all__ = ["settled", "settled_text", "steady_percent"]

_FIGURE = re.compile(r"([-+]?)(\$?)(\d[\d,]*(?:\.\d+)?)(%?)")
_POINTS = 1.0  # percentages: points
_RELATIVE = 0.05  # other figures
_EXACT = frozenset({"lastTransitionTime", "since", "at", "change"})


def steady_percent(ratio: float, written: object) -> str:
    """A ratio as a percentage; what is written stays until the ratio is half a point away from it (below 10 %: a tenth of a point)."""
    before = ratio_of(written)
    if before is not None and abs(ratio - before) < (0.005 if ratio >= 0.1 else 0.001):
        return percent(before)
    return percent(ratio)


def settled(new: Any, written: Any, *, loose: bool = False) -> Any:
    """`new` with every text that only differs by noise from the one at the same place in `written` replaced by that; times are exact.

    `loose`: however far the figures moved, as long as the words are the same.
    """
    match new, written:
        case str(), str():
            return settled_text(new, written, loose=loose)
        case Mapping(), Mapping():
            return {key: value if key in _EXACT else settled(value, written.get(key), loose=loose) for key, value in new.items()}
        case list(), list() if len(new) == len(written):
            return [settled(one, other, loose=loose) for one, other in zip(new, written, strict=True)]
        case _:
            return new


def settled_text(new: str, written: str, *, loose: bool = False) -> str:
    """`written` where it has the words of `new` and figures near those of `new` (`loose`: any figures), else `new`."""
    if _FIGURE.sub(r"\2#\4", new) != _FIGURE.sub(r"\2#\4", written):
        return new
    pairs = zip(_FIGURE.finditer(new), _FIGURE.finditer(written), strict=True)
    return written if loose or all(_near(_value(a), _value(b), a[4]) for a, b in pairs) else new


def _value(figure: re.Match[str]) -> float:
    return float(figure[1] + figure[3].replace(",", ""))


def _near(a: float, b: float, unit: str) -> bool:
    return abs(a - b) < _POINTS if unit == "%" else abs(a - b) <= _RELATIVE * max(abs(a), abs(b))
