"""From records to counted steps and tokens: every step once, whoever printed it and how often."""

from collections import deque
from dataclasses import dataclass

from mfu.report.logs.record import Facts, Record

__all__ = ["Advance", "Progress"]

_RECENT_STEPS = 2
_CLOCK_TOLERANCE = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """What a record adds. `seconds`: how long it took, None: unknown. `lacking`: what to do about tokens that are None."""

    steps: int
    tokens: float | None
    seconds: float | None
    tokens_per_second: float | None = None
    lacking: str = ""


class Progress:
    """One job's place in its training.

    Ranks print the same step, also late, after another has printed the next: steps of the last two records are taken once. A step further
    back is a job that resumed from a checkpoint. Steps that no record shows (a line was torn) count with the next record, but never more
    than fit into the time that went by: a jump beyond that is another job's log.
    """

    def __init__(self, declared: Facts) -> None:
        self._declared = declared
        self._told = Facts()
        self._previous: Record | None = None
        self._previous_at: float | None = None
        self._interval = 1
        self._recent: deque[int] = deque(maxlen=_RECENT_STEPS)

    def learn(self, facts: Facts) -> None:
        """What the log says of the job; what was declared stands above it."""
        self._told = Facts(
            sequence_length=facts.sequence_length or self._told.sequence_length,
            sequences=facts.sequences or self._told.sequences,
            accelerators=facts.accelerators or self._told.accelerators,
        )

    def take(self, record: Record, *, now: float | None = None) -> Advance | None:
        """What `record`, read at `now` (None: long ago), adds; None when its step is counted already or it names none."""
        step = record.step
        if step is None or step in self._recent:
            return None
        previous, previous_at = self._previous, self._previous_at
        follows = previous is not None and previous.step is not None and step > previous.step
        gap = now - previous_at if now is not None and previous_at is not None else None
        steps = self._interval
        if follows and previous is not None and previous.step is not None:
            steps = step - previous.step
            if gap is not None and record.step_seconds:
                steps = min(steps, max(self._interval, round(_CLOCK_TOLERANCE * gap / record.step_seconds)))
            self._interval = steps
        self._recent.append(step)
        self._previous, self._previous_at = record, now
        seconds = _seconds(record, previous if follows else None, steps, gap)
        return self._advance(record, previous if follows else None, steps, seconds)

    def _advance(self, record: Record, previous: Record | None, steps: int, seconds: float | None) -> Advance:
        length = self._declared.sequence_length or record.sequence_length or self._told.sequence_length
        sequences = self._declared.sequences or record.sequences or self._told.sequences
        accelerators = self._declared.accelerators or self._told.accelerators
        consumed = _consumed(record, previous, steps)
        each, rate = record.tokens_per_second_per_accelerator, record.tokens_per_second
        tokens: float | None = None
        lacking = ""
        if consumed is not None:
            tokens = consumed
        elif length and sequences:
            batch = _batches(record, previous, steps) if self._declared.sequences is None else None
            tokens = float(length) * (batch if batch is not None else sequences * steps)
        elif rate is not None and seconds is not None:
            tokens = rate * seconds
        elif each is not None and accelerators and seconds is not None:
            tokens = each * accelerators * seconds
        elif each is not None and rate is None and not accelerators:
            lacking = "the log gives tokens/s of one accelerator: give --accelerators"
        elif each is not None or rate is not None:
            # Before the second record the time of a step need not be known.
            lacking = "" if previous is None else "the log gives no time of a step: give --sequence-length and --global-batch-size"
        elif sequences:
            lacking = "the log does not give the sequence length: give --sequence-length"
        else:
            lacking = "the log does not give the batch: give --sequence-length and --global-batch-size"
        if rate is None and each is not None and accelerators:
            rate = each * accelerators
        if rate is None and tokens is not None and seconds:
            rate = tokens / seconds
        return Advance(steps=steps, tokens=tokens, seconds=seconds, tokens_per_second=rate, lacking=lacking)


def _seconds(record: Record, previous: Record | None, steps: int, gap: float | None) -> float | None:
    if record.step_seconds is not None:
        return record.step_seconds * steps
    if previous is not None and record.at_seconds is not None and previous.at_seconds is not None:
        between = record.at_seconds - previous.at_seconds
        return between if between > 0.0 else None
    return gap


def _consumed(record: Record, previous: Record | None, steps: int) -> float | None:
    """Tokens by the framework's own exact count."""
    if previous is None or record.consumed_tokens is None or previous.consumed_tokens is None:
        return None
    difference = record.consumed_tokens - previous.consumed_tokens
    return float(difference) if difference > 0 and _all_seen(record, previous, steps) else None


def _batches(record: Record, previous: Record | None, steps: int) -> int | None:
    """Sequences by the framework's count: right also while the batch grows."""
    if previous is None or record.consumed_sequences is None or previous.consumed_sequences is None:
        return None
    difference = record.consumed_sequences - previous.consumed_sequences
    return difference if difference > 0 and _all_seen(record, previous, steps) else None


def _all_seen(record: Record, previous: Record, steps: int) -> bool:
    return record.step is not None and previous.step is not None and record.step - previous.step == steps
