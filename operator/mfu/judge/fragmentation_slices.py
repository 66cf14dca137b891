"""Slices of a partitioned device: what part of it an instance is.

An NVIDIA device has as many compute slices as its largest profile says (7g: 7; 4g: 4); its memory is cut into eighths (NVIDIA MIG User
Guide, "Partitioning"). Other makers' modes cut a device into equal parts.
"""

import re
from fractions import Fraction

from mfu.hardware.accelerator import Accelerator, Partition

__all__ = ["MEMORY_SLICES", "compute_slices", "device_share", "memory_slices", "slices_of"]

MEMORY_SLICES = 8
_PROFILE = re.compile(r"(\d+)g\.\d+gb")


def slices_of(accelerator: Accelerator) -> int:
    """Compute slices of the whole device: those of its largest MIG profile, else its largest number of equal parts, else 1."""
    found = [int(match[1]) for part in accelerator.partitions if (match := _PROFILE.match(part.name))]
    return max(found, default=max((part.count_per_device for part in accelerator.partitions), default=1))


def compute_slices(accelerator: Accelerator, profile: str) -> int:
    """Compute slices of an instance; a profile that the device does not have takes it whole."""
    match = _PROFILE.match(profile)
    if match:
        return int(match[1])
    part = _part(accelerator, profile)
    whole = slices_of(accelerator)
    return whole if part is None else max(1, whole // part.count_per_device)


def memory_slices(accelerator: Accelerator, profile: str) -> int:
    """Eighths of the device's memory. 1g.10gb of 80 GB: 1; 3g.40gb and 4g.40gb: 4."""
    part = _part(accelerator, profile)
    return MEMORY_SLICES if part is None else max(1, round(part.memory_bytes / accelerator.memory_bytes * MEMORY_SLICES))


def device_share(accelerator_class: str, accelerator: Accelerator | None, *, replicas: int = 1) -> Fraction:
    """The part of a whole device that one unit of `accelerator_class` is: `…/1g.10gb` is a seventh, a time-sliced one 1 / `replicas`.

    `accelerator`: the whole device; without it a slice counts as a whole device, for nothing better is known.
    """
    shared = Fraction(1, max(1, replicas))
    _, _, profile = accelerator_class.partition("/")
    if not profile or accelerator is None:
        return shared
    return shared * Fraction(compute_slices(accelerator, profile), slices_of(accelerator))


def _part(accelerator: Accelerator, profile: str) -> Partition | None:
    return next((part for part in accelerator.partitions if part.name == profile), None)
