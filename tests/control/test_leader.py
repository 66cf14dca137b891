"""Three candidates on a fake clock and an API that can hang: never two leaders at once, and always one in the end."""

import asyncio
import copy
import heapq
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mfu.control.leader import Elector, Timing
from mfu.errors import ClusterError

TIMING = Timing(lease_seconds=15.0)


class Clock:
    """Virtual time: it jumps to the next sleeper as soon as everybody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), future))
        await future

    async def run_until(self, moment: float) -> None:
        while True:
            for _ in range(50):
                await asyncio.sleep(0)
            if not self._sleepers or self._sleepers[0][0] > moment:
                self.now = moment
                return
            self.now, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)


class FakeLease:
    """One Lease with optimistic locking, as the API server keeps it."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] | None = None
        self.version = 0

    def view(self, fault: Callable[[], ClusterError | None] = lambda: None) -> "LeaseView":
        return LeaseView(self, fault)


class LeaseView:
    """The Lease as one candidate reaches it."""

    def __init__(self, lease: FakeLease, fault: Callable[[], ClusterError | None]) -> None:
        self._lease = lease
        self._fault = fault

    def _check(self) -> None:
        failure = self._fault()
        if failure is not None:
            raise failure

    async def read(self) -> dict[str, Any] | None:
        self._check()
        return copy.deepcopy(self._lease.stored)

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        self._check()
        if self._lease.stored is not None:
            raise ClusterError("exists", status=409)
        return self._store({"metadata": {}, **body})

    async def replace(self, body: dict[str, Any]) -> dict[str, Any]:
        self._check()
        if body["metadata"]["resourceVersion"] != str(self._lease.version):
            raise ClusterError("conflict", status=409)
        return self._store(body)

    def _store(self, body: dict[str, Any]) -> dict[str, Any]:
        self._lease.version += 1
        body = copy.deepcopy(body)
        body["metadata"]["resourceVersion"] = str(self._lease.version)
        self._lease.stored = body
        return copy.deepcopy(body)


class Candidate:
    def __init__(self, name: str, lease: FakeLease, clock: Clock) -> None:
        self.name = name
        self.leading = False
        self.cut_off = False
        self.elector = Elector(lease.view(self._fault), name, TIMING, clock, clock.sleep)
        self.task = asyncio.create_task(self._run())

    def _fault(self) -> ClusterError | None:
        return ClusterError("no answer") if self.cut_off else None

    async def _run(self) -> None:
        while True:
            await self.elector.acquire()
            self.leading = True
            try:
                await self.elector.hold()
            finally:
                self.leading = False

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.elector.release()


def leaders(candidates: list[Candidate]) -> list[str]:
    return [candidate.name for candidate in candidates if candidate.leading]


def play(story: Callable[[Clock, FakeLease, list[Candidate]], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        clock, lease = Clock(), FakeLease()
        candidates = [Candidate(name, lease, clock) for name in ("a", "b", "c")]
        try:
            await story(clock, lease, candidates)
        finally:
            for candidate in candidates:
                candidate.task.cancel()
            await asyncio.gather(*(candidate.task for candidate in candidates), return_exceptions=True)

    asyncio.run(run())


def test_exactly_one_of_three_candidates_leads() -> None:
    async def story(clock: Clock, lease: FakeLease, candidates: list[Candidate]) -> None:
        for moment in range(1, 60):
            await clock.run_until(float(moment))
            assert len(leaders(candidates)) == 1

    play(story)


def test_a_leader_that_stops_hands_over_within_one_retry() -> None:
    async def story(clock: Clock, lease: FakeLease, candidates: list[Candidate]) -> None:
        await clock.run_until(5.0)
        first = next(candidate for candidate in candidates if candidate.leading)
        await first.stop()
        await clock.run_until(5.0 + TIMING.retry_seconds + 0.1)
        assert len(leaders(candidates)) == 1
        assert not first.leading

    play(story)


def test_a_leader_cut_off_from_the_api_steps_down_before_another_takes_over() -> None:
    async def story(clock: Clock, lease: FakeLease, candidates: list[Candidate]) -> None:
        await clock.run_until(5.0)
        first = next(candidate for candidate in candidates if candidate.leading)
        first.cut_off = True
        stepped_down_at = taken_over_at = None
        for tenth in range(50, 400):
            await clock.run_until(tenth / 10)
            assert len(leaders(candidates)) <= 1
            if stepped_down_at is None and not first.leading:
                stepped_down_at = clock.now
            if taken_over_at is None and any(c.leading for c in candidates if c is not first):
                taken_over_at = clock.now
        assert stepped_down_at is not None and taken_over_at is not None
        assert taken_over_at - stepped_down_at >= 2.0
        assert taken_over_at <= 5.0 + TIMING.lease_seconds + 2 * TIMING.retry_seconds

    play(story)


def test_a_leader_that_dies_without_a_word_is_replaced_after_the_duration() -> None:
    async def story(clock: Clock, lease: FakeLease, candidates: list[Candidate]) -> None:
        await clock.run_until(5.0)
        first = next(candidate for candidate in candidates if candidate.leading)
        first.task.cancel()
        await clock.run_until(5.0 + TIMING.lease_seconds - 3.0)
        assert leaders([c for c in candidates if c is not first]) == []
        await clock.run_until(5.0 + TIMING.lease_seconds + 2 * TIMING.retry_seconds)
        assert len(leaders([c for c in candidates if c is not first])) == 1
        assert lease.stored is not None
        assert lease.stored["spec"]["leaseTransitions"] >= 1

    play(story)


def test_a_lease_taken_by_another_ends_the_leadership_at_the_next_round() -> None:
    async def story(clock: Clock, lease: FakeLease, candidates: list[Candidate]) -> None:
        await clock.run_until(5.0)
        first = next(candidate for candidate in candidates if candidate.leading)
        assert lease.stored is not None
        lease.stored["spec"]["holderIdentity"] = "somebody-else"
        lease.stored["spec"]["renewTime"] = "2030-01-01T00:00:00.000000Z"
        lease.version += 1
        lease.stored["metadata"]["resourceVersion"] = str(lease.version)
        await clock.run_until(5.0 + TIMING.retry_seconds + 0.1)
        assert not first.leading

    play(story)


@pytest.mark.parametrize("status", [0, 409, 500], ids=["no answer", "conflict", "server error"])
def test_a_failed_release_is_survived(status: int) -> None:
    async def run() -> None:
        clock, lease = Clock(), FakeLease()
        failing = False
        elector = Elector(lease.view(lambda: ClusterError("x", status=status) if failing else None), "a", TIMING, clock, clock.sleep)
        await elector.acquire()
        failing = True
        await elector.release()

    asyncio.run(run())
