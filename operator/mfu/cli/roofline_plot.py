"""A roofline as a self-contained SVG: the roofs, every operation on them, and where the whole workload is expected to run."""

from collections.abc import Sequence
from math import atan, ceil, degrees, floor, log10
from xml.sax.saxutils import escape

from mfu.api.figures import percent
from mfu.estimate.roofline import Point, Roofline

__all__ = ["draw"]

_LEFT, _TOP, _WIDTH, _HEIGHT, _LEGEND = 84, 64, 620, 420, 330
_TEXT = 'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#222"'
_HALO = 'font-weight="bold" paint-order="stroke" stroke="#fafafa" stroke-width="4"'
_MOST_POINTS = 14
_SMALLEST_SHARE = 0.002
_COLOURS = {"forward": "#3b6fb6", "prefill": "#3b6fb6", "decode": "#d1602d"}
_NEAR_PIXELS = 17.0


def draw(title: str, found: Roofline) -> str:
    """Operations are numbered by their share of the time the roof allows; the legend names them."""
    points = [point for point in found.points if point.share_ratio >= _SMALLEST_SHARE][:_MOST_POINTS]
    canvas = _Canvas(found, points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {canvas.width} {canvas.height}" role="img" {_TEXT}>',
        f"<title>{escape(title)}: roofline on {escape(found.accelerator)}</title>",
        f'<rect width="{canvas.width}" height="{canvas.height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="28" font-size="16" font-weight="bold">{escape(title)}</text>',
        f'<text x="{_LEFT}" y="48" fill="#666">roofline of one {escape(found.accelerator)}, operations as one rank runs them</text>',
        *canvas.axes(),
        *canvas.roofs(),
        *canvas.expected(),
        *canvas.markers(points),
        *_legend(points),
        "</svg>",
        "",
    ]
    return "\n".join(parts)


class _Canvas:
    """Logarithmic axes around everything that is drawn."""

    def __init__(self, found: Roofline, points: Sequence[Point]) -> None:
        self.found = found
        ridge = found.peak_flops_per_second / found.memory_bytes_per_second
        across = [ridge * 4, ridge / 30, found.expected_intensity_flops_per_byte, *(point.intensity_flops_per_byte for point in points)]
        self.left, self.right = floor(log10(min(across)) * 2) / 2, ceil(log10(max(across)) * 2) / 2
        lowest = min(found.memory_bytes_per_second * 10**self.left, found.expected_flops_per_second)
        self.low, self.high = floor(log10(lowest) * 2) / 2, log10(found.peak_flops_per_second) + 0.25
        self.width = _LEFT + _WIDTH + _LEGEND
        self.height = _TOP + _HEIGHT + 60

    def x(self, intensity: float) -> float:
        return _LEFT + (log10(intensity) - self.left) / (self.right - self.left) * _WIDTH

    def y(self, flops_per_second: float) -> float:
        return _TOP + _HEIGHT - (log10(flops_per_second) - self.low) / (self.high - self.low) * _HEIGHT

    def axes(self) -> list[str]:
        bottom, right = _TOP + _HEIGHT, _LEFT + _WIDTH
        parts = [f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" fill="#fafafa" stroke="#888"/>']
        for decade in range(ceil(self.left), floor(self.right) + 1):
            at = self.x(10.0**decade)
            parts.append(f'<path d="M{at:.1f} {_TOP}V{bottom}" stroke="#ddd"/>')
            parts.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{10.0**decade:g}</text>')
        for decade in range(ceil(self.low), floor(self.high) + 1):
            at = self.y(10.0**decade)
            parts.append(f'<path d="M{_LEFT} {at:.1f}H{right}" stroke="#ddd"/>')
            parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{_rate(10.0**decade)}</text>')
        parts.append(f'<text x="{_LEFT + _WIDTH / 2}" y="{bottom + 42}" text-anchor="middle">arithmetic intensity, FLOP/byte</text>')
        parts.append(
            f'<text transform="translate(20 {_TOP + _HEIGHT / 2}) rotate(-90)" text-anchor="middle">FLOP/s of one accelerator</text>'
        )
        return parts

    def roofs(self) -> list[str]:
        found = self.found
        parts = [self._roof(found.peak_flops_per_second, "", f"{found.precision} peak {_rate(found.peak_flops_per_second)}FLOP/s")]
        if found.attention_peak_flops_per_second < 0.99 * found.peak_flops_per_second:
            text = f"{found.attention_precision} peak (attention, head) {_rate(found.attention_peak_flops_per_second)}FLOP/s"
            parts.append(self._roof(found.attention_peak_flops_per_second, ' stroke-dasharray="6 4"', text))
        slope = self.x(10.0 ** (self.left + 0.06))
        height = self.y(found.memory_bytes_per_second * 10.0 ** (self.left + 0.06))
        angle = -self._angle()
        text = f"memory {found.memory_bytes_per_second / 1e12:.2f} TB/s"
        parts.append(f'<text transform="translate({slope:.1f} {height - 14:.1f}) rotate({angle:.1f})" {_HALO}>{text}</text>')
        return parts

    def _roof(self, peak: float, dash: str, text: str) -> str:
        memory = self.found.memory_bytes_per_second
        ridge = self.x(peak / memory)
        top = self.y(peak)
        start = self.y(memory * 10.0**self.left)
        line = f"M{_LEFT} {start:.1f}L{ridge:.1f} {top:.1f}H{_LEFT + _WIDTH}"
        label = f'<text x="{_LEFT + _WIDTH - 6}" y="{top - 13:.1f}" text-anchor="end" {_HALO}>{escape(text)}</text>'
        return f'<path d="{line}" fill="none" stroke="#222" stroke-width="2"{dash}/>{label}'

    def _angle(self) -> float:
        return degrees(atan(_HEIGHT / (self.high - self.low) / (_WIDTH / (self.right - self.left))))

    def expected(self) -> list[str]:
        """The whole workload, and how far below the roof it is."""
        found = self.found
        at, up = self.x(found.expected_intensity_flops_per_byte), self.y(found.expected_flops_per_second)
        roof = min(found.peak_flops_per_second, found.memory_bytes_per_second * found.expected_intensity_flops_per_byte)
        share = percent(found.expected_flops_per_second / found.peak_flops_per_second)
        side, shift = ("end", -12) if at > _LEFT + _WIDTH / 2 else ("start", 12)
        label = f'x="{at + shift:.1f}" y="{up + 18:.1f}" text-anchor="{side}" fill="#2f7a38" font-weight="bold"'
        return [
            f'<path d="M{at:.1f} {self.y(roof):.1f}V{up:.1f}" stroke="#4c9a54" stroke-dasharray="2 3" stroke-width="2"/>',
            f'<path d="M{at:.1f} {up - 8:.1f}l8 8l-8 8l-8 -8Z" fill="#4c9a54"/>',
            f"<text {label}>expected: MFU {share}</text>",
        ]

    def markers(self, points: Sequence[Point]) -> list[str]:
        """Numbered dots on the roof; a dot that would cover another moves down and keeps a line to its place."""
        taken: list[tuple[float, float]] = []
        lines, dots = [], []
        for number, point in enumerate(points, 1):
            at, up = self.x(point.intensity_flops_per_byte), self.y(point.attainable_flops_per_second)
            place = up
            while any(abs(at - x) < _NEAR_PIXELS and abs(place - y) < _NEAR_PIXELS for x, y in taken):
                place += _NEAR_PIXELS
            taken.append((at, place))
            if place != up:
                lines.append(f'<path d="M{at:.1f} {up:.1f}V{place:.1f}" stroke="#999"/>')
            dots.append(f'<circle cx="{at:.1f}" cy="{place:.1f}" r="8" fill="{_COLOURS[point.phase]}" stroke="#fff"/>')
            dots.append(f'<text x="{at:.1f}" y="{place + 4:.1f}" font-size="10" fill="#fff" text-anchor="middle">{number}</text>')
        return [*lines, *dots]


def _legend(points: Sequence[Point]) -> list[str]:
    left = _LEFT + _WIDTH + 24
    parts = [f'<text x="{left}" y="{_TOP + 8}" font-weight="bold">share of the ideal time</text>']
    for number, point in enumerate(points, 1):
        at = _TOP + 12 + 24 * number
        name = point.operation if point.phase == "forward" else f"{point.phase} {point.operation}"
        bound = "memory" if point.memory_bound else "compute"
        parts.append(f'<circle cx="{left + 8}" cy="{at - 4}" r="8" fill="{_COLOURS[point.phase]}"/>')
        parts.append(f'<text x="{left + 8}" y="{at}" font-size="10" fill="#fff" text-anchor="middle">{number}</text>')
        parts.append(f'<text x="{left + 24}" y="{at}">{escape(name)}</text>')
        parts.append(f'<text x="{left + 296}" y="{at}" text-anchor="end" fill="#666">{bound}, {percent(point.share_ratio)}</text>')
    return parts


def _rate(flops_per_second: float) -> str:
    for size, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G")):
        if flops_per_second >= size:
            return f"{flops_per_second / size:.4g} {unit}"
    return f"{flops_per_second / 1e6:.4g} M"
