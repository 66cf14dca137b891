"""Numbers and fields as loggers write them."""

import re
from collections.abc import Mapping
from datetime import datetime

__all__ = ["clean", "fields", "first", "floating", "integer", "number", "timestamp"]

# ECMA-48 control sequences (colours, cursor), and operating system commands (titles, links).
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")
# Atomic: of `11.5Kiter` nothing is a number, not even the 11.
_NUMBER = re.compile(r"\s*((?>[+-]?(?:\d[\d,]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?))\s*([KMBGTP]?)(?![A-Za-z0-9])")
_FLOPS = re.compile(r"\s*([\d.]+)\s*([KMGTP])FLOPS")
_SCALE = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12, "P": 1e15}
_FIELD = re.compile(r"\s*([^:|]+?)\s*:\s*(.*?)\s*")
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,6}))?")


def clean(line: str) -> str:
    """Without colours and control characters."""
    return "".join(character for character in _CONTROL.sub("", line) if character >= " " or character == "\t")


def number(text: str) -> float | None:
    """The number that `text` begins with: `1,234`, `11.5K`, `8.6E-06`, the first of `1460.8/1450.4`; None when there is none.

    A number cut in the middle by a torn line cannot be told from a whole one; a letter right behind it can.
    """
    found = _NUMBER.match(text)
    if found is None:
        flops = _FLOPS.match(text)
        return float(flops[1]) * _SCALE[flops[2]] if flops else None
    value = float(found[1].replace(",", "")) * _SCALE[found[2]]
    return value if abs(value) < 1e300 else None


def integer(text: str | None) -> int | None:
    value = floating(text)
    return None if value is None else round(value)


def floating(text: str | None) -> float | None:
    return None if text is None else number(text)


def fields(line: str, separator: str = "|") -> dict[str, str]:
    """`name: value | name: value` as a mapping of lower-case names; of a name that comes twice the first counts."""
    found: dict[str, str] = {}
    for part in line.split(separator):
        match = _FIELD.fullmatch(part)
        if match is not None:
            found.setdefault(match[1].lower(), match[2])
    return found


def first(found: Mapping[str, str], *names: str) -> float | None:
    """The first of the fields that is there and holds a number."""
    values = (floating(found.get(name)) for name in names)
    return next((value for value in values if value is not None), None)


def timestamp(line: str) -> float | None:
    """Seconds of the first `2026-02-24 19:46:17,508` in the line, as if it were UTC: only differences mean anything."""
    found = _DATE.search(line)
    if found is None:
        return None
    try:
        whole = datetime.fromisoformat(f"{found[1]}-{found[2]}-{found[3]}T{found[4]}:{found[5]}:{found[6]}+00:00")
    except ValueError:
        return None
    return whole.timestamp() + (float(f"0.{found[7]}") if found[7] else 0.0)
