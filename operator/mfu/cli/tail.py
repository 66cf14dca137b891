"""`mfu tail`: reads the log of a training job and serves its progress to Prometheus; a sidecar for jobs that cannot be changed."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mfu.errors import MfuError
from mfu.report.exposition import DEFAULT_PORT, Exposition, registry_of, text_of
from mfu.report.follow import follow_file, follow_pipe, history, read_lines
from mfu.report.log_reporter import LogReporter
from mfu.report.logs.frameworks import PARSERS, Detection, Framework
from mfu.report.logs.record import Facts, Parser

__all__ = ["add_arguments", "run"]

_PAUSE_SECONDS = 1.0
_STANDARD_INPUT = 0


class _Terminated(Exception):
    """The pod ends: that is how a sidecar is stopped, and no failure."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="log to follow; - (default): standard input")
    parser.add_argument(
        "--framework", choices=("auto", *Framework), default="auto", help="what wrote the log (default: auto, found out by its lines)"
    )
    parser.add_argument("--sequence-length", type=_positive, metavar="N", help="positions of a sequence, where the log does not say")
    parser.add_argument("--global-batch-size", type=_positive, metavar="N", help="sequences of a step, where the log does not say")
    parser.add_argument(
        "--accelerators",
        type=_positive,
        metavar="N",
        default=os.environ.get("WORLD_SIZE"),
        help="accelerators of the job, for logs that give tokens/s of one [WORLD_SIZE]",
    )
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help=f"port to serve /metrics on (default: {DEFAULT_PORT}; 0: any)")
    parser.add_argument("--address", default="0.0.0.0", help="address to serve on (default: all, since Prometheus is elsewhere)")
    parser.add_argument("--once", action="store_true", help="read what is there, print the metrics and end")


def run(arguments: argparse.Namespace) -> int:
    parser: Parser = Detection() if arguments.framework == "auto" else PARSERS[Framework(arguments.framework)]()
    declared = Facts(sequence_length=arguments.sequence_length, sequences=arguments.global_batch_size, accelerators=arguments.accelerators)
    reporter = LogReporter(parser, declared, warn=_warn, smooth=not arguments.once)
    return _once(reporter, arguments.file) if arguments.once else _serve(reporter, arguments)


def _once(reporter: LogReporter, file: str) -> int:
    if file == "-":
        lines: Iterator[str | None] = follow_pipe(_STANDARD_INPUT, pause_seconds=_PAUSE_SECONDS)
    else:
        lines = read_lines(Path(file))
    for line in lines:
        if line is not None:
            reporter.feed(line)
    reporter.pause()
    sys.stdout.write(text_of(reporter))
    if not reporter.found:
        _warn(f"{file}: no line of a known training log; the frameworks are {', '.join(Framework)}")
        return 1
    return 0


def _serve(reporter: LogReporter, arguments: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _stop)
    with Exposition(registry_of(reporter), port=arguments.port, address=arguments.address) as exposition:
        if exposition.port is None:
            raise MfuError(f"--port {arguments.port}: cannot be served on {arguments.address}; give another port")
        _warn(f"serving http://{arguments.address}:{exposition.port}/metrics")
        with suppress(_Terminated):
            for line in _lines(reporter, arguments.file):
                if line is None:
                    reporter.pause()
                else:
                    reporter.feed(line)
            reporter.pause()
    return 0


def _lines(reporter: LogReporter, file: str) -> Iterator[str | None]:
    """What is in the file already was counted by nobody's rate: it only tells where the job is."""
    if file == "-":
        return follow_pipe(_STANDARD_INPUT, pause_seconds=_PAUSE_SECONDS)
    before, offset = history(Path(file))
    reporter.remember(before)
    return follow_file(Path(file), offset=offset, wait=_wait)


def _wait() -> bool:
    time.sleep(_PAUSE_SECONDS)
    return True


def _stop(number: int, frame: object) -> None:
    raise _Terminated


def _warn(message: str) -> None:
    print(f"mfu: {message}", file=sys.stderr, flush=True)


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; 0 to 65535")
    return int(text)
