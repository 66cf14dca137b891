"""What drift detection carries from one look to the next."""

from dataclasses import dataclass

__all__ = ["UNTRACKED", "DriftState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftState:
    """What drift detection carries from one look to the next. `below_seconds` and `above_seconds` count only time that was observed."""

    drifting: bool = False
    since_seconds: float | None = None
    below_seconds: float = 0.0
    above_seconds: float = 0.0
    last_seconds: float | None = None  # the last look with an observation; None: the clock stands still until the next


UNTRACKED = DriftState()
