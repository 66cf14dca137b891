"""Figures as text: percentages, money, bytes, times and rates the way a person reads them, without false precision."""

import math
from datetime import UTC, datetime

__all__ = [
    "bytes_text",
    "count_text",
    "flops_text",
    "instant",
    "money",
    "percent",
    "rate_text",
    "ratio_of",
    "seconds_text",
    "signed_percent",
]


def percent(ratio: float) -> str:
    """0.4312 → "43.1%"."""
    return f"{100.0 * ratio:.1f}%"


def signed_percent(ratio: float) -> str:
    """-0.276 → "-27.6%"; never "-0.0%"."""
    rounded = round(100.0 * ratio, 1)
    return f"{rounded:+.1f}%" if rounded else "0.0%"


def ratio_of(text: object) -> float | None:
    """The ratio that a percentage says, as this module writes it; None where the text is no percentage."""
    if not isinstance(text, str) or not text.endswith("%"):
        return None
    try:
        return float(text[:-1]) / 100.0
    except ValueError:
        return None


def money(dollars: float) -> str:
    """0.4213 → "$0.42", 112.4 → "$112", 0.00123 → "$0.0012"; a loss keeps its sign in front."""
    sign, size = ("-" if dollars < 0 else ""), abs(dollars)
    if size >= 100:
        return f"{sign}${size:,.0f}"
    if size >= 0.1 or size == 0:
        return f"{sign}${size:.2f}"
    places = min(6, 1 - math.floor(math.log10(size)))
    return f"{sign}${size:.{places}f}"


def bytes_text(size: float) -> str:
    """Memory in GiB, or in MiB where it is less."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def seconds_text(seconds: float) -> str:
    """1.3234 → "1.32 s", 0.0213 → "21.3 ms", 42e-6 → "42 µs"."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1.0 or unit == "µs":
            return f"{_three_digits(seconds * factor)} {unit}"
    raise AssertionError


def flops_text(flops: float) -> str:
    """4.2e11 → "420 GFLOP"."""
    for size, unit in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G")):
        if flops >= size:
            return f"{_three_digits(flops / size)} {unit}FLOP"
    return f"{_three_digits(flops / 1e6)} MFLOP"


def rate_text(per_second: float) -> str:
    """Tokens a second, with thousands separated."""
    return f"{per_second:,.0f}" if per_second >= 100 else _three_digits(per_second)


def count_text(number: float) -> str:
    """Parameters: 70.55e9 → "70.6B"."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if number >= size:
            return f"{_three_digits(number / size)}{unit}"
    return f"{number:,.0f}"


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
