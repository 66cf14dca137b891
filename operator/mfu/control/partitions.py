"""The MIG devices of the cluster, as far as node objects and pods tell: how many instances of each profile, and how many are in use."""

from mfu.control.allocation import Allocation
from mfu.control.resources import Kind
from mfu.control.store import Store
from mfu.control.view import View
from mfu.errors import UnknownName
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.catalog import accelerator
from mfu.judge.fragmentation import MigDevice, packed
from mfu.judge.prices import PriceList
from mfu.missing import Missing

__all__ = ["partitioned"]


def partitioned(store: Store, view: View, allocation: Allocation, prices: PriceList) -> tuple[MigDevice, ...]:
    """Kubernetes counts instances by node, not by device: they are put on as few devices as hold them, so nothing is called stranded
    that another arrangement could use.
    """
    found: list[MigDevice] = []
    for key in sorted(store.all(Kind.NODE)):
        devices = view.devices(key.name)
        if isinstance(devices, Missing) or not devices.slices:
            continue
        try:
            whole = accelerator(devices.accelerator, view.classes())
        except UnknownName:
            continue
        used = {part.profile: min(part.count, allocation.used(key.name, part.resource)) for part in devices.slices}
        free = {part.profile: part.count - used[part.profile] for part in devices.slices}
        quote = prices.quote(whole.name, "", default_price=whole.price_per_hour)
        count = _devices(whole, {part.profile: part.count for part in devices.slices})
        found.extend(packed(key.name, whole, count, used, free, quote.price_micros))
    return tuple(found)


def _devices(whole: Accelerator, counts: dict[str, int]) -> int:
    """The fewest devices that can hold so many instances of each profile."""
    each = {part.name: part.compute_ratio for part in whole.partitions}
    slices = sum(each.get(profile, 0.0) * count for profile, count in counts.items())
    most = max((count / part.count_per_device for part in whole.partitions if (count := counts.get(part.name, 0))), default=0.0)
    return max(1, -int(-max(slices, most) // 1)) if counts else 0
