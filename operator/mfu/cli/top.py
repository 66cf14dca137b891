"""`mfu top`: the workloads of a cluster, what loses most first."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mfu.cli.watching import look_every
from mfu.errors import ClusterError

__all__ = ["add_arguments", "run"]

COLUMNS = ("NAMESPACE", "NAME", "MODE", "GPUS", "EXPECTED", "OBSERVED", "DRIFT", "BOUND", "VERDICT", "GAP/H", "SUMMARY")
NARROW = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-n", "--namespace", help="only this namespace; the kubeconfig's when omitted")
    where.add_argument("-A", "--all-namespaces", action="store_true", help="every namespace")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument(
        "-w", "--watch", nargs="?", type=_seconds, const=5.0, metavar="SECONDS", help="refresh every so many seconds (5) until Ctrl-C"
    )


def run(args: argparse.Namespace) -> int:
    """Prints what the operator wrote into the objects' status; ClusterError when the cluster does not answer."""
    if args.watch is None:
        _show(args)
        return 0
    look_every(args.watch, lambda: _refresh(args))
    return 0


def _refresh(args: argparse.Namespace) -> None:
    if sys.stdout.isatty():
        print("\x1b[H\x1b[2J", end="")
    print(f"every {args.watch:g} s, {datetime.now():%H:%M:%S}")
    try:
        _show(args)
    except ClusterError as error:
        print(f"mfu: {error}", file=sys.stderr)  # it may come back
    sys.stdout.flush()


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1.0 <= value <= 3600.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 1 to 3600")
    return value


def _show(args: argparse.Namespace) -> None:
    objects = asyncio.run(_workloads(args.namespace, args.all_namespaces))
    objects.sort(key=lambda body: (-_dollars(_field(body, "cost", "gapPerHour")), _name(body)))
    if args.output == "json":
        json.dump([_shown(body) for body in objects], sys.stdout, indent=2)
        print()
    elif objects:
        _print(objects)
    else:
        print("no ModelWorkloads found", file=sys.stderr)


async def _workloads(namespace: str | None, everywhere: bool) -> list[dict[str, Any]]:
    from mfu.control.cluster import Cluster
    from mfu.control.connection import find_connection
    from mfu.control.resources import Kind

    connection = find_connection()
    async with Cluster(connection) as cluster:
        where = "" if everywhere else namespace or connection.namespace
        try:
            return [body async for body in cluster.objects(Kind.WORKLOAD, namespace=where)]
        except ClusterError as error:
            if error.status == 404:
                raise ClusterError(f"{connection.server} serves no ModelWorkloads; install the chart mfu-operator first") from error
            raise


def _shown(body: Mapping[str, Any]) -> dict[str, Any]:
    metadata = body["metadata"]
    return {"namespace": metadata.get("namespace"), "name": metadata["name"], "status": body.get("status") or {}}


def _print(objects: Sequence[Mapping[str, Any]]) -> None:
    console = Console()
    # Into a pipe or a file goes the whole line, however long.
    if not console.is_terminal:
        console = Console(width=240)
    columns = COLUMNS if console.width >= NARROW else COLUMNS[:-1]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    for body in objects:
        table.add_row(*_row(body)[: len(columns)])
    console.print(table)


def _row(body: Mapping[str, Any]) -> list[Text]:
    decision = _field(body, "verdict", "decision")
    drifting = any(c.get("type") == "Drifting" and c.get("status") == "True" for c in (body.get("status") or {}).get("conditions") or ())
    return [
        Text(str(body["metadata"].get("namespace") or "")),
        Text(str(body["metadata"]["name"])),
        Text(_field(body, "mode")),
        Text(_field(body, "accelerators", "count")),
        Text(_field(body, "expected", "mfu")),
        Text(_field(body, "observed", "mfu")),
        Text(_field(body, "drift", "ratio"), style="red" if drifting else ""),
        Text(_field(body, "expected", "boundBy")),
        Text(decision, style={"Held": "yellow", "Refused": "red", "Warned": "yellow"}.get(decision, "")),
        Text(_field(body, "cost", "gapPerHour")),
        Text(_field(body, "summary")),
    ]


def _field(body: Mapping[str, Any], *path: str) -> str:
    value: Any = body.get("status") or {}
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)


def _name(body: Mapping[str, Any]) -> tuple[str, str]:
    return str(body["metadata"].get("namespace") or ""), str(body["metadata"]["name"])


def _dollars(text: str) -> float:
    number = text.replace("$", "").replace(",", "")
    try:
        return float(number)
    except ValueError:
        return 0.0
