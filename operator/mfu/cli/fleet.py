"""`mfu fleet`: the roll-up over all accelerators of a cluster."""

import argparse
import asyncio
import csv
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mfu.errors import ClusterError

__all__ = ["add_arguments", "run"]

GROUPS = (("byClass", "GPU TYPE"), ("byTenant", "TENANT"), ("byModel", "MODEL CLASS"))
FIGURES = ("accelerators", "expected", "observed", "gapPerHour", "costPerHour")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("table", "json", "csv"), default="table")


def run(args: argparse.Namespace) -> int:
    """Prints the FleetReport; ClusterError when there is none or the cluster does not answer."""
    status = asyncio.run(_report())
    match args.output:
        case "json":
            json.dump(status, sys.stdout, indent=2)
            print()
        case "csv":
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(("group", "name", *FIGURES))
            writer.writerows(_rows(status))
        case _:
            _print(status)
    return 0


async def _report() -> dict[str, Any]:
    from mfu.control.cluster import Cluster
    from mfu.control.connection import find_connection
    from mfu.control.resources import Kind

    async with Cluster(find_connection()) as cluster:
        body = await cluster.get(Kind.FLEET, "", "fleet")
    if body is None or not body.get("status"):
        raise ClusterError("there is no FleetReport `fleet` in this cluster yet; is the controller running?")
    return dict(body["status"])


def _rows(status: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """One line for the whole, then one for each group."""
    accelerators, mfu = status.get("accelerators") or {}, status.get("mfu") or {}
    whole = {
        "accelerators": accelerators.get("total"),
        **mfu,
        "gapPerHour": status.get("gapPerHour"),
        "costPerHour": status.get("costPerHour"),
    }
    yield "fleet", "all", *(_text(whole, figure) for figure in FIGURES)
    for field, _ in GROUPS:
        for group in status.get(field) or ():
            yield field, str(group.get("name")), *(_text(group, figure) for figure in FIGURES)


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return "" if value is None else str(value)


def _print(status: Mapping[str, Any]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    accelerators, mfu = status.get("accelerators") or {}, status.get("mfu") or {}
    console.print(Text(str(status.get("summary") or ""), style="bold"))
    console.print(Text(", ".join(f"{count} {state}" for state, count in accelerators.items()) + f"; at {status.get('at', 'unknown')}"))
    if mfu:
        console.print(Text("MFU: " + ", ".join(f"{value} {name}" for name, value in mfu.items())))
    for field, title in GROUPS:
        _print_groups(console, title, status.get(field) or ())
    _print_worst(console, status.get("worst") or ())
    unknown = status.get("unknown") or ()
    if unknown:
        console.print()
        console.print(Text("not observed: " + ", ".join(f"{item['accelerators']} GPUs {item['reason']}" for item in unknown)))


def _print_groups(console: Console, title: str, groups: Any) -> None:
    if not groups:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (title, "GPUS", "EXPECTED", "OBSERVED", "GAP/H", "COST/H"):
        table.add_column(column, no_wrap=True)
    for group in groups:
        table.add_row(Text(str(group.get("name"))), *(Text(_text(group, figure)) for figure in FIGURES))
    console.print()
    console.print(table)


def _print_worst(console: Console, worst: Any) -> None:
    if not worst:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("LOSES MOST", "EXPECTED", "OBSERVED", "GAP/H", "CAUSE"):
        table.add_column(column, no_wrap=True)
    for loss in worst:
        name = f"{loss.get('namespace')}/{loss.get('name')}"
        table.add_row(Text(name), *(Text(_text(loss, figure)) for figure in ("expected", "observed", "gapPerHour", "cause")))
    console.print()
    console.print(table)
