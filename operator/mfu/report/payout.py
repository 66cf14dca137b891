"""A counter that grows evenly although its increments come in lumps.

A log reports every so many steps, often less than once in the window that rates are taken over: counted at once, a rate would be zero most
of the time and far too high in between. What a record adds is therefore paid out over as long as it took. The total is exact; it lags by
one record, and stops within one when the training does.
"""

from dataclasses import dataclass, replace

__all__ = ["NOTHING", "Payout"]

_BURST = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """Immutable, so that a scrape in another thread never sees half a change."""

    tokens: float = 0.0  # paid when the last record came
    steps: float = 0.0
    tokens_owed: float = 0.0
    steps_owed: float = 0.0
    since: float = 0.0
    over_seconds: float = 0.0
    silence_seconds: float = 0.0  # before the last burst of records
    begun: bool = False

    def at(self, now: float) -> tuple[float, float]:
        """Tokens and steps counted at `now`."""
        share = min(1.0, max(0.0, now - self.since) / self.over_seconds) if self.over_seconds > 0.0 else 1.0
        return self.tokens + self.tokens_owed * share, self.steps + self.steps_owed * share

    def add(self, *, now: float, tokens: float, steps: int, seconds: float | None) -> "Payout":
        """Another record, whose steps took `seconds`.

        Records that come together (the writer buffers) are paid out over the silence before them.
        """
        gap = now - self.since if self.begun else 0.0
        silence, over = gap, gap if seconds is None else seconds
        if self.begun and seconds is not None and gap < _BURST * seconds:
            silence = self.silence_seconds
            over = max(seconds, silence)
        paid_tokens, paid_steps = self.at(now)
        return replace(
            self,
            tokens=paid_tokens,
            steps=paid_steps,
            tokens_owed=self.tokens + self.tokens_owed - paid_tokens + tokens,
            steps_owed=self.steps + self.steps_owed - paid_steps + steps,
            since=now,
            over_seconds=over,
            silence_seconds=silence,
            begun=True,
        )


NOTHING = Payout()
