"""Keeps what is written where only noise changed: observed figures move a little at every tick, and nobody gains from a write for that.

A text is kept when its words are the same and each of its figures is near the one that is written. The comparison is with what is written,
not with the last observation, so that a slow trend is not missed: it is written once it has gone far enough.
"""

import re
from collections.abc import Mapping
from typing import Any

from mfu.api.figures import percent, ratio_of

__all__ = ["settled", "settled_text", "steady_percent"]

_FIGURE = re.compile(r"(\d[\d,]*(?:\.\d+)?)(%?)")
_POINTS = 1.0  # percentages: points
_RELATIVE = 0.05  # other figures
_STEP = 0.005  # observed ratios are shown in steps of half a point
_EXACT = frozenset({"lastTransitionTime", "since", "at", "change"})


def steady_percent(ratio: float, written: object) -> str:
    """A ratio in steps of half a point; what is written stays until the ratio is a whole step away from it."""
    before = ratio_of(written)
    if before is not None and abs(ratio - before) < _STEP:
        return percent(before)
    return percent(round(ratio / _STEP) * _STEP)


def settled(new: Any, written: Any) -> Any:
    """`new` with every text that only differs by noise from the one at the same place in `written` replaced by that; times are exact."""
    match new, written:
        case str(), str():
            return settled_text(new, written)
        case Mapping(), Mapping():
            return {key: value if key in _EXACT else settled(value, written.get(key)) for key, value in new.items()}
        case list(), list() if len(new) == len(written):
            return [settled(one, other) for one, other in zip(new, written, strict=True)]
        case _:
            return new


def settled_text(new: str, written: str) -> str:
    """`written` where it has the words of `new` and figures near those of `new`, else `new`."""
    if _FIGURE.sub(r"#\2", new) != _FIGURE.sub(r"#\2", written):
        return new
    pairs = zip(_FIGURE.findall(new), _FIGURE.findall(written), strict=True)
    return written if all(_near(float(a.replace(",", "")), float(b.replace(",", "")), unit) for (a, unit), (b, _) in pairs) else new


def _near(a: float, b: float, unit: str) -> bool:
    return abs(a - b) < _POINTS if unit == "%" else abs(a - b) <= _RELATIVE * max(a, b)
