"""Where a sandbox that outlives its command keeps its state."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["default_state_folder"]


def default_state_folder() -> Path:
    """The folder that `up`, the demo and `down` share unless told otherwise: `MFU_STATE_DIR`, or one in the user's state folder."""
    if chosen := os.environ.get("MFU_STATE_DIR"):
        return Path(chosen).expanduser().resolve()
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser().resolve() / "mfu-operator" / "sandbox"
