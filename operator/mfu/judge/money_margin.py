"""Revenue of a device-hour beside the useful work that it does: the signal for efficiency-tiered prices."""

from dataclasses import dataclass
from fractions import Fraction

from mfu.judge.fleet import Group
from mfu.judge.prices import MICROS
from mfu.missing import Missing, Reason

__all__ = ["Margin", "margin"]

_PETAFLOP_PER_HOUR = 3600.0 / 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """Of one whole device for an hour, in the currency and in PFLOP of useful work; revenue and cost are never mixed.

    `useful_petaflop_per_device_hour` is over the devices that are observed. `revenue_per_useful_petaflop`: what tenants pay for a useful
    PFLOP; the higher it is, the more reason a tenant has to leave or to be helped.
    """

    revenue_per_device_hour: float | Missing
    cost_per_device_hour: float | Missing
    margin_ratio: float | Missing
    useful_petaflop_per_device_hour: float | Missing
    revenue_per_useful_petaflop: float | Missing


def margin(group: Group) -> Margin:
    """Revenue and cost are spread over the allocated devices; Missing while some of these have no price, for the mean would be too low."""
    money, devices = group.money, group.devices.allocated
    revenue = _each(money.revenue_micros, devices)
    if money.unpriced_accelerators and not isinstance(revenue, Missing):
        revenue = Missing(reason=Reason.UNKNOWN_PRICE, message=f"{money.unpriced_accelerators} accelerators of {group.name} have no price")
    cost = _each(money.cost_micros, devices)
    useful: float | Missing = group.useful_flops_per_second
    if not isinstance(useful, Missing):
        useful = useful * _PETAFLOP_PER_HOUR / float(group.observed_devices)
    ratio: float | Missing
    if isinstance(revenue, Missing) or isinstance(cost, Missing):
        ratio = revenue if isinstance(revenue, Missing) else cost if isinstance(cost, Missing) else 0.0
    else:
        ratio = 1.0 - cost / revenue if revenue > 0.0 else Missing(reason=Reason.NOT_APPLICABLE, message="there is no revenue")
    price: float | Missing
    if isinstance(revenue, Missing) or isinstance(useful, Missing):
        price = revenue if isinstance(revenue, Missing) else useful
    else:
        price = revenue / useful if useful > 0.0 else Missing(reason=Reason.NOT_APPLICABLE, message="no useful work was done")
    return Margin(
        revenue_per_device_hour=revenue,
        cost_per_device_hour=cost,
        margin_ratio=ratio,
        useful_petaflop_per_device_hour=useful,
        revenue_per_useful_petaflop=price,
    )


def _each(micros: int | Missing, devices: Fraction) -> float | Missing:
    if isinstance(micros, Missing):
        return micros
    if not devices:
        return Missing(reason=Reason.NOT_APPLICABLE, message="nothing is allocated")
    return float(micros / MICROS / devices)
