"""`mfu explain NAME -n NAMESPACE`: what the operator wrote about one workload of the cluster, from top to bottom like an answer."""

import argparse
import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mfu.cli.output import write_data, write_rows
from mfu.errors import ClusterError

__all__ = ["add_arguments", "lines", "run"]

_BAR_CELLS = 40
_RUNG = re.compile(r"(?P<name>.+): (?:[−-](?P<loss>[\d.]+)% → )?(?P<left>[\d.]+)%")
_WIDTH = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb that only the cluster needs."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a ModelWorkload of the cluster, explained from its status")
    parser.add_argument("-n", "--namespace", help="its namespace; the kubeconfig's when omitted")


def run(args: argparse.Namespace) -> int:
    """Raises ClusterError when the cluster does not answer or has no such workload."""
    body = asyncio.run(_workload(args.name, args.namespace))
    if args.output == "table":
        for line in lines(body, datetime.now(UTC)):
            print(line)
        _recommendations(_list(_status(body), "recommendations"))
    else:
        write_data({"namespace": body["metadata"].get("namespace"), "name": body["metadata"]["name"], "status": _status(body)}, args.output)
    return 0


async def _workload(name: str, namespace: str | None) -> Mapping[str, Any]:
    from mfu.control.cluster import Cluster
    from mfu.control.connection import find_connection
    from mfu.control.resources import Kind

    connection = find_connection()
    where = namespace or connection.namespace
    async with Cluster(connection) as cluster:
        body = await cluster.get(Kind.WORKLOAD, where, name)
    if body is None:
        raise ClusterError(f"namespace {where} has no ModelWorkload {name}; see `mfu top -A`")
    return body


def lines(body: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """The text, without the table of recommendations."""
    status = _status(body)
    metadata = body["metadata"]
    accelerators = _part(status, "accelerators")
    on = f" on {accelerators['count']} × {accelerators.get('class', 'unknown')}" if "count" in accelerators else ""
    yield f"{metadata.get('namespace', '')}/{metadata['name']}: {status.get('model', 'unknown model')}, {status.get('mode', 'unknown')}{on}"
    if not status:
        yield "  nothing is written yet: is the operator running?"
        return
    yield f"  {status.get('summary', '')}"
    if metadata.get("generation", 0) != status.get("observedGeneration", 0):
        yield "  the declared intent has changed since; this is about the one before"
    yield ""
    yield from _verdict(_part(status, "verdict"))
    yield from _expected(_part(status, "expected"))
    yield from _observed(_part(status, "observed"), now)
    yield from _drift(_part(status, "drift"), now)
    yield from _placement(_part(status, "placement"))
    yield from _cost(_part(status, "cost"))
    yield from _waterfall(_list(status, "waterfall"))
    causes = _list(status, "diagnosis")
    if causes:
        yield from ("", "WHY (share of the gap)")
        yield from (f"  {cause.get('share', ''):>6}  {cause.get('cause', '')}: {cause.get('evidence', '')}" for cause in causes)
    assumed = _list(_part(status, "expected"), "assumptions")
    if assumed:
        yield from ("", "ASSUMED (declare it to narrow the interval)")
        yield from (f"  {text}" for text in assumed)


def _verdict(verdict: Mapping[str, Any]) -> Iterator[str]:
    if verdict:
        policy = f" by policy {verdict['policy']}" if verdict.get("policy") else ""
        yield _row("Verdict", f"{verdict.get('decision')}{policy}: {verdict.get('message')}")


def _expected(expected: Mapping[str, Any]) -> Iterator[str]:
    if not expected:
        return
    if "low" not in expected:
        yield _row("Expected", str(expected.get("message") or expected.get("mfu")))
        return
    calibrated = f"; with the fleet's own correction {expected['calibrated']}" if expected.get("calibrated") else ""
    bound = str(expected.get("boundBy", "")).lower()
    yield _row("Expected", f"{expected['mfu']} [{expected['low']} – {expected.get('high')}], bound by {bound}{calibrated}")
    memory = _part(expected, "memory")
    if memory:
        remedy = "" if memory.get("fits") else f": does not fit; {memory.get('remedy', '')}"
        yield _row("Memory", f"{memory.get('required')} of {memory.get('capacity')}{remedy}")


def _observed(observed: Mapping[str, Any], now: datetime) -> Iterator[str]:
    if not observed:
        return
    age = _age(observed.get("at"), now)
    source = f" from {observed['source']}" if observed.get("source") else ""
    tokens = f", {observed['tokensPerSecond']} tokens/s" if observed.get("tokensPerSecond") else ""
    yield _row("Observed", f"{observed.get('message') or observed.get('mfu')}{source}{tokens}{f' ({age})' if age else ''}")
    if observed.get("hardware"):
        yield _row("Hardware", f"{observed['hardware']} tensor activity × clock (recomputed and wasted work included)")
    yield from (_row("Doubt", str(fault)) for fault in _list(observed, "faults"))


def _drift(drift: Mapping[str, Any], now: datetime) -> Iterator[str]:
    if not drift:
        return
    since = _age(drift.get("since"), now)
    against = {"OwnLevel": "its own best level", "ExpectedAtLoad": "what this load should give"}.get(
        str(drift.get("baseline")), "the expectation"
    )
    changed = f"; changed then: {drift['change']}" if drift.get("change") else ""
    text = drift.get("message") or f"{drift.get('ratio')} against {against}{f', since {since}' if since else ''}{changed}"
    yield _row("Drift", str(text))


def _placement(placement: Mapping[str, Any]) -> Iterator[str]:
    for name in ("placed", "hint"):
        if placement.get(name):
            yield _row(name.capitalize(), str(placement[name]))


def _cost(cost: Mapping[str, Any]) -> Iterator[str]:
    known = [
        f"{cost[name]} {text}"
        for name, text in (("perHour", "an hour"), ("perMillionTokens", "per million tokens"), ("gapPerHour", "an hour lost"))
        if cost.get(name)
    ]
    if known or cost.get("message"):
        yield _row("Cost", ", ".join(known) or str(cost["message"]))


def _waterfall(rungs: Sequence[str]) -> Iterator[str]:
    """Bars of the peak: what is left after each loss, and the loss itself."""
    if not rungs:
        return
    yield from ("", "WHERE THE PEAK GOES")
    width = max(len(rung.partition(":")[0]) for rung in rungs)
    for rung in rungs:
        read = _RUNG.fullmatch(rung)
        if read is None:
            yield f"  {rung}"
            continue
        left, loss = float(read["left"]), float(read["loss"] or 0.0)
        kept = round(_BAR_CELLS * min(left, 100.0) / 100.0)
        lost = round(_BAR_CELLS * min(left + loss, 100.0) / 100.0) - kept
        amount = f"−{loss:.1f}%" if read["loss"] else ""
        yield f"  {read['name']:<{width}} {left:5.1f}% {amount:>7}  {'█' * kept}{'░' * lost}"


def _recommendations(found: Sequence[Mapping[str, Any]]) -> None:
    if not found:
        return
    print("\nWHAT TO CHANGE")
    columns = ("CHANGE", "MFU", "GAIN", "SAVES", "CONFIDENCE", "ITS PRICE")
    keys = ("change", "expected", "gain", "saves", "confidence", "price")
    write_rows(columns, [tuple(str(item.get(key) or "") for key in keys) for item in found])


def _row(name: str, text: str) -> str:
    return f"{name:<{_WIDTH}}{text}"


def _age(at: object, now: datetime) -> str:
    """`3 min ago`; empty for what is no time."""
    try:
        seconds = (now - datetime.fromisoformat(str(at))).total_seconds()
    except (ValueError, TypeError):
        return ""
    for limit, each, unit in ((120.0, 1.0, "s"), (7200.0, 60.0, "min"), (172_800.0, 3600.0, "h")):
        if seconds < limit:
            return f"{max(0.0, seconds) / each:.0f} {unit} ago"
    return f"{seconds / 86_400:.0f} days ago"


def _status(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _part(body, "status")


def _part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}


def _list(value: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = value.get(name)
    return found if isinstance(found, list) else ()
