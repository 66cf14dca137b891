"""The `mfu` command: picks the module of the verb and maps every error to one line and an exit code.

0: done; 1: done, and the answer is no (an estimate failed, a workload is not admitted); 2: the input or the environment cannot be used.
"""

import argparse
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from mfu import __version__
from mfu.errors import MfuError

__all__ = ["main"]

# Only the module of the chosen verb is imported: Kopf alone takes longer to load than most verbs take to run.
_VERBS = {
    "estimate": "expected MFU of declared workloads",
    "flops": "parameters and FLOP of a model",
    "explain": "where the time of a workload goes",
    "plan": "parallelism, batch and GPU type for the best MFU or cost",
    "check": "admission verdict on workloads under policies",
    "capacity": "what fits in a fleet, and what to buy",
    "top": "workloads of the cluster, worst first",
    "fleet": "how productive the GPUs of the cluster, or of one tenant, are",
    "report": "the fleet as one HTML page",
    "tail": "serve the progress of a training job that its log tells",
    "crds": "the CustomResourceDefinitions",
    "run": "the operator's own processes: controller, webhook",
}
# What verbs read and write by name they answer for themselves.
_OF_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


class _UsageError(MfuError):
    """The command line cannot be understood."""


class _Parser(argparse.ArgumentParser):
    """Raises instead of printing the usage: an error is one line here as everywhere."""

    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message}; see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's) and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _mend_streams()
    try:
        status = _run(arguments)
        sys.stdout.flush()  # here, where a failure can still be told
        return status
    except MfuError as error:
        print(f"mfu: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader went away (`mfu … | head`).
        _silence_output()
        return 141
    except OSError as error:
        if error.errno not in _OF_OUTPUT:
            print(f"mfu: {' '.join(str(error).split())}", file=sys.stderr)
            return 2
        print(f"mfu: the output cannot be written: {error.strerror}; give it another place", file=sys.stderr)
        _silence_output()
        return 2


def _mend_streams() -> None:
    """A closed stream reads as empty and swallows what is written; a character that an odd locale cannot show becomes a question mark."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 lives as long as the process
        elif mode == "w" and isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")


def _silence_output() -> None:
    """Nothing may be written any more, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: Sequence[str]) -> int:
    parser = _Parser(prog="mfu", description="Model FLOP Utilization, expected and observed.")
    parser.add_argument("--version", action="version", version=f"mfu {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    chosen = next((argument for argument in arguments if argument in _VERBS), None)
    module = None
    for verb, summary in _VERBS.items():
        verb_parser = verbs.add_parser(verb, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if verb == chosen:
            module = importlib.import_module(f"mfu.cli.{verb}")
            module.add_arguments(verb_parser)
    parsed = parser.parse_args(arguments)
    assert module is not None  # the parser takes only known verbs
    return int(module.run(parsed))


if __name__ == "__main__":
    sys.exit(main())
