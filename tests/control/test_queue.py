"""The queue on a fake clock."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.control.queue import LONGEST_BACKOFF_SECONDS, WorkQueue, backoff_seconds


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def nothing_due(queue: WorkQueue[str]) -> bool:
    task = asyncio.create_task(queue.get())
    for _ in range(5):
        await asyncio.sleep(0)
    waiting = not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return waiting


def test_a_key_added_many_times_is_handed_out_once() -> None:
    async def run() -> None:
        queue: WorkQueue[str] = WorkQueue(Clock())
        for _ in range(5):
            queue.add("a")
        assert len(queue) == 1
        assert await queue.get() == "a"
        queue.done("a")
        assert await nothing_due(queue)

    asyncio.run(run())


def test_a_key_changed_while_it_is_worked_on_comes_back_after_that_only() -> None:
    async def run() -> None:
        queue: WorkQueue[str] = WorkQueue(Clock())
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        assert await nothing_due(queue)
        queue.done("a")
        assert await queue.get() == "a"

    asyncio.run(run())


def test_a_failed_key_waits_longer_each_time_and_starts_over_after_a_success() -> None:
    async def run() -> None:
        clock = Clock()
        queue: WorkQueue[str] = WorkQueue(clock)
        delays = []
        queue.add("a")
        for _ in range(4):
            assert await queue.get() == "a"
            delays.append(queue.failed("a"))
            assert await nothing_due(queue)
            clock.now += delays[-1]
        assert delays == [0.2, 0.4, 0.8, 1.6]
        assert await queue.get() == "a"
        queue.done("a")
        queue.add("a")
        assert await queue.get() == "a"
        assert queue.failed("a") == 0.2

    asyncio.run(run())


def test_a_server_that_asks_to_wait_is_given_that_long() -> None:
    async def run() -> None:
        queue: WorkQueue[str] = WorkQueue(Clock())
        queue.add("a")
        await queue.get()
        assert queue.failed("a", at_least_seconds=7.0) == 7.0

    asyncio.run(run())


def test_an_earlier_date_wins_over_a_later_one() -> None:
    async def run() -> None:
        clock = Clock()
        queue: WorkQueue[str] = WorkQueue(clock)
        queue.add("a", 100.0)
        queue.add("a", 1.0)
        queue.add("a", 50.0)
        assert await nothing_due(queue)
        clock.now = 1.0
        assert await queue.get() == "a"
        queue.done("a")
        clock.now = 200.0
        assert await nothing_due(queue)

    asyncio.run(run())


def test_a_waiting_reader_is_woken_by_a_new_key() -> None:
    async def run() -> None:
        queue: WorkQueue[str] = WorkQueue()
        reader = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        async with asyncio.timeout(5):
            assert await reader == "a"

    asyncio.run(run())


def test_every_waiting_reader_is_served() -> None:
    async def run() -> None:
        queue: WorkQueue[str] = WorkQueue()
        readers = [asyncio.create_task(queue.get()) for _ in range(4)]
        await asyncio.sleep(0)
        for name in "abcd":
            queue.add(name)
        async with asyncio.timeout(5):
            assert sorted(await asyncio.gather(*readers)) == ["a", "b", "c", "d"]

    asyncio.run(run())


@given(st.integers(min_value=1, max_value=10_000))
def test_backoff_never_shrinks_and_is_bounded(failures: int) -> None:
    assert 0.2 <= backoff_seconds(failures) <= backoff_seconds(failures + 1) <= LONGEST_BACKOFF_SECONDS


@pytest.mark.parametrize("operations", [["a", "b", "a", "c", "b"], ["x"], []])
def test_nothing_is_lost_and_nothing_is_handed_out_twice(operations: list[str]) -> None:
    async def run() -> None:
        queue: WorkQueue[str] = WorkQueue(Clock())
        for key in operations:
            queue.add(key)
        got = [await queue.get() for _ in range(len(set(operations)))]
        assert sorted(got) == sorted(set(operations))
        assert await nothing_due(queue)

    asyncio.run(run())
