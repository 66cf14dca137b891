"""`mfu report`: the fleet as one self-contained HTML page."""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mfu.cli.documents import read_documents
from mfu.cli.fleet import tenant_report
from mfu.cli.page import page
from mfu.errors import ClusterError, MfuError

__all__ = ["add_arguments", "run"]

_OURS = frozenset({"ModelWorkload", "FleetReport"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--html", required=True, metavar="FILE", help="where the page is written; - is standard output")
    parser.add_argument(
        "--from",
        dest="sources",
        action="append",
        default=[],
        metavar="FILE",
        help="objects as `kubectl get mw,mfufleet -A -o json` gives them, instead of the cluster; may be repeated",
    )
    parser.add_argument("-n", "--namespace", help="only this tenant: its workloads and its own report")


def run(args: argparse.Namespace) -> int:
    """Writes the page; MfuError when a file or the cluster cannot be read or the page cannot be written."""
    if args.sources:
        objects, report = _from_files(args.sources, args.namespace)
    else:
        objects, report = asyncio.run(_from_cluster(args.namespace))
    title = f"Tenant {args.namespace}: model FLOP utilisation" if args.namespace else "GPU fleet: model FLOP utilisation"
    text = page(objects, report=report, title=title)
    if args.html == "-":
        sys.stdout.write(text)
        return 0
    try:
        Path(args.html).write_text(text, encoding="utf-8")
    except OSError as error:
        raise MfuError(f"{args.html}: cannot be written: {error.strerror or error}") from error
    print(f"{args.html}: {len(objects)} workloads", file=sys.stderr)
    return 0


def _from_files(paths: Sequence[str], namespace: str | None) -> tuple[list[Mapping[str, Any]], Mapping[str, Any]]:
    objects: list[Mapping[str, Any]] = []
    reports: list[Mapping[str, Any]] = []
    for document in read_documents(paths):
        if document.body is None:
            raise MfuError(f"{document.place}: {document.problem}; give what `kubectl get mw,mfufleet -A -o json` prints")
        if document.kind == "FleetReport":
            reports.append(document.body.get("status") or {})
        elif document.kind == "ModelWorkload" and namespace in (None, document.namespace):
            objects.append(document.body)
    if not objects and not reports:
        raise MfuError(
            f"{', '.join(paths)}: holds no {' and no '.join(sorted(_OURS))}; give what `kubectl get mw,mfufleet -A -o json` prints"
        )
    return objects, (_tenants_share(reports, namespace) if namespace else reports[0]) if reports else {}


def _tenants_share(reports: Sequence[Mapping[str, Any]], namespace: str) -> Mapping[str, Any]:
    """Of the fleet's report, what is about one tenant."""
    whole = reports[0]
    group = next((dict(item) for item in whole.get("byTenant") or () if item.get("name") == namespace), {})
    worst = [item for item in whole.get("worst") or () if item.get("namespace") == namespace]
    return {
        key: value
        for key, value in {
            "at": whole.get("at"),
            "mfu": {name: group[name] for name in ("expected", "observed", "hardware") if name in group},
            "costPerHour": group.get("costPerHour"),
            "gapPerHour": group.get("gapPerHour"),
            "byTenant": [group] if group else None,
            "worst": worst,
        }.items()
        if value
    }


async def _from_cluster(namespace: str | None) -> tuple[list[Mapping[str, Any]], Mapping[str, Any]]:
    from mfu.control.cluster import Cluster
    from mfu.control.connection import find_connection
    from mfu.control.resources import Kind

    connection = find_connection()
    async with Cluster(connection) as cluster:
        try:
            objects = [body async for body in cluster.objects(Kind.WORKLOAD, namespace=namespace or "")]
        except ClusterError as error:
            if error.status == 404:
                raise ClusterError(f"{connection.server} serves no ModelWorkloads; install the chart mfu-operator first") from error
            if error.status == 403 and not namespace:
                raise ClusterError(f"{error}; a tenant asks for its own page with --namespace") from error
            raise
        if namespace:
            return list(objects), await tenant_report(cluster, namespace)
        body = await cluster.get(Kind.FLEET, "", "fleet")
    return list(objects), (body or {}).get("status") or {}
