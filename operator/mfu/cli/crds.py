"""`mfu crds`: the CustomResourceDefinitions, generated from the wire models."""

import argparse
import sys
from pathlib import Path

from mfu.api.crds import crd_files
from mfu.errors import MfuError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output-dir", metavar="DIRECTORY", help="write one file a kind there instead of all to standard output")


def run(args: argparse.Namespace) -> int:
    """Raises MfuError where the directory cannot be written."""
    files = crd_files()
    if args.output_dir is None:
        sys.stdout.write("---\n".join(files.values()))
        return 0
    directory = Path(args.output_dir)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text, encoding="utf-8")
            print(directory / name)
    except OSError as error:
        raise MfuError(f"{directory}: cannot be written: {error.strerror}") from error
    return 0
