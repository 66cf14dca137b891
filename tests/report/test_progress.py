"""Steps and tokens are counted once, whoever prints them, and never for nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.report.logs.record import Facts, Record
from mfu.report.payout import NOTHING
from mfu.report.progress import Progress

DECLARED = Facts(sequence_length=1000, sequences=10, accelerators=8)


def step(number: int, **told: float) -> Record:
    return Record(step=number, step_seconds=2.0, **told)  # type: ignore[arg-type]  # ints and floats of the record's own fields


def steps_counted(progress: Progress, *records: Record) -> list[int | None]:
    found = [progress.take(record) for record in records]
    return [None if each is None else each.steps for each in found]


def test_a_step_that_every_rank_prints_counts_once_also_late() -> None:
    numbers = [4, 4, 4, 5, 4, 5, 5, 6]
    assert steps_counted(Progress(DECLARED), *map(step, numbers)) == [1, None, None, 1, None, None, None, 1]


def test_steps_between_records_count() -> None:
    assert steps_counted(Progress(DECLARED), step(100), step(110), step(120)) == [1, 10, 10]


def test_a_job_that_resumes_from_a_checkpoint_goes_on_counting() -> None:
    assert steps_counted(Progress(DECLARED), step(10), step(20), step(30), step(10), step(20)) == [1, 10, 10, 10, 10]


def test_a_jump_beyond_what_the_time_allows_is_another_job() -> None:
    progress = Progress(DECLARED)
    progress.take(step(10), now=0.0)
    progress.take(step(11), now=2.0)
    found = progress.take(step(100000), now=4.0)
    assert found is not None and found.steps == 1


def test_a_torn_line_is_made_up_for_by_the_next() -> None:
    progress = Progress(DECLARED)
    progress.take(step(10), now=0.0)
    progress.take(step(11), now=2.0)
    found = progress.take(step(13), now=6.0)
    assert found is not None and (found.steps, found.tokens, found.seconds) == (2, 20000.0, 4.0)


@pytest.mark.parametrize(
    ("declared", "told", "tokens"),
    [
        pytest.param(Facts(), {"consumed_tokens": 5000}, None, id="an exact count needs two records"),
        pytest.param(Facts(sequence_length=100), {"sequences": 7}, 700.0, id="batch of the log"),
        pytest.param(DECLARED, {"sequences": 7}, 10000.0, id="a declared batch stands above the log's"),
        pytest.param(Facts(sequences=3), {"sequence_length": 50}, 150.0, id="length of the log"),
        pytest.param(Facts(), {"tokens_per_second": 400.0}, 800.0, id="speed of the job"),
        pytest.param(Facts(accelerators=4), {"tokens_per_second_per_accelerator": 100.0}, 800.0, id="speed of one accelerator"),
        pytest.param(Facts(), {"tokens_per_second_per_accelerator": 100.0}, None, id="accelerators unknown"),
        pytest.param(Facts(), {"sequences": 7}, None, id="length unknown"),
    ],
)
def test_tokens_come_from_what_is_known(declared: Facts, told: dict[str, float], tokens: float | None) -> None:
    found = Progress(declared).take(step(1, **told))
    assert found is not None and found.tokens == tokens
    assert bool(found.lacking) == (tokens is None)


def test_the_frameworks_exact_count_is_preferred() -> None:
    progress = Progress(DECLARED)
    progress.take(step(1, consumed_tokens=5000))
    found = progress.take(step(2, consumed_tokens=8000))
    assert found is not None and found.tokens == 3000.0


def test_a_batch_that_grows_is_counted_by_consumed_samples() -> None:
    progress = Progress(Facts(sequence_length=100))
    progress.take(step(10, consumed_sequences=100, sequences=10))
    found = progress.take(step(20, consumed_sequences=250, sequences=20))
    assert found is not None and found.tokens == 15000.0


def test_a_declared_batch_stands_above_consumed_samples_too() -> None:
    progress = Progress(Facts(sequence_length=100, sequences=3))
    progress.take(step(10, consumed_sequences=100))
    found = progress.take(step(20, consumed_sequences=250))
    assert found is not None and found.tokens == 3000.0


def test_a_step_without_a_time_took_the_time_between_the_lines() -> None:
    progress = Progress(Facts(accelerators=8))
    first = Record(step=4, tokens_per_second_per_accelerator=1000.0, at_seconds=100.0)
    second = Record(step=5, tokens_per_second_per_accelerator=1000.0, at_seconds=101.5)
    assert progress.take(first, now=0.0) is not None
    found = progress.take(second, now=9.0)
    assert found is not None and (found.seconds, found.tokens, found.tokens_per_second) == (1.5, 12000.0, 8000.0)


def test_what_is_missing_is_said_with_the_flag_that_gives_it() -> None:
    found = Progress(Facts()).take(step(1, tokens_per_second_per_accelerator=9.0))
    assert found is not None and "--accelerators" in found.lacking


def test_a_summary_without_a_step_is_not_counted() -> None:
    assert Progress(DECLARED).take(Record(tokens_per_second=5.0)) is None


def test_a_record_is_paid_out_over_as_long_as_it_took() -> None:
    payout = NOTHING.add(now=100.0, tokens=1000.0, steps=10, seconds=200.0)
    assert [payout.at(now) for now in (100.0, 150.0, 300.0, 900.0)] == [(0.0, 0.0), (250.0, 2.5), (1000.0, 10.0), (1000.0, 10.0)]


def test_rates_are_even_although_records_are_rare() -> None:
    payout, at = NOTHING, [0.0]
    for number in range(1, 11):
        payout = payout.add(now=200.0 * number, tokens=2000.0, steps=10, seconds=200.0)
        at += [payout.at(200.0 * number + second)[0] for second in (100.0, 199.0)]
    rates = [(after - before) / 100.0 for before, after in zip(at[3::2], at[5::2], strict=False)]
    assert rates == pytest.approx([20.0] * len(rates), rel=0.01)


def test_a_burst_is_paid_out_over_the_silence_before_it() -> None:
    payout = NOTHING.add(now=0.0, tokens=10.0, steps=1, seconds=1.0)
    for _ in range(100):
        payout = payout.add(now=100.0, tokens=10.0, steps=1, seconds=1.0)
    assert payout.at(150.0)[0] == pytest.approx(10.0 + 500.0, rel=0.05)
    assert payout.at(250.0)[0] == pytest.approx(1010.0)


@given(
    st.lists(
        st.tuples(st.floats(0.0, 1e4), st.floats(0.0, 1e9), st.integers(0, 100), st.none() | st.floats(0.0, 1e4)), min_size=1, max_size=30
    )
)
def test_a_counter_never_falls_and_loses_nothing(lumps: list[tuple[float, float, int, float | None]]) -> None:
    payout, now, before = NOTHING, 0.0, 0.0
    for gap, tokens, steps, seconds in lumps:
        now += gap
        assert payout.at(now)[0] >= before * (1.0 - 1e-12)
        before = payout.at(now)[0]
        payout = payout.add(now=now, tokens=tokens, steps=steps, seconds=seconds)
        assert payout.at(now)[0] >= before * (1.0 - 1e-12)
    assert payout.at(1e9)[0] == pytest.approx(sum(tokens for _, tokens, _, _ in lumps))
    assert payout.at(1e9)[1] == pytest.approx(sum(steps for _, _, steps, _ in lumps))
