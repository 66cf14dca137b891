"""How results are written: tables for a person, JSON and YAML for programs."""

import json
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["complain", "write_data", "write_rows"]

_NO_LIMIT = 10_000


def write_data(value: Any, form: str) -> None:
    """JSON or YAML on standard output."""
    if form == "yaml":
        import yaml

        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        sys.stdout.write(yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True))
    else:
        sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = (), title: str | None = None) -> None:
    """A table without lines; the columns named in `right` hold figures. On a terminal it fits the width, in a pipe nothing is cut."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, title=title, title_justify="left", pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else _NO_LIMIT, markup=False, highlight=False)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        print(line.rstrip())


def complain(message: str) -> None:
    """One line on standard error."""
    print(f"mfu: {' '.join(message.split())}", file=sys.stderr)
