"""MIG fragmentation: compute and memory that is cut into slices nobody asks for, and the cut that would serve what waits.

Instances in use stay as they are; only free ones are recreated. What fits beside what is decided by the sums of compute and memory slices
and the number of each profile that a device may have, not by the driver's list of placements: a proposal may need instances to be moved.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mfu.hardware.accelerator import Accelerator
from mfu.judge.fragmentation_slices import MEMORY_SLICES, compute_slices, memory_slices, slices_of
from mfu.missing import Missing, Reason

__all__ = ["Fragmentation", "MigDevice", "Repartition", "Stranded", "fragmentation", "packed"]

_NO_PRICE = Missing(reason=Reason.UNKNOWN_PRICE, message="no price was given for the device")


@dataclass(frozen=True, slots=True, kw_only=True)
class MigDevice:
    """One physical device: instances by profile, in use and free. `accelerator`: the whole device; `price_micros`: of it, an hour."""

    node: str
    index: int
    accelerator: Accelerator
    used: Mapping[str, int] = field(default_factory=dict)
    free: Mapping[str, int] = field(default_factory=dict)
    price_micros: int | Missing = _NO_PRICE


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranded:
    """Compute slices of one device that nobody can use: those in no instance; free instances too while pods wait for other profiles."""

    node: str
    index: int
    accelerator_class: str
    compute_slices: int
    profiles: tuple[str, ...]  # of the free instances, with repetitions
    micros_per_hour: int | Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Repartition:
    """What to remove from and create on one device, and what that serves. Instances in use are not touched."""

    node: str
    index: int
    accelerator_class: str
    remove: tuple[str, ...]
    create: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragmentation:
    """`served`: pending instances that free ones serve as they are; `unserved`: what even the repartition has no room for."""

    stranded: tuple[Stranded, ...]
    stranded_compute_slices: int
    stranded_micros_per_hour: int | Missing
    served: int
    repartitions: tuple[Repartition, ...]
    unserved: Mapping[tuple[str, str], int]


def fragmentation(devices: Sequence[MigDevice], pending: Mapping[tuple[str, str], int]) -> Fragmentation:
    """`pending`: instances that pods wait for, by (class, profile). Deterministic: devices by node and index, largest profiles first."""
    ordered = sorted(devices, key=lambda device: (device.node, device.index))
    waiting = Counter({shape: count for shape, count in pending.items() if count > 0})
    left = [Counter(device.free) for device in ordered]
    served = _serve(ordered, left, waiting)
    short = {name for (name, _), count in waiting.items() if count > 0}
    stranded = [
        found
        for device, free in zip(ordered, left, strict=True)
        if (found := _stranded(device, free, is_short=device.accelerator.name in short)) is not None
    ]
    moves = _repartition(ordered, left, waiting)
    priced = [each.micros_per_hour for each in stranded if not isinstance(each.micros_per_hour, Missing)]
    unknown = Missing(reason=Reason.UNKNOWN_PRICE, message="no device with stranded slices has a price")
    return Fragmentation(
        stranded=tuple(stranded),
        stranded_compute_slices=sum(each.compute_slices for each in stranded),
        stranded_micros_per_hour=sum(priced) if priced or not stranded else unknown,
        served=served,
        repartitions=tuple(moves),
        unserved={shape: count for shape, count in sorted(waiting.items()) if count > 0},
    )


def packed(
    node: str,
    accelerator: Accelerator,
    devices: int,
    used: Mapping[str, int],
    free: Mapping[str, int],
    price_micros: int | Missing,
) -> tuple[MigDevice, ...]:
    """Devices of a node of which only the sums are known, with the instances put on as few of them as hold them, those in use first.

    An instance that fits on no device (the counts contradict the device) is left out.
    """
    holds = [(Counter[str](), Counter[str]()) for _ in range(devices)]
    for position, counts in enumerate((used, free)):
        for profile in _largest_first(accelerator, Counter(counts)):
            for kinds in holds:
                if _fits(accelerator, kinds[0] + kinds[1], profile):
                    kinds[position][profile] += 1
                    break
    return tuple(
        MigDevice(node=node, index=index, accelerator=accelerator, used=dict(kinds[0]), free=dict(kinds[1]), price_micros=price_micros)
        for index, kinds in enumerate(holds)
    )


def _serve(devices: Sequence[MigDevice], left: Sequence[Counter[str]], waiting: Counter[tuple[str, str]]) -> int:
    """Gives free instances to what waits for just them."""
    served = 0
    for device, free in zip(devices, left, strict=True):
        for profile in sorted(free):
            shape = (device.accelerator.name, profile)
            given = min(free[profile], waiting[shape])
            free[profile] -= given
            waiting[shape] -= given
            served += given
    return served


def _stranded(device: MigDevice, free: Counter[str], *, is_short: bool) -> Stranded | None:
    if not device.used and not any(device.free.values()):
        return None  # not partitioned at all
    useful = _slices(device, Counter(device.used) + (_given(device, free) if is_short else Counter(device.free)))
    whole = slices_of(device.accelerator)
    lost = max(0, whole - useful)
    if lost == 0:
        return None
    price = device.price_micros
    return Stranded(
        node=device.node,
        index=device.index,
        accelerator_class=device.accelerator.name,
        compute_slices=lost,
        profiles=tuple(sorted((+free).elements())) if is_short else (),
        micros_per_hour=price if isinstance(price, Missing) else price * lost // whole,
    )


def _repartition(devices: Sequence[MigDevice], left: Sequence[Counter[str]], waiting: Counter[tuple[str, str]]) -> list[Repartition]:
    """Fills devices with what still waits, those with the most room first; takes from `waiting` what it serves."""
    order = sorted(range(len(devices)), key=lambda each: (-_room(devices[each], left[each]), devices[each].node, devices[each].index))
    found = []
    for position in order:
        device, free = devices[position], left[position]
        name = device.accelerator.name
        kept = Counter(device.used) + _given(device, free)
        created: list[str] = []
        for profile in _largest_first(device.accelerator, Counter({p: n for (of, p), n in waiting.items() if of == name})):
            if _fits(device.accelerator, kept, profile):
                kept[profile] += 1
                created.append(profile)
                waiting[name, profile] -= 1
        if created:
            removed = _removed(device, kept, free)
            found.append(Repartition(node=device.node, index=device.index, accelerator_class=name, remove=removed, create=tuple(created)))
    return found


def _removed(device: MigDevice, kept: Counter[str], free: Counter[str]) -> tuple[str, ...]:
    """As few free instances as make room: those that still fit beside what is created may stay."""
    removed = []
    staying = Counter(kept)
    for profile in reversed(list(_largest_first(device.accelerator, +free))):
        if _fits(device.accelerator, staying, profile):
            staying[profile] += 1
        else:
            removed.append(profile)
    return tuple(sorted(removed))


def _given(device: MigDevice, free: Counter[str]) -> Counter[str]:
    """Free instances that serve what waits."""
    return Counter(device.free) - free


def _room(device: MigDevice, free: Counter[str]) -> int:
    return slices_of(device.accelerator) - _slices(device, Counter(device.used) + _given(device, free))


def _slices(device: MigDevice, instances: Counter[str]) -> int:
    return sum(compute_slices(device.accelerator, profile) * count for profile, count in instances.items())


def _largest_first(accelerator: Accelerator, counts: Counter[str]) -> list[str]:
    known = {part.name for part in accelerator.partitions}
    shapes = sorted(
        (profile for profile in (+counts) if profile in known),
        key=lambda profile: (-compute_slices(accelerator, profile), -memory_slices(accelerator, profile), profile),
    )
    return [profile for profile in shapes for _ in range(counts[profile])]


def _fits(accelerator: Accelerator, present: Counter[str], profile: str) -> bool:
    """Whether one more instance fits by compute slices, memory slices, and how many of the profile a device may have."""
    after = present + Counter([profile])
    most = next((part.count_per_device for part in accelerator.partitions if part.name == profile), 0)
    return (
        after[profile] <= most
        and sum(compute_slices(accelerator, each) * count for each, count in after.items()) <= slices_of(accelerator)
        and sum(memory_slices(accelerator, each) * count for each, count in after.items()) <= MEMORY_SLICES
    )
