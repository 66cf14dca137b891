"""One queue of keys for all writers: a key waits in it once, is worked on by one writer at a time, and comes back later after a failure."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["WorkQueue", "backoff_seconds"]

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 60.0


def backoff_seconds(failures: int) -> float:
    """Doubles with each failure in a row: 0.2 s, 0.4 s, … up to one minute."""
    return float(min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(failures - 1, 20)))


class WorkQueue(Generic[K]):
    """Belongs to one event loop; other threads go through `loop.call_soon_threadsafe`.

    A key added while it is being worked on is handed out again after `done`, so that the last state always wins.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._working: set[K] = set()
        self._again: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due) + len(self._again)

    @property
    def is_idle(self) -> bool:
        """Nothing is due, and nothing is being worked on."""
        now = self._clock()
        return not self._working and not any(due <= now for due in self._due.values())

    def add(self, key: K, delay_seconds: float = 0.0) -> None:
        """Makes `key` due after the delay, or earlier when it was already due earlier."""
        due = self._clock() + delay_seconds
        waiting = self._again if key in self._working else self._due
        known = waiting.get(key)
        if known is not None and known <= due:
            return
        waiting[key] = due
        if waiting is self._due:
            heapq.heappush(self._heap, (due, next(self._order), key))
            self._changed.set()

    async def get(self) -> K:
        """The next key that is due; the caller must answer with `done` or `failed`."""
        while True:
            key, wait_seconds = self._next()
            if key is not None:
                return key
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: K) -> None:
        self._failures.pop(key, None)
        self._settle(key)

    def failed(self, key: K, at_least_seconds: float = 0.0) -> float:
        """Brings the key back after its backoff, which is returned."""
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        delay = max(at_least_seconds, backoff_seconds(failures))
        # A change that came meanwhile must not undo the backoff.
        self._again.pop(key, None)
        self._settle(key)
        self.add(key, delay)
        return delay

    def _settle(self, key: K) -> None:
        self._working.discard(key)
        due = self._again.pop(key, None)
        if due is not None:
            self.add(key, max(0.0, due - self._clock()))

    def _next(self) -> tuple[K | None, float | None]:
        now = self._clock()
        while self._heap:
            due, _, key = self._heap[0]
            if self._due.get(key) != due:
                heapq.heappop(self._heap)  # superseded by an earlier date, or forgotten
                continue
            if due > now:
                return None, due - now
            heapq.heappop(self._heap)
            del self._due[key]
            self._working.add(key)
            return key, 0.0
        return None, None
