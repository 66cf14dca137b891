"""The `prices` section of the chart's values, or of a file, → PriceList."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from mfu.errors import IntentError
from mfu.judge.prices import ANY, MICROS, Contract, PriceLine, PriceList

__all__ = ["read_prices"]

_MONEY = re.compile(r"\$?([0-9]{1,9}(?:\.[0-9]{1,6})?)")
_CURRENCY = re.compile(r"[A-Z]{3}")
_MOST_LINES = 10_000
_SECTION = ("currency", "contracts", "lines")
_LINE = ("class", "tenant", "contract", "price", "cost")


def read_prices(value: Mapping[str, object], path: str = "prices") -> PriceList:
    """`{currency: USD, contracts: {research: reserved}, lines: [{class, tenant, contract, price: "$2.10", cost: "$1.40"}]}`

    Prices are of one accelerator for an hour. Raises IntentError with the field path.
    """
    _only(value, _SECTION, path)
    currency = value.get("currency", "USD")
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise IntentError(f"{path}.currency", f"must be an ISO 4217 code like USD, not {currency!r}")
    contracts = _mapping(value.get("contracts") or {}, f"{path}.contracts")
    lines = value.get("lines") or []
    if not isinstance(lines, Sequence) or isinstance(lines, str) or len(lines) > _MOST_LINES:
        raise IntentError(f"{path}.lines", f"must be a list of at most {_MOST_LINES} price lines")
    return PriceList(
        currency=currency,
        lines=tuple(_line(line, f"{path}.lines[{index}]") for index, line in enumerate(lines)),
        contracts={tenant: _contract(name, f"{path}.contracts.{tenant}") for tenant, name in contracts.items()},
    )


def _line(value: object, path: str) -> PriceLine:
    line = _mapping(value, path)
    _only(line, _LINE, path)
    if "price" not in line and "cost" not in line:
        raise IntentError(path, "must have a price (what the tenant pays) or a cost (what it costs the provider), or both")
    return PriceLine(
        accelerator_class=_name(line.get("class", ANY), f"{path}.class"),
        tenant=_name(line.get("tenant", ANY), f"{path}.tenant"),
        contract=_contract(line["contract"], f"{path}.contract") if "contract" in line else None,
        price_micros=_micros(line["price"], f"{path}.price") if "price" in line else None,
        cost_micros=_micros(line["cost"], f"{path}.cost") if "cost" in line else None,
    )


def _micros(value: object, path: str) -> int:
    text = str(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else ""
    found = _MONEY.fullmatch(text)
    if not found:
        raise IntentError(path, f'must be an amount for one accelerator and hour like "$2.10", not {value!r}')
    return int(Decimal(found[1]) * MICROS)


def _contract(value: object, path: str) -> Contract:
    try:
        return Contract(str(value))
    except ValueError as error:
        raise IntentError(path, f"must be one of {', '.join(Contract)}, not {value!r}") from error


def _name(value: object, path: str) -> str:
    if not isinstance(value, str) or not value:
        raise IntentError(path, f"must be a name or {ANY!r}, not {value!r}")
    return value


def _mapping(value: object, path: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise IntentError(path, f"must be a mapping, not {type(value).__name__}")
    return {str(key): item for key, item in value.items()}


def _only(value: Mapping[str, object], known: Sequence[str], path: str) -> None:
    for key in value:
        if key not in known:
            raise IntentError(f"{path}.{key}", f"is not known; known are {', '.join(known)}")
