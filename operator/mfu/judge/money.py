"""What one workload costs for an hour, what of it was lost, and to which cause.

Amounts that are added up are integer millionths of the currency, so that every sum over workloads equals the total exactly. Unit prices
(for a million tokens, for a PFLOP) are quotients, are never added, and are floats in the currency.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from mfu.judge.assessment import Assessment, Cause
from mfu.judge.economics import gap_ratio
from mfu.judge.prices import MICROS, Quote
from mfu.missing import Missing
from mfu.observe.observation import Observation

__all__ = ["Bill", "CauseAmount", "bill", "micros_of", "money_text", "split", "useful_flops_per_second"]

_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseAmount:
    """What one cause costs for an hour, in millionths of the currency."""

    cause: Cause
    micros: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """One workload for an hour, in millionths of `currency`.

    `revenue_micros`: what the tenant pays for the accelerators that its pods hold (the allocated basis). `ideal_micros`: what the same
    work would have cost at the expected MFU. `gap_micros`: the difference; the two add up to the revenue exactly. `by_cause` adds up to
    the gap exactly; what the diagnosis does not explain is Unexplained. `cost_micros`: what the accelerators cost the provider.
    """

    namespace: str
    name: str
    currency: str
    accelerators: int
    revenue_micros: int | Missing
    cost_micros: int | Missing
    ideal_micros: int | Missing
    gap_micros: int | Missing
    by_cause: tuple[CauseAmount, ...]


def bill(assessment: Assessment, *, namespace: str, name: str, accelerators: int, quote: Quote) -> Bill:
    """`accelerators`: devices or slices that the workload's pods hold now; `quote`: for one of them."""
    revenue = quote.price_micros if isinstance(quote.price_micros, Missing) else quote.price_micros * accelerators
    cost = quote.cost_micros if isinstance(quote.cost_micros, Missing) else quote.cost_micros * accelerators
    ratio = gap_ratio(assessment.estimate, assessment.observation)
    gap: int | Missing
    ideal: int | Missing
    causes: tuple[CauseAmount, ...] = ()
    if isinstance(revenue, Missing):
        gap = ideal = revenue
    elif isinstance(ratio, Missing):
        gap = ideal = ratio
    else:
        gap = round(revenue * ratio)
        ideal = revenue - gap
        causes = _by_cause(gap, assessment)
    return Bill(
        namespace=namespace,
        name=name,
        currency=quote.currency,
        accelerators=accelerators,
        revenue_micros=revenue,
        cost_micros=cost,
        ideal_micros=ideal,
        gap_micros=gap,
        by_cause=causes,
    )


def _by_cause(gap: int, assessment: Assessment) -> tuple[CauseAmount, ...]:
    """The gap, split by the diagnosis; largest first."""
    if gap == 0:
        return ()
    shares: dict[Cause, float] = {}
    for found in assessment.diagnosis:
        shares[found.cause] = shares.get(found.cause, 0.0) + found.share_ratio
    rest = 1.0 - sum(shares.values())
    if rest > 1e-9:
        shares[Cause.UNEXPLAINED] = shares.get(Cause.UNEXPLAINED, 0.0) + rest
    amounts = split(gap, tuple(shares.values()))
    found_amounts = [CauseAmount(cause=cause, micros=micros) for cause, micros in zip(shares, amounts, strict=True) if micros]
    return tuple(sorted(found_amounts, key=lambda amount: (-amount.micros, amount.cause)))


def useful_flops_per_second(assessment: Assessment, accelerators: int) -> float | Missing:
    """Model FLOP/s achieved on the held accelerators: observed MFU × peak at the declared precision."""
    workload, observation = assessment.workload, assessment.observation
    if isinstance(workload, Missing):
        return workload
    if not isinstance(observation, Observation):
        return observation
    if isinstance(observation.mfu_ratio, Missing):
        return observation.mfu_ratio
    peak = workload.fabric.accelerator.peak(workload.precisions.compute)
    return peak if isinstance(peak, Missing) else observation.mfu_ratio * peak * accelerators


def micros_of(amount: float | str | Decimal) -> int:
    """An amount of the currency in millionths, halves to even. A float stands for the decimal that it prints as."""
    exact = amount if isinstance(amount, Decimal) else Decimal(str(amount))
    return int((exact * MICROS).to_integral_value(rounding=ROUND_HALF_EVEN))


def split(total: int, shares: Sequence[float]) -> tuple[int, ...]:
    """`total` in proportion to `shares`, in whole units that add up to it exactly (largest remainders, ties to the first).

    Shares are not negative; where all are zero, the first takes everything. Empty shares have nothing to split: `()`.
    """
    whole = sum(shares)
    if not shares:
        return ()
    if whole <= 0:
        return (total, *(0 for _ in shares[1:]))
    exact = [total * (share / whole) for share in shares]
    parts = [int(amount // 1) for amount in exact]
    left = total - sum(parts)
    order = sorted(range(len(parts)), key=lambda index: (parts[index] - exact[index], index))
    step = 1 if left >= 0 else -1
    if step < 0:
        order.reverse()
    for turn in range(abs(left)):
        parts[order[turn % len(order)]] += step
    return tuple(parts)


def money_text(micros: int, currency: str = "USD") -> str:
    """To the cent: `$1,204.17`, `-€0.50`, `CHF 12.00`."""
    cents = int((Decimal(micros) / 10_000).to_integral_value(rounding=ROUND_HALF_EVEN))
    sign = "-" if cents < 0 else ""
    mark = _SIGNS.get(currency, f"{currency} ")
    return f"{sign}{mark}{abs(cents) // 100:,}.{abs(cents) % 100:02d}"
