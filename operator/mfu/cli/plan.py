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
from mfu.estimate.plan import Candidate, Objective, plan
from mfu.estimate.workload import Workload
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.catalog import accelerator
from mfu.hardware.precision import Precision
from mfu.missing import Missing

__all__ = ["add_arguments", "run"]

_SIZES = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument(
        "-f", "--filename", action="append", required=True, metavar="FILE", help="ModelWorkload documents; - reads standard input"
    )
    parser.add_argument(
        "--objective",
        choices=[str(objective) for objective in Objective],
        default=str(Objective.MFU),
        help="mfu, throughput (tokens/s and accelerator), cost (dollars for a million tokens) or time (to --tokens, on all accelerators)",
    )
    parser.add_argument("--tokens", metavar="N", help="a token budget, as 15T or 300B: also says how long and how dear it is")
    parser.add_argument("--precision", metavar="NAMES", help="compute precisions to try, separated by commas (default: the declared one)")
    parser.add_argument("--accelerators", metavar="NAMES", help="classes to try, separated by commas (default: the workload's own)")
    parser.add_argument("--count", type=int, metavar="N", help="accelerators to use instead of the declared number")
    parser.add_argument("--limit", type=int, default=5, metavar="N", help="how many layouts to show (default 5)")
    parser.add_argument("-o", "--output", choices=["table", "json", "yaml"], default="table")


def run(args: argparse.Namespace) -> int:
    """0, or 1 where a document is faulty or nothing fits. Raises MfuError for files and names that cannot be used."""
    budget = None if args.tokens is None else _tokens(args.tokens)
    if args.objective == Objective.TIME and budget is None:
        raise IntentError("--objective", "time needs a token budget; give --tokens, as 15T")
    precisions = _precisions(args.precision)
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
        candidates = _candidates(workload, args, kinds, precisions)
        if not candidates:
            failed = True
            complain(
                f"{item.document.place} ({item.name}): no layout of {_places(workload, kinds)} fits in memory; allow more or larger ones"
            )
        elif args.output == "table":
            if printed:
                print()
            printed = True
            _print(workload, candidates, precisions, budget)
        listed = [_entry(candidate, budget) for candidate in candidates]
        entries.append({"name": item.name, "namespace": item.namespace, "candidates": listed})
    if args.output != "table":
        write_data(entries, args.output)
    return 1 if failed else 0


def _candidates(
    workload: Workload, args: argparse.Namespace, kinds: tuple[Accelerator, ...], precisions: tuple[Precision, ...]
) -> tuple[Candidate, ...]:
    if args.count is not None:
        workload = replace(workload, fabric=replace(workload.fabric, count=args.count))
    return plan(workload, objective=Objective(args.objective), accelerators=kinds, precisions=precisions, limit=args.limit)


def _tokens(text: str) -> float:
    """15T → 15e12."""
    size = _SIZES.get(text[-1:].upper(), 1.0)
    try:
        tokens = float(text[:-1] if text[-1:].upper() in _SIZES else text) * size
    except ValueError:
        tokens = 0.0
    if not 1 <= tokens < float("inf"):
        raise IntentError("--tokens", f"must be a number of tokens such as 15T, 300B or 2e12, not {text!r}")
    return tokens


def _precisions(text: str | None) -> tuple[Precision, ...]:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    known = [str(each) for each in Precision]
    for name in names:
        if name not in known:
            raise IntentError("--precision", f"must be one of {', '.join(known)}, not {name!r}")
    return tuple(Precision(name) for name in names)


def _places(workload: Workload, kinds: tuple[Accelerator, ...]) -> str:
    names = ", ".join(kind.name for kind in kinds) or workload.fabric.accelerator.name
    return f"{workload.fabric.count} × {names}"


def _print(workload: Workload, candidates: Sequence[Candidate], precisions: Sequence[Precision], budget: float | None) -> None:
    print(f"{workload.namespace}/{workload.name}\n")
    columns = ["LAYOUT", "MFU", "TOKENS/S", "$/M TOKENS", "WHY BEFORE THE NEXT"]
    rows = [
        [
            candidate.summary,
            percent(candidate.estimate.mfu_ratio),
            rate_text(candidate.tokens_per_second),
            _price(candidate.dollars_per_million_tokens),
            candidate.reason,
        ]
        for candidate in candidates
    ]
    if budget is not None:
        columns[4:4] = ["TIME", "BUDGET"]
        for row, candidate in zip(rows, candidates, strict=True):
            row[4:4] = [_duration(candidate.seconds_to(budget)), _spent(candidate, budget)]
    if precisions:
        columns.insert(1, "PRECISION")
        for row, candidate in zip(rows, candidates, strict=True):
            row.insert(1, str(candidate.workload.precisions.compute))
    write_rows(columns, rows, right=("MFU", "TOKENS/S", "$/M TOKENS", "TIME", "BUDGET"))


def _duration(seconds: float) -> str:
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _spent(candidate: Candidate, budget: float) -> str:
    dollars = candidate.dollars_per_million_tokens
    return "unknown" if isinstance(dollars, Missing) else money(dollars * budget / 1e6)


def _price(dollars: float | Missing) -> str:
    return "unknown" if isinstance(dollars, Missing) else money(dollars)


def _entry(candidate: Candidate, budget: float | None) -> dict[str, Any]:
    dollars = candidate.dollars_per_million_tokens
    entry: dict[str, Any] = {
        "layout": candidate.summary,
        "precision": str(candidate.workload.precisions.compute),
        "accelerator": candidate.workload.fabric.accelerator.name,
        "count": candidate.workload.fabric.count,
        "mfu": candidate.estimate.mfu_ratio,
        "mfuLow": candidate.estimate.interval.low_ratio,
        "mfuHigh": candidate.estimate.interval.high_ratio,
        "tokensPerSecond": candidate.tokens_per_second,
        "dollarsPerMillionTokens": None if isinstance(dollars, Missing) else dollars,
        "reason": candidate.reason,
    }
    if budget is not None:
        entry["secondsToBudget"] = candidate.seconds_to(budget)
        entry["dollarsForBudget"] = None if isinstance(dollars, Missing) else dollars * budget / 1e6
    return entry
