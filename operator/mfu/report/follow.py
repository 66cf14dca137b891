"""Lines of a log that is being written: a file that may be rotated or truncated, or a pipe."""

import os
import re
import select
from collections.abc import Callable, Iterator
from pathlib import Path

from mfu.errors import MfuError
from mfu.report.logs.text import clean

__all__ = ["follow_file", "follow_pipe", "history", "read_lines"]

_CHUNK = 1 << 16
_LONGEST_LINE = 1 << 20
_REMEMBERED = 2 << 20
# Progress bars end their lines with a carriage return.
_ENDS = re.compile(rb"[\r\n]")


class _Lines:
    """Puts lines together from chunks; a line without end is held until its end comes."""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, chunk: bytes) -> Iterator[str]:
        *whole, self._rest = _ENDS.split(self._rest + chunk)
        if len(self._rest) > _LONGEST_LINE:
            self._rest = b""
        for line in whole:
            if line:
                yield _text(line)

    def rest(self) -> Iterator[str]:
        rest, self._rest = self._rest, b""
        if rest:
            yield _text(rest)


def _text(line: bytes) -> str:
    return clean(line.decode("utf-8", errors="replace"))


def read_lines(path: Path) -> Iterator[str]:
    """All lines of a file as it is now. Raises `MfuError` when it cannot be read."""
    lines = _Lines()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield from lines.add(chunk)
    except OSError as error:
        raise MfuError(f"{path}: {error.strerror}; give a log that can be read, or - for standard input") from error
    yield from lines.rest()


def history(path: Path) -> tuple[list[str], int]:
    """Whole lines that a file holds already, of a long one its beginning and its end, and the offset behind them."""
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            told = stream.read(min(size, _REMEMBERED))
            if size > _REMEMBERED:
                stream.seek(max(_REMEMBERED, size - _REMEMBERED))
                told += b"\n" + stream.read(size - stream.tell())
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise MfuError(f"{path}: {error.strerror}; give a log that can be read, or - for standard input") from error
    end = told.rfind(b"\n") + 1
    return list(_Lines().add(told[:end])), size - (len(told) - end)


def follow_file(path: Path, *, offset: int, wait: Callable[[], bool]) -> Iterator[str | None]:
    """Lines behind `offset` as they are written; None whenever there is nothing new.

    `wait` pauses and says whether to go on. Another file under the same name is read from its beginning once the old one is
    exhausted; so is a file that became shorter. A file that is not there yet is waited for.
    """
    while not path.exists():
        yield None
        if not wait():
            return
    while True:
        lines = _Lines()
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            yield None
            if not wait():
                return
            continue
        with stream:
            if offset <= os.fstat(stream.fileno()).st_size:
                stream.seek(offset)
            offset = 0
            while True:
                chunk = stream.read(_CHUNK)
                if chunk:
                    yield from lines.add(chunk)
                    continue
                if _replaced(path, stream.fileno()):
                    # What was written between the last read and the rotation.
                    yield from lines.add(stream.read())
                    break
                if os.fstat(stream.fileno()).st_size < stream.tell():
                    break
                yield None
                if not wait():
                    return
        yield from lines.rest()


def _replaced(path: Path, descriptor: int) -> bool:
    own = os.fstat(descriptor)
    try:
        there = path.stat()
    except FileNotFoundError:
        return False  # moved away; the new one is not there yet
    return (there.st_dev, there.st_ino) != (own.st_dev, own.st_ino)


def follow_pipe(descriptor: int, *, pause_seconds: float) -> Iterator[str | None]:
    """Lines of a pipe until its writers are gone; None after `pause_seconds` of silence."""
    lines = _Lines()
    while True:
        ready, _, _ = select.select([descriptor], [], [], pause_seconds)
        if not ready:
            yield None
            continue
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            break
        yield from lines.add(chunk)
    yield from lines.rest()
