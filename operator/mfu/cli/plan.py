"""`mfu plan`: the layouts, and the kinds of accelerator, on which a workload runs best."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mfu.api.figures import money, percent, rate_text
from mfu.cli.documents import read_documents
from mfu.cli.output import complain, write_data, write_rows
from mfu.cli.workloads import classes_of, declared_workloads
from mfu.errors import IntentError, MfuError
from mfu.estimate.search import Candidate, Objective, plan
from mfu.estimate.workload import Workload
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.catalog import accelerator
from mfu.missing import Missing

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument(
        "-f", "--filename", action="append", required=True, metavar="FILE", help="ModelWorkload documents; - reads standard input"
    )
    parser.add_argument(
        "--objective",
        choices=[str(objective) for objective in Objective],
        default=str(Objective.MFU),
        help="mfu, throughput (tokens/s and accelerator) or cost (dollars for a million tokens)",
    )
    parser.add_argument("--accelerators", metavar="NAMES", help="classes to try, separated by commas (default: the workload's own)")
    parser.add_argument("--count", type=int, metavar="N", help="accelerators to use instead of the declared number")
    parser.add_argument("--limit", type=int, default=5, metavar="N", help="how many layouts to show (default 5)")
    parser.add_argument("-o", "--output", choices=["table", "json", "yaml"], default="table")


def run(args: argparse.Namespace) -> int:
    """0, or 1 where a document is faulty or nothing fits. Raises MfuError for files and names that cannot be used."""
    if args.limit < 1 or (args.count is not None and args.count < 1):
        raise IntentError("", "--limit and --count must be at least 1")
    documents = read_documents(args.filename)
    classes = classes_of(documents)
    names = [name.strip() for name in (args.accelerators or "").split(",") if name.strip()]
    kinds = tuple(accelerator(name, classes, "--accelerators") for name in names)
    failed, printed = False, False
    entries: list[dict[str, Any]] = []
    for item in declared_workloads(documents):
        workload = item.workload
        if isinstance(workload, MfuError):
            failed = True
            complain(f"{item.document.place}{f' ({item.name})' if item.name else ''}: {workload}")
            continue
        candidates = _candidates(workload, args, kinds)
        if not candidates:
            failed = True
            complain(
                f"{item.document.place} ({item.name}): no layout of {_places(workload, kinds)} fits in memory; allow more or larger ones"
            )
        elif args.output == "table":
            if printed:
                print()
            printed = True
            _print(workload, candidates)
        entries.append({"name": item.name, "namespace": item.namespace, "candidates": [_entry(candidate) for candidate in candidates]})
    if args.output != "table":
        write_data(entries, args.output)
    return 1 if failed else 0


def _candidates(workload: Workload, args: argparse.Namespace, kinds: tuple[Accelerator, ...]) -> tuple[Candidate, ...]:
    if args.count is not None:
        workload = replace(workload, fabric=replace(workload.fabric, count=args.count))
    return plan(workload, objective=Objective(args.objective), accelerators=kinds, limit=args.limit)


def _places(workload: Workload, kinds: tuple[Accelerator, ...]) -> str:
    names = ", ".join(kind.name for kind in kinds) or workload.fabric.accelerator.name
    return f"{workload.fabric.count} × {names}"


def _print(workload: Workload, candidates: Sequence[Candidate]) -> None:
    print(f"{workload.namespace}/{workload.name}\n")
    write_rows(
        ("LAYOUT", "MFU", "TOKENS/S", "$/M TOKENS", "WHY BEFORE THE NEXT"),
        [
            (
                candidate.summary,
                percent(candidate.estimate.mfu_ratio),
                rate_text(candidate.tokens_per_second),
                _price(candidate.dollars_per_million_tokens),
                candidate.reason,
            )
            for candidate in candidates
        ],
        right=("MFU", "TOKENS/S", "$/M TOKENS"),
    )


def _price(dollars: float | Missing) -> str:
    return "unknown" if isinstance(dollars, Missing) else money(dollars)


def _entry(candidate: Candidate) -> dict[str, Any]:
    dollars = candidate.dollars_per_million_tokens
    return {
        "layout": candidate.summary,
        "accelerator": candidate.workload.fabric.accelerator.name,
        "count": candidate.workload.fabric.count,
        "mfu": candidate.estimate.mfu_ratio,
        "mfuLow": candidate.estimate.interval.low_ratio,
        "mfuHigh": candidate.estimate.interval.high_ratio,
        "tokensPerSecond": candidate.tokens_per_second,
        "dollarsPerMillionTokens": None if isinstance(dollars, Missing) else dollars,
        "reason": candidate.reason,
    }
