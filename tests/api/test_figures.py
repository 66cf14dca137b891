from datetime import UTC, datetime, timedelta, timezone

import pytest

from mfu.api.figures import (
    bytes_text,
    count_text,
    flops_text,
    instant,
    money,
    percent,
    rate_text,
    ratio_of,
    seconds_text,
    signed_percent,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (percent(0.43149), "43.1%"),
        (signed_percent(-0.2761), "-27.6%"),
        (signed_percent(0.031), "+3.1%"),
        (signed_percent(-0.0001), "0.0%"),
        (money(0.4213), "$0.42"),
        (money(112.4), "$112"),
        (money(12345.6), "$12,346"),
        (money(0.00123), "$0.0012"),
        (money(0.0), "$0.00"),
        (money(-98.2), "-$98.20"),
        (bytes_text(80 * 2**30), "80.0 GiB"),
        (bytes_text(5 * 2**20), "5 MiB"),
        (seconds_text(1.3234), "1.32 s"),
        (seconds_text(0.0213), "21.3 ms"),
        (seconds_text(42e-6), "42.0 µs"),
        (seconds_text(300.0), "300 s"),
        (flops_text(4.2e11), "420 GFLOP"),
        (flops_text(989.4e12), "989 TFLOP"),
        (rate_text(12345.6), "12,346"),
        (rate_text(8.123), "8.12"),
        (count_text(70.55e9), "70.5B"),
        (count_text(8.03e9), "8.03B"),
    ],
)
def test_a_figure_reads_like_a_person_writes_it(text: str, expected: str) -> None:
    assert text == expected


def test_a_moment_is_utc_with_whole_seconds() -> None:
    berlin = timezone(timedelta(hours=1))
    assert instant(datetime(2026, 3, 1, 13, 0, 5, 999, tzinfo=berlin)) == "2026-03-01T12:00:05Z"
    assert instant(datetime(2026, 3, 1, tzinfo=UTC)) == "2026-03-01T00:00:00Z"


@pytest.mark.parametrize(("text", "ratio"), [("43.1%", 0.431), ("unknown", None), (None, None), ("x%", None)])
def test_only_a_percentage_is_read_back(text: object, ratio: float | None) -> None:
    assert ratio_of(text) == (None if ratio is None else pytest.approx(ratio))
