"""`mfu fleet`: how productive the GPUs of a cluster, or of one tenant, are."""

import argparse
import asyncio
import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mfu.cli.output import complain
from mfu.cli.watching import look_every
from mfu.errors import ClusterError

if TYPE_CHECKING:
    from mfu.control.cluster import Cluster

__all__ = ["add_arguments", "run", "tenant_report"]

GROUPS = {
    "tenant": ("byTenant", "TENANT"),
    "class": ("byClass", "GPU TYPE"),
    "model": ("byModel", "MODEL CLASS"),
    "node": ("byNode", "NODE"),
}
# Field of a group → column. In a table a column without a single figure is left out; a CSV file has all of them, always.
FIGURES = {
    "accelerators": "GPUS",
    "allocated": "ALLOCATED",
    "utilisation": "BUSY",
    "hardware": "HARDWARE",
    "observed": "OBSERVED",
    "expected": "EXPECTED",
    "unknown": "UNKNOWN",
    "gapPerHour": "GAP/H",
    "costPerHour": "COST/H",
}
REFRESH_SECONDS = 5.0
CLEAR = "\x1b[2J\x1b[H"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", choices=tuple(GROUPS), help="only these lines")
    parser.add_argument("-n", "--namespace", help="one tenant's own report, which its credentials may read; the whole cluster when omitted")
    parser.add_argument("-w", "--watch", action="store_true", help="print again whenever the report changes, until interrupted")
    parser.add_argument("-o", "--output", choices=("table", "json", "csv"), default="table")


def run(args: argparse.Namespace) -> int:
    """Prints the report; ClusterError when there is none or the cluster does not answer."""
    if not args.watch:
        sys.stdout.write(_rendered(_read(args.namespace), args))
        return 0
    shown = ""

    def look() -> None:
        nonlocal shown
        try:
            text = _rendered(_read(args.namespace), args)
        except ClusterError as error:
            complain(f"{error}; trying again every {REFRESH_SECONDS:.0f} s")
            return
        if text != shown:
            sys.stdout.write((CLEAR if sys.stdout.isatty() else "") + text)
            sys.stdout.flush()
            shown = text

    look_every(REFRESH_SECONDS, look)
    return 0


def _read(namespace: str | None) -> dict[str, Any]:
    return asyncio.run(_report(namespace))


async def _report(namespace: str | None) -> dict[str, Any]:
    from mfu.control.cluster import Cluster
    from mfu.control.connection import find_connection
    from mfu.control.resources import Kind

    async with Cluster(find_connection()) as cluster:
        if namespace:
            return await tenant_report(cluster, namespace)
        try:
            body = await cluster.get(Kind.FLEET, "", "fleet")
        except ClusterError as error:
            if error.status == 403:
                raise ClusterError(f"{error}; a tenant asks for its own report with --namespace") from error
            raise
    if body is None or not body.get("status"):
        raise ClusterError("there is no FleetReport `fleet` in this cluster yet; is the controller running?")
    return dict(body["status"])


async def tenant_report(cluster: "Cluster", namespace: str) -> dict[str, Any]:
    """What the ConfigMap `mfu-report` of a namespace says; ClusterError where there is none or it is not the operator's."""
    from mfu.control.resources import Kind

    body = await cluster.get(Kind.CONFIG_MAP, namespace, "mfu-report")
    if body is None:
        raise ClusterError(
            f"there is no report of namespace {namespace}; it has one while it holds accelerators (chart value tenantReports.enabled)"
        )
    try:
        status = json.loads((body.get("data") or {}).get("report.json") or "")
    except ValueError:
        status = None
    if not isinstance(status, dict):
        raise ClusterError(f"ConfigMap {namespace}/mfu-report holds no report; delete it, and the operator writes it anew")
    return status


def _rendered(status: Mapping[str, Any], args: argparse.Namespace) -> str:
    wanted = {args.by: GROUPS[args.by]} if args.by else GROUPS
    match args.output:
        case "json":
            shown = status.get(GROUPS[args.by][0]) or [] if args.by else status
            return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"
        case "csv":
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(("group", "name", *FIGURES))
            writer.writerows(_lines(status, wanted, whole=not args.by))
            return text.getvalue()
        case _:
            return _table(status, wanted, whole=not args.by)


def _lines(status: Mapping[str, Any], wanted: Mapping[str, tuple[str, str]], *, whole: bool) -> Iterator[tuple[str, ...]]:
    """One line for the whole, then one for each group."""
    if whole:
        held = status.get("accelerators") or {}
        figures = {
            "accelerators": held.get("total"),
            "allocated": held.get("allocated"),
            **{name: status.get(name) for name in ("utilisation", "gapPerHour", "costPerHour")},
            **(status.get("mfu") or {}),
        }
        yield "fleet", "all", *(_text(figures, figure) for figure in FIGURES)
    for field, _ in wanted.values():
        for group in status.get(field) or ():
            yield field, str(group.get("name")), *(_text(group, figure) for figure in FIGURES)


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return "" if value is None else str(value)


def _table(status: Mapping[str, Any], wanted: Mapping[str, tuple[str, str]], *, whole: bool) -> str:
    width = Console().width if sys.stdout.isatty() else 160
    console = Console(file=io.StringIO(), width=width, force_terminal=sys.stdout.isatty())
    if whole:
        for place, line in enumerate(_headline(status)):
            console.print(Text(line, style="" if place else "bold"))
    for field, title in wanted.values():
        _print_groups(console, title, status.get(field) or ())
    if whole:
        _print_worst(console, status.get("worst") or ())
        unknown = status.get("unknown") or ()
        if unknown:
            console.print()
            console.print(Text("not observed: " + ", ".join(f"{item['accelerators']} GPUs {item['reason']}" for item in unknown)))
    elif not any(status.get(field) for field, _ in wanted.values()):
        console.print(Text("nothing to show: no accelerator is allocated there"))
    written = console.file
    assert isinstance(written, io.StringIO)  # it was given above
    return "".join(f"{line.rstrip()}\n" for line in written.getvalue().lstrip("\n").splitlines())


def _headline(status: Mapping[str, Any]) -> Iterator[str]:
    """Made of the same fields as every other output, so that no figure is said twice with two values."""
    held, mfu = status.get("accelerators") or {}, status.get("mfu") or {}
    counts = ", ".join(f"{held[state]} {state}" for state in ("total", "allocated", "declared", "productive") if state in held)
    yield f"GPUs: {counts or 'none known'}; at {status.get('at', 'unknown')}"
    shares = {"allocated": _share(held), "busy": status.get("utilisation"), "hardware": mfu.get("hardware")}
    shares |= {f"MFU {name}": mfu.get(name) for name in ("observed", "expected")}
    yield "  ".join(f"{name} {value or 'unknown'}" for name, value in shares.items())
    money = {"cost": status.get("costPerHour"), "lost": status.get("gapPerHour")}
    yield "  ".join(f"{name} {value}/h" if value else f"{name} unknown" for name, value in money.items())


def _share(held: Mapping[str, Any]) -> str | None:
    total, allocated = held.get("total"), held.get("allocated")
    return f"{allocated / total:.1%}" if isinstance(total, int) and isinstance(allocated, int) and total else None


def _print_groups(console: Console, title: str, groups: Sequence[Mapping[str, Any]]) -> None:
    if not groups:
        return
    shown = [figure for figure in FIGURES if any(group.get(figure) is not None for group in groups)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title, no_wrap=True)
    for figure in shown:
        table.add_column(FIGURES[figure], no_wrap=True, justify="right")
    for group in groups:
        table.add_row(Text(str(group.get("name"))), *(Text(_text(group, figure)) for figure in shown))
    console.print()
    console.print(table)


def _print_worst(console: Console, worst: Sequence[Mapping[str, Any]]) -> None:
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
