"""Prices: the most specific line wins, slices pay their share, and what is not said is unknown."""

from __future__ import annotations

from fractions import Fraction

import pytest

from mfu.errors import IntentError
from mfu.judge.prices import Contract, PriceLine, PriceList
from mfu.judge.prices_reading import read_prices
from mfu.missing import Missing, Reason

H100 = "h100-sxm-80gb"


def listed(*lines: PriceLine, **contracts: Contract) -> PriceList:
    return PriceList(lines=lines, contracts=contracts)


def line(
    price: float | None = None, *, cost: float | None = None, of: str = "*", tenant: str = "*", contract: Contract | None = None
) -> PriceLine:
    return PriceLine(
        accelerator_class=of,
        tenant=tenant,
        contract=contract,
        price_micros=None if price is None else round(price * 1e6),
        cost_micros=None if cost is None else round(cost * 1e6),
    )


@pytest.mark.parametrize(
    ("lines", "tenant", "expected"),
    [
        pytest.param([line(9.0), line(2.0, of=H100)], "a", 2_000_000, id="the class before any class"),
        pytest.param([line(1.0, tenant="a"), line(2.0, of=H100)], "a", 2_000_000, id="the class before the tenant"),
        pytest.param([line(2.0, of=H100), line(1.5, of=H100, tenant="a")], "a", 1_500_000, id="the tenant's own price"),
        pytest.param([line(2.0, of=H100), line(1.5, of=H100, tenant="b")], "a", 2_000_000, id="not another tenant's"),
        pytest.param([line(2.0, of=H100), line(0.7, of=H100, contract=Contract.SPOT)], "a", 2_000_000, id="not another contract's"),
        pytest.param([line(2.0, of=H100), line(0.7, of=H100, contract=Contract.SPOT)], "cheap", 700_000, id="the tenant's contract"),
        pytest.param([line(2.0, of="a100-sxm-80gb")], "a", 4_000_000, id="else the list price of the class"),
    ],
)
def test_the_most_specific_line_wins(lines: list[PriceLine], tenant: str, expected: int) -> None:
    prices = listed(*lines, cheap=Contract.SPOT)
    assert prices.quote(H100, tenant, default_price=4.0).price_micros == expected


def test_price_and_cost_are_looked_up_apart() -> None:
    quote = listed(line(2.0, of=H100, tenant="a"), line(cost=1.25, of=H100)).quote(H100, "a")
    assert (quote.price_micros, quote.cost_micros) == (2_000_000, 1_250_000)


def test_a_price_that_nobody_states_is_unknown_and_not_zero() -> None:
    quote = PriceList().quote(H100, "a")
    assert isinstance(quote.price_micros, Missing) and quote.price_micros.reason is Reason.UNKNOWN_PRICE
    assert isinstance(quote.cost_micros, Missing) and H100 in quote.cost_micros.message


def test_a_free_accelerator_costs_zero_which_is_known() -> None:
    assert listed(line(0.0, of=H100)).quote(H100, "a", default_price=4.0).price_micros == 0


def test_a_slice_pays_its_share_of_the_device_unless_it_has_a_price_of_its_own() -> None:
    sevenths = listed(line(7.0, of=H100))
    assert sevenths.quote(f"{H100}/1g.10gb", "a", share=Fraction(1, 7)).price_micros == 1_000_000
    own = listed(line(7.0, of=H100), line(1.3, of=f"{H100}/1g.10gb"))
    assert own.quote(f"{H100}/1g.10gb", "a", share=Fraction(1, 7)).price_micros == 1_300_000


def test_the_prices_section_is_read() -> None:
    prices = read_prices(
        {
            "currency": "EUR",
            "contracts": {"research": "reserved"},
            "lines": [{"class": H100, "contract": "reserved", "price": "$2.10", "cost": 1.4}, {"class": H100, "price": 3}],
        }
    )
    quote = prices.quote(H100, "research")
    assert (quote.price_micros, quote.cost_micros, quote.contract, quote.currency) == (2_100_000, 1_400_000, Contract.RESERVED, "EUR")
    assert prices.quote(H100, "other").price_micros == 3_000_000


@pytest.mark.parametrize(
    ("section", "path"),
    [
        pytest.param({"lines": [{"class": H100, "price": -1}]}, "prices.lines[0].price", id="negative"),
        pytest.param({"lines": [{"class": H100, "price": "two"}]}, "prices.lines[0].price", id="no amount"),
        pytest.param({"lines": [{"class": H100, "price": float("nan")}]}, "prices.lines[0].price", id="not a number"),
        pytest.param({"lines": [{"class": H100, "price": True}]}, "prices.lines[0].price", id="a truth value"),
        pytest.param({"lines": [{"class": H100}]}, "prices.lines[0]", id="neither price nor cost"),
        pytest.param({"lines": [{"clas": H100, "price": 1}]}, "prices.lines[0].clas", id="a misspelt field"),
        pytest.param({"lines": "x"}, "prices.lines", id="no list"),
        pytest.param({"contracts": {"a": "lease"}}, "prices.contracts.a", id="no such contract"),
        pytest.param({"currency": "dollars"}, "prices.currency", id="no currency code"),
    ],
)
def test_a_wrong_section_is_refused_with_the_field_path(section: dict[str, object], path: str) -> None:
    with pytest.raises(IntentError) as raised:
        read_prices(section)
    assert raised.value.path == path
