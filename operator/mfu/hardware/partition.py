"""Names of MIG profiles and AMD partition modes, which drivers and plugins spell in several ways."""

import re

from mfu.hardware.accelerator import Accelerator
from mfu.missing import Missing, Reason

__all__ = ["partition_name"]

# 1g.10gb, 1g.10gb+me, 1g.10gb.me, 1g.23gb-me, 1g.24gb+me.all, 1c.3g.40gb (a compute instance inside 3g.40gb)
_PROFILE = re.compile(r"^(?:(?P<compute>\d+)c\.)?(?P<slices>\d+)g\.(?P<memory>\d+)gb(?:[.+\-](?:me|gfx|all)\b.*)?$")


def partition_name(device: Accelerator, label: str) -> str | Missing:
    """The catalogued profile of `device` that `label` means. Media and graphics extensions own the same compute.

    Driver releases name the same instance a gigabyte or two apart (GB200: 1g.23gb and 1g.24gb), so the memory may differ by a twentieth.
    """
    plain = label.strip().casefold()
    known = {part.name: part for part in device.partitions}
    if plain in known:
        return plain
    found = _PROFILE.match(plain)
    if found and found["compute"] is None:
        for name in known:
            other = _PROFILE.match(name)
            if other and other["slices"] == found["slices"]:
                difference = abs(int(other["memory"]) - int(found["memory"]))
                if difference <= max(1.0, int(other["memory"]) / 20):
                    return name
    listed = ", ".join(known) or "none"
    return Missing(
        reason=Reason.UNKNOWN_ACCELERATOR,
        message=f"{device.name} has no partition {label!r}; known: {listed}; declare spec.accelerators.class",
    )
