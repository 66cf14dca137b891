"""`mfu crds`: the CustomResourceDefinitions, generated from the wire models."""

import argparse
import sys
from pathlib import Path

from mfu.api.crds import crd_files
from mfu.api.reference import reference
from mfu.errors import MfuError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output-dir", metavar="DIRECTORY", help="write one file a kind there instead of all to standard output")
    parser.add_argument("--reference", metavar="FILE", help="write the reference of all fields there, as Markdown")


def run(args: argparse.Namespace) -> int:
    """Raises MfuError where a file or the directory cannot be written."""
    if args.reference is not None:
        _write_reference(Path(args.reference))
        return 0
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


def _write_reference(path: Path) -> None:
    try:
        path.write_text(reference(), encoding="utf-8")
    except OSError as error:
        raise MfuError(f"{path}: cannot be written: {error.strerror}") from error
    print(path)
