"""The drawings of a report page, as SVG: bars of ratios, the interval of a workload, the money waterfall."""

from collections.abc import Mapping, Sequence
from html import escape

from mfu.cli.page_style import figure

__all__ = ["bars", "interval", "waterfall"]

_WIDTH = 860
_LABEL = 250
_ROOM = 520
_STEP = 34


def bars(name: str, title: str, values: Sequence[tuple[str, str, float | None]], caption: str) -> str:
    """Horizontal bars of ratios 0–1 with their texts; a ratio that is not known has words instead of a bar."""
    parts = []
    for place, (label, text, value) in enumerate(values):
        y = 10 + place * _STEP
        parts.append(f'<text x="{_LABEL - 10}" y="{y + 17}" text-anchor="end">{escape(label)}</text>')
        parts.append(f'<rect x="{_LABEL}" y="{y}" width="{_ROOM}" height="24" fill="#eef1f5" stroke="#c9d1db"/>')
        if value is not None:
            length = _ROOM * min(1.0, max(0.0, value))
            parts.append(f'<rect x="{_LABEL}" y="{y}" width="{length:.1f}" height="24" fill="{_bar_colour(label)}"/>')
        parts.append(f'<text x="{_LABEL + _ROOM + 10}" y="{y + 17}">{escape(text or "unknown")}</text>')
    description = "; ".join(f"{label}: {text or 'unknown'}" for label, text, _ in values)
    return figure(name, title, description, _WIDTH, 16 + len(values) * _STEP, "".join(parts), caption)


def _bar_colour(label: str) -> str:
    if label.startswith("MFU"):
        return "#b3470f" if "observed" in label else "#1f5fa8"
    return "#5f6b7a"


def interval(
    name: str, *, expected: float | None, low: float | None, high: float | None, observed: float | None, texts: Mapping[str, str]
) -> str:
    """Where a workload is: the 80 % interval of the expected MFU as a band, the expected value as a line, the observed as a diamond."""
    most = max([value for value in (high, expected, observed) if value is not None] or [1.0])
    top = next(edge for edge in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if most <= edge or edge == 1.0)
    left, room = 20, 600

    def x(value: float) -> float:
        return left + room * min(1.0, value / top)

    parts = [f'<line x1="{left}" y1="40" x2="{left + room}" y2="40" stroke="#4a5563"/>']
    for tick in range(6):
        value = top * tick / 5
        parts.append(f'<line x1="{x(value):.1f}" y1="36" x2="{x(value):.1f}" y2="44" stroke="#4a5563"/>')
        parts.append(f'<text class="soft" x="{x(value):.1f}" y="62" text-anchor="middle">{100 * value:.3g}%</text>')
    if low is not None and high is not None:
        parts.append(
            f'<rect x="{x(low):.1f}" y="26" width="{max(2.0, x(high) - x(low)):.1f}" height="28" '
            'fill="#c8dcf2" stroke="#1f5fa8" opacity="0.85"/>'
        )
    if expected is not None:
        parts.append(f'<line x1="{x(expected):.1f}" y1="20" x2="{x(expected):.1f}" y2="56" stroke="#1f5fa8" stroke-width="3"/>')
    if observed is not None:
        at = x(observed)
        parts.append(f'<path d="M{at:.1f} 30l10 10l-10 10l-10 -10z" fill="#b3470f" stroke="#ffffff"/>')
    parts.append('<text class="soft" x="650" y="30">│ expected, band: 80 %</text><text class="soft" x="650" y="50">◆ observed</text>')
    description = ", ".join(f"{key} {text or 'unknown'}" for key, text in texts.items())
    return figure(
        name,
        "Expected and observed MFU",
        description,
        820,
        70,
        "".join(parts),
        f"{description[:1].upper()}{description[1:]} of the dense peak at the compute precision.",
    )


def waterfall(name: str, *, cost: float, by_cause: Mapping[str, float], currency: str, caption: str) -> str:
    """From what the accelerators cost an hour, cause by cause, to the part that bought expected work."""
    steps = [("Cost of the declared GPUs", cost, "total")]
    steps += [(cause, -value, "loss") for cause, value in by_cause.items()]
    bought = cost - sum(by_cause.values())
    steps.append(("Bought the expected work", bought, "total"))
    top = max(cost, 1e-9)
    parts, level, words = [], 0.0, []
    for place, (label, value, kind) in enumerate(steps):
        y = 10 + place * _STEP
        start, end = (0.0, value) if kind == "total" else (level + value, level)
        level = end if kind == "total" else start
        x1, x2 = _LABEL + _ROOM * max(0.0, start) / top, _LABEL + _ROOM * max(0.0, end) / top
        text = f"{'−' if value < 0 else ''}{currency}{abs(value):,.2f}/h ({abs(value) / top:.1%})"
        parts.append(f'<text x="{_LABEL - 10}" y="{y + 17}" text-anchor="end">{escape(label)}</text>')
        fill, edge_colour = ("#1f5fa8", "#1f5fa8") if kind == "total" else ("url(#lost)", "#a3182b")
        parts.append(f'<rect x="{x1:.1f}" y="{y}" width="{max(1.0, x2 - x1):.1f}" height="24" fill="{fill}" stroke="{edge_colour}"/>')
        if place + 1 < len(steps):
            edge = _LABEL + _ROOM * max(0.0, level) / top
            parts.append(f'<line x1="{edge:.1f}" y1="{y + 24}" x2="{edge:.1f}" y2="{y + _STEP}" stroke="#4a5563" stroke-dasharray="3 2"/>')
        parts.append(f'<text x="{_LABEL + _ROOM + 10}" y="{y + 17}">{escape(text)}</text>')
        words.append(f"{label}: {text}")
    pattern = (
        '<defs><pattern id="lost" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect width="6" height="6" fill="#f3c9cf"/><line x1="0" y1="0" x2="0" y2="6" stroke="#a3182b" stroke-width="3"/></pattern></defs>'
    )
    return figure(name, "Money waterfall", "; ".join(words), _WIDTH + 130, 16 + len(steps) * _STEP, pattern + "".join(parts), caption)
