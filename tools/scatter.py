"""A plot of predicted against measured on logarithmic axes, as a self-contained SVG."""

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from xml.sax.saxutils import escape

__all__ = ["scatter"]

_SIZE, _LEFT, _TOP, _LEGEND = 460, 76, 48, 240
_COLOURS = ("#3b6fb6", "#d1602d", "#4c9a54", "#8d5fb0", "#b8912c", "#c0504d", "#3f9fa8", "#7a7a7a", "#c66a9b", "#5d7a2e")

_TEXT = 'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#222"'


def scatter(title: str, unit: str, groups: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """One dot for each (measured, predicted) pair, one colour a group; lines where they agree and where they differ by a quarter."""
    every = [value for pairs in groups.values() for pair in pairs for value in pair]
    low, high = floor(log10(min(every))), ceil(log10(max(every)))

    def x(value: float) -> float:
        return _LEFT + (log10(value) - low) / (high - low) * _SIZE

    def y(value: float) -> float:
        return _TOP + _SIZE - (log10(value) - low) / (high - low) * _SIZE

    bottom, right = _TOP + _SIZE, _LEFT + _SIZE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right + _LEGEND} {bottom + 64}" {_TEXT}>',
        f'<rect width="{right + _LEGEND}" height="{bottom + 64}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="28" font-size="16" font-weight="bold">{escape(title)}</text>',
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_SIZE}" height="{_SIZE}" fill="none" stroke="#888"/>',
        f'<clipPath id="plot"><rect x="{_LEFT}" y="{_TOP}" width="{_SIZE}" height="{_SIZE}"/></clipPath>',
    ]
    for decade in range(low, high + 1):
        at, up, label = x(10.0**decade), y(10.0**decade), _decade(decade)
        parts.append(f'<path d="M{at:.1f} {_TOP}V{bottom}M{_LEFT} {up:.1f}H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
        parts.append(f'<text x="{_LEFT - 8}" y="{up + 4:.1f}" text-anchor="end">{label}</text>')
    for factor, dash, colour in ((1.0, "", "#222"), (1.25, ' stroke-dasharray="4 4"', "#888"), (0.8, ' stroke-dasharray="4 4"', "#888")):
        start, end = 10.0**low, 10.0**high
        line = f"M{x(start):.1f} {y(start * factor):.1f}L{x(end):.1f} {y(end * factor):.1f}"
        parts.append(f'<path clip-path="url(#plot)" d="{line}" stroke="{colour}"{dash} fill="none"/>')
    for index, (name, pairs) in enumerate(groups.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        dots = "".join(f"M{x(measured):.1f} {y(predicted):.1f}h0" for measured, predicted in pairs)
        parts.append(f'<path d="{dots}" stroke="{colour}" stroke-width="5" stroke-linecap="round" stroke-opacity="0.6"/>')
        key = _TOP + 14 + 20 * index
        parts.append(f'<circle cx="{right + 22}" cy="{key - 4}" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{right + 34}" y="{key}">{escape(name)} ({len(pairs)})</text>')
    key = _TOP + 14 + 20 * len(groups)
    parts.append(f'<path d="M{right + 16} {key - 4}h12" stroke="#888" stroke-dasharray="4 4"/>')
    parts.append(f'<text x="{right + 34}" y="{key}">a quarter off</text>')
    parts.append(f'<text x="{_LEFT + _SIZE / 2}" y="{bottom + 44}" text-anchor="middle">measured, {escape(unit)}</text>')
    middle = _TOP + _SIZE / 2
    parts.append(f'<text transform="translate(20 {middle}) rotate(-90)" text-anchor="middle">predicted, {escape(unit)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _decade(exponent: int) -> str:
    return f"{10**exponent:,}" if exponent >= 0 else f"{10.0**exponent:g}"
