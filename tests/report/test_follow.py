"""Logs that are being written, rotated, truncated and torn."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from mfu.errors import MfuError
from mfu.report import follow
from mfu.report.follow import follow_file, follow_pipe, history, read_lines


def followed(path: Path, *writes: object, offset: int = 0) -> list[str]:
    """What comes while `writes` happen, one at each pause."""
    todo = iter(writes)

    def wait() -> bool:
        write = next(todo, None)
        if write is None:
            return False
        assert callable(write)
        write()
        return True

    return [line for line in follow_file(path, offset=offset, wait=wait) if line is not None]


def append(path: Path, text: str) -> object:
    def write() -> None:
        with path.open("a") as stream:
            stream.write(text)

    return write


def test_lines_come_as_they_are_finished(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntw")
    assert followed(log, append(log, "o\nthree\n"), append(log, "unfinished")) == ["one", "two", "three"]


def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert followed(log, lambda: None, append(log, "one\n")) == ["one"]


def test_a_rotated_file_is_read_to_its_end_and_then_the_new_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\n")

    def rotate() -> None:
        with log.open("a") as stream:
            stream.write("two\n")
        log.rename(tmp_path / "log.1")
        log.write_text("three\n")

    assert followed(log, rotate, append(log, "four\n")) == ["one", "two", "three", "four"]


def test_a_file_that_is_moved_away_is_still_followed_until_there_is_a_new_one(tmp_path: Path) -> None:
    log, moved = tmp_path / "log", tmp_path / "log.1"
    log.write_text("one\n")
    assert followed(log, lambda: log.rename(moved), append(moved, "two\n"), append(log, "three\n")) == ["one", "two", "three"]


def test_a_truncated_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("a long line of before\nanother\n")
    assert followed(log, lambda: log.write_text("new\n"))[-1] == "new"


def test_only_what_is_new_comes_behind_an_offset(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\npart")
    before, offset = history(log)
    assert before == ["old"]
    assert followed(log, append(log, "ial\nnew\n"), offset=offset) == ["partial", "new"]


def test_of_a_long_history_the_beginning_and_the_end_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_REMEMBERED", 100)
    log = tmp_path / "log"
    log.write_text("first\n" + "middle of it\n" * 100 + "last\n")
    before, offset = history(log)
    assert (before[0], before[-1], offset) == ("first", "last", log.stat().st_size)
    assert len(before) < 30


def test_carriage_returns_end_lines_and_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"bar 1%\rbar 2%\r\n\xff\xfe step\nlast")
    assert list(read_lines(log)) == ["bar 1%", "bar 2%", "\ufffd\ufffd step", "last"]


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_LONGEST_LINE", 10)
    log = tmp_path / "log"
    log.write_text("x" * 100 + "\nshort\n")
    assert "short" in list(read_lines(log))


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    for reading in (read_lines, history):
        with pytest.raises(MfuError, match="give a log"):
            list(reading(tmp_path))


def test_a_pipe_is_read_until_its_writers_are_gone_and_its_silence_is_noticed() -> None:
    reading, writing = os.pipe()
    silent = threading.Event()

    def write() -> None:
        os.write(writing, b"one\ntw")
        silent.wait(30)
        os.write(writing, b"o\nrest")
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    found = []
    for line in follow_pipe(reading, pause_seconds=0.01):
        if line is None:
            silent.set()
        else:
            found.append(line)
    writer.join()
    os.close(reading)
    assert found == ["one", "two", "rest"]
