"""Amounts with units, as they are declared, → SI. The wire model has checked their form; an IntentError here means that it was bypassed."""

import re

from mfu.errors import IntentError

__all__ = ["bytes_of", "bytes_per_second_of", "dollars_of", "flops_per_second_of", "ratio_of", "seconds_of"]

_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z/]+)")
_DURATION = re.compile(r"([0-9]+)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"MB": 1e6, "GB": 1e9, "TB": 1e12, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40}
_BANDWIDTHS = {f"{unit}/s": size for unit, size in _BYTES.items()} | {"Gbit/s": 1e9 / 8, "Tbit/s": 1e12 / 8}
_FLOPS = {"GFLOP/s": 1e9, "TFLOP/s": 1e12, "PFLOP/s": 1e15}


def bytes_of(text: str, path: str) -> float:
    """ "80GiB" → bytes."""
    return _scaled(text, _BYTES, path)


def bytes_per_second_of(text: str, path: str) -> float:
    """ "3.35 TB/s" or "400 Gbit/s" → bytes per second."""
    return _scaled(text, _BANDWIDTHS, path)


def flops_per_second_of(text: str, path: str) -> float:
    """ "989.4 TFLOP/s" → FLOP per second."""
    return _scaled(text, _FLOPS, path)


def dollars_of(text: str) -> float:
    """ "$1.20" → dollars."""
    return float(text.removeprefix("$"))


def ratio_of(text: str) -> float:
    """ "35%" → 0.35."""
    return float(text.removesuffix("%")) / 100.0


def seconds_of(text: str) -> float:
    """ "1h30m" → seconds."""
    return sum(int(amount) * _SECONDS[unit] for amount, unit in _DURATION.findall(text))


def _scaled(text: str, units: dict[str, float], path: str) -> float:
    match = _AMOUNT.fullmatch(text)
    factor = units.get(match[2]) if match else None
    if match is None or factor is None or float(match[1]) == 0.0:
        raise IntentError(path, f"must be an amount above zero in one of {', '.join(units)}, not {text!r}")
    return float(match[1]) * factor
