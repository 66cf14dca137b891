"""What an accelerator-hour costs: by class, tenant and contract; what the tenant pays and what it costs the provider, kept apart."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction

from mfu.hardware.accelerator import Accelerator
from mfu.missing import Missing, Reason

__all__ = ["ANY", "MICROS", "Contract", "PriceLine", "PriceList", "Quote"]

ANY = "*"
MICROS = 1_000_000


class Contract(StrEnum):
    """How the accelerators are bought."""

    ON_DEMAND = "onDemand"
    RESERVED = "reserved"
    SPOT = "spot"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceLine:
    """Prices of one accelerator for an hour, in millionths of the currency, for what the line names; `*` and None name everything.

    `price_micros`: what the tenant pays. `cost_micros`: what the accelerator costs the provider.
    """

    accelerator_class: str = ANY
    tenant: str = ANY
    contract: Contract | None = None
    price_micros: int | None = None
    cost_micros: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What one accelerator (or slice) costs for an hour, in millionths of `currency`."""

    price_micros: int | Missing
    cost_micros: int | Missing
    contract: Contract
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """`contracts`: the contract of each tenant; on demand where none is named."""

    currency: str = "USD"
    lines: tuple[PriceLine, ...] = ()
    contracts: Mapping[str, Contract] = field(default_factory=dict)

    def quote(
        self,
        accelerator_class: str,
        tenant: str,
        *,
        contract: Contract | None = None,
        default_price: float | None = None,
        share: Fraction = Fraction(1),
    ) -> Quote:
        """The most specific line wins, for each of the two figures: class before tenant before contract.

        A slice (`class/profile`) without a line of its own pays `share` of its device. `default_price`: the list price of the class (or
        slice) itself, taken where no line has a price.
        """
        agreed = contract or self.contracts.get(tenant, Contract.ON_DEMAND)
        price = self._figure(accelerator_class, tenant, agreed, share, lambda line: line.price_micros)
        if price is None and default_price is not None:
            price = round(default_price * MICROS)
        cost = self._figure(accelerator_class, tenant, agreed, share, lambda line: line.cost_micros)
        return Quote(
            price_micros=_unknown(accelerator_class, "price") if price is None else price,
            cost_micros=_unknown(accelerator_class, "cost") if cost is None else cost,
            contract=agreed,
            currency=self.currency,
        )

    def priced(self, accelerator: Accelerator, tenant: str, *, share: Fraction = Fraction(1)) -> Accelerator:
        """The accelerator at the price that this tenant pays, so that all that is judged of its workloads speaks of the same money."""
        price = self.quote(accelerator.name, tenant, default_price=accelerator.price_per_hour, share=share).price_micros
        return accelerator if isinstance(price, Missing) else replace(accelerator, price_per_hour=price / MICROS)

    def _figure(
        self, accelerator_class: str, tenant: str, contract: Contract, share: Fraction, figure: Callable[["PriceLine"], int | None]
    ) -> int | None:
        device = accelerator_class.partition("/")[0]
        best: tuple[tuple[int, int, int], int] | None = None
        for line in self._lines_for(accelerator_class, device):
            amount = figure(line)
            if amount is None or line.tenant not in (ANY, tenant) or line.contract not in (None, contract):
                continue
            exact = line.accelerator_class == accelerator_class
            rank = (
                2 if exact else 1 if line.accelerator_class == device else 0,
                int(line.tenant != ANY),
                int(line.contract is not None),
            )
            if best is None or rank > best[0]:
                best = (rank, amount if exact else round(amount * share))
        return None if best is None else best[1]

    def _lines_for(self, accelerator_class: str, device: str) -> Iterable[PriceLine]:
        return (line for line in self.lines if line.accelerator_class in (accelerator_class, device, ANY))


def _unknown(accelerator_class: str, figure: str) -> Missing:
    return Missing(
        reason=Reason.UNKNOWN_PRICE,
        message=f"{accelerator_class} has no {figure}; add it to `prices` or set spec.pricePerHour in its AcceleratorClass",
    )
