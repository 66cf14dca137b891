"""Bills of the fleet's members: what each workload's accelerators cost, at its tenant's price or at the list price of the class."""

from mfu.judge.fleet import Member
from mfu.judge.money import Bill, bill
from mfu.judge.prices import PriceList, Quote
from mfu.missing import Missing

__all__ = ["bill_of", "label_of", "quote_of"]

_LIST_PRICES = PriceList()


def quote_of(member: Member) -> Quote:
    """The member's own quote, else the list price of its accelerators."""
    if member.quote is not None:
        return member.quote
    workload = member.assessment.workload
    listed = None if isinstance(workload, Missing) else workload.fabric.accelerator.price_per_hour
    return _LIST_PRICES.quote(member.accelerator_class, member.namespace, default_price=listed)


def bill_of(member: Member) -> Bill:
    return bill(member.assessment, namespace=member.namespace, name=member.name, accelerators=member.accelerators, quote=quote_of(member))


def label_of(member: Member) -> str:
    return f"{member.namespace}/{member.name}"
