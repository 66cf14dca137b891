"""The roofline scatter of a report page: what each workload reaches against what its arithmetic and memory traffic allow."""

from collections.abc import Sequence
from math import floor, log10

from mfu.cli.page_rows import Row
from mfu.cli.page_style import figure

__all__ = ["roofline"]

_LEFT, _TOP, _WIDE, _HIGH = 70, 20, 700, 420
_NUMBERED = 40
_SHOWN_DECADES = 4
_MOST_ALLOWED = 0.99
_PLACES = ((11, 4), (-11, 4), (9, -9), (9, 17), (-9, -9), (-9, 17), (28, 4), (-28, 4), (11, 30), (11, -22))


def roofline(workloads: Sequence[Row]) -> str:
    """Across: the MFU that the roof allows, on the scale of its odds (the ratio of arithmetic to memory time, so that both ends have room).

    Up: MFU, logarithmic. "" where no workload has both figures.
    """
    points = [row for row in workloads if row.roof_ratio and row.ratio("expected", "mfu")]
    if not points:
        return ""
    low = _lowest(points)
    parts = [_frame(low)]
    taken: list[tuple[float, float]] = []
    for number, row in enumerate(points, start=1):
        roof, expected, observed = row.roof_ratio or 1.0, row.ratio("expected", "mfu") or low, row.ratio("observed", "mfu")
        x, y = _x(roof, low), _y(expected, low)
        training = row.text("mode") == "training"
        if observed:
            parts.append(
                f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x:.1f}" y2="{_y(observed, low):.1f}" stroke="#4a5563" stroke-dasharray="2 2"/>'
            )
            parts.append(_mark(x, _y(observed, low), training, 'fill="#b3470f" stroke="#ffffff"'))
        parts.append(_mark(x, y, training, 'fill="none" stroke="#1f5fa8" stroke-width="2"'))
        if number <= _NUMBERED:
            parts.append(_number(number, x, y, taken))
    parts.append(_legend())
    described = "; ".join(
        f"{number}: {row.namespace}/{row.name}, allowed {row.roof_ratio:.1%}, expected {row.text('expected', 'mfu')}, "
        f"observed {row.text('observed', 'mfu') or 'unknown'}"
        for number, row in enumerate(points[:_NUMBERED], start=1)
    )
    return figure(
        "roofline",
        f"Roofline of {len(points)} workloads",
        described,
        _LEFT + _WIDE + 230,
        _TOP + _HIGH + 60,
        "".join(parts),
        "The numbers are those of the table below. A workload on the curve uses all that arithmetic and memory bandwidth allow; "
        "the further below, the more is lost to communication, waiting, overhead and kernels.",
    )


def _lowest(points: Sequence[Row]) -> float:
    """The decade that the axes begin with."""
    values = [value for row in points for value in (row.roof_ratio, row.ratio("expected", "mfu"), row.ratio("observed", "mfu")) if value]
    decade = max(-_SHOWN_DECADES, floor(log10(min(values))))
    return float(10.0**decade)


def _odds(value: float, low: float) -> float:
    bounded = min(_MOST_ALLOWED, max(low, value))
    return log10(bounded / (1.0 - bounded))


def _x(value: float, low: float) -> float:
    least, most = _odds(low, low), _odds(1.0, low)
    return _LEFT + _WIDE * (_odds(value, low) - least) / (most - least)


def _y(value: float, low: float) -> float:
    return _TOP + _HIGH * log10(min(1.0, max(low, value))) / log10(low)


def _frame(low: float) -> str:
    parts = [f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDE}" height="{_HIGH}" fill="#fbfcfd" stroke="#4a5563"/>']
    ticks = [low * 10**decade * step for decade in range(round(-log10(low)) + 1) for step in (1, 2, 5) if low * 10**decade * step <= 1.0001]
    for tick in ticks:
        y, text = _y(tick, low), f"{100 * tick:.3g}%"
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_LEFT + _WIDE}" y2="{y:.1f}" stroke="#dde3ea"/>')
        parts.append(f'<text class="soft" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    for tick in [tick for tick in ticks if tick <= 0.5] + [0.8, 0.9, 0.95, 0.99]:
        x = _x(tick, low)
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_TOP + _HIGH}" stroke="#dde3ea"/>')
        parts.append(f'<text class="soft" x="{x:.1f}" y="{_TOP + _HIGH + 20}" text-anchor="middle">{100 * tick:.3g}%</text>')
    edges = [low * (_MOST_ALLOWED / low) ** (place / 60) for place in range(61)]
    roof = " ".join(f"{_x(edge, low):.1f},{_y(edge, low):.1f}" for edge in edges)
    parts.append(f'<polyline points="{roof}" fill="none" stroke="#1b2430" stroke-width="2"/>')
    parts.append(
        f'<text x="{_LEFT + _WIDE / 2}" y="{_TOP + _HIGH + 45}" text-anchor="middle">MFU that arithmetic and memory bandwidth allow</text>'
    )
    parts.append(f'<text transform="translate(16 {_TOP + _HIGH / 2}) rotate(-90)" text-anchor="middle">MFU</text>')
    return "".join(parts)


def _number(number: int, x: float, y: float, taken: list[tuple[float, float]]) -> str:
    """Beside its point, at the first place that no other number has."""
    for right, down in _PLACES:
        spot = (x + right, y + down)
        if all(abs(spot[0] - other[0]) > 18 or abs(spot[1] - other[1]) > 13 for other in taken):
            break
    taken.append(spot)
    return f'<text x="{spot[0]:.1f}" y="{spot[1]:.1f}" text-anchor="{"start" if right > 0 else "end"}">{number}</text>'


def _mark(x: float, y: float, training: bool, style: str) -> str:
    if training:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" {style}/>'
    return f'<rect x="{x - 5.5:.1f}" y="{y - 5.5:.1f}" width="11" height="11" {style}/>'


def _legend() -> str:
    left, parts = _LEFT + _WIDE + 20, []
    entries = (
        ("expected, training", True, 'fill="none" stroke="#1f5fa8" stroke-width="2"'),
        ("observed, training", True, 'fill="#b3470f"'),
        ("expected, inference", False, 'fill="none" stroke="#1f5fa8" stroke-width="2"'),
        ("observed, inference", False, 'fill="#b3470f"'),
    )
    for place, (text, training, style) in enumerate(entries):
        y = _TOP + 15 + 26 * place
        parts.append(_mark(left, y, training, style) + f'<text x="{left + 16}" y="{y + 4}">{text}</text>')
    y = _TOP + 15 + 26 * len(entries)
    parts.append(f'<line x1="{left - 8}" y1="{y + 6}" x2="{left + 8}" y2="{y - 6}" stroke="#1b2430" stroke-width="2"/>')
    parts.append(f'<text x="{left + 16}" y="{y + 4}">the roof</text>')
    return "".join(parts)
