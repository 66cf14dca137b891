"""`mfu explain`: where the time and the memory of a workload go, and which single changes would gain most."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mfu.api.figures import bytes_text, percent, rate_text, seconds_text
from mfu.cli import explain_cluster
from mfu.cli.documents import read_documents
from mfu.cli.output import complain, write_data, write_rows
from mfu.cli.roofline_plot import draw
from mfu.cli.workloads import declared_workloads
from mfu.errors import IntentError, MfuError
from mfu.estimate.estimator import estimate
from mfu.estimate.result import Estimate, Term, TrainingRates
from mfu.estimate.roofline import roofline
from mfu.estimate.search import Change, best_changes, rate
from mfu.estimate.workload import Workload
from mfu.missing import Missing

__all__ = ["add_arguments", "run"]

_BAR_CELLS = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("-f", "--filename", action="append", metavar="FILE", help="ModelWorkload documents; - reads standard input")
    explain_cluster.add_arguments(parser)
    parser.add_argument("--changes", type=int, default=5, metavar="N", help="how many changes to try and show (default 5, 0: none)")
    parser.add_argument(
        "--plot", metavar="FILE", help="also draw the roofline of the (only) workload as SVG; - writes it instead of the text"
    )
    parser.add_argument("-o", "--output", choices=["table", "json", "yaml"], default="table")


def run(args: argparse.Namespace) -> int:
    """0, or 1 where any document could not be explained. Raises MfuError for files that cannot be read."""
    if bool(args.name) == bool(args.filename):
        raise MfuError("give either -f FILE, or the NAME of a ModelWorkload in the cluster")
    if args.name:
        return explain_cluster.run(args)
    failed, printed = False, False
    entries: list[dict[str, Any]] = []
    declared = declared_workloads(read_documents(args.filename))
    if args.plot is not None and len(declared) != 1:
        raise IntentError("--plot", f"draws one workload, and the files hold {len(declared)}; give one document")
    for item in declared:
        workload = item.workload
        problem: str | None = None
        if isinstance(workload, MfuError):
            problem = str(workload)
        else:
            found = estimate(workload)
            if isinstance(found, Missing):
                problem = found.message
        if problem is not None:
            failed = True
            complain(f"{item.document.place}{f' ({item.name})' if item.name else ''}: {problem}")
            entries.append({"name": item.name, "namespace": item.namespace, "error": problem})
            continue
        assert isinstance(workload, Workload) and isinstance(found, Estimate)
        if args.plot is not None:
            drawn = draw(f"{workload.namespace}/{workload.name}", roofline(workload, found))
            if args.plot == "-":
                print(drawn, end="")
                return 0
            _write(Path(args.plot), drawn)
        changes = best_changes(workload, found, args.changes) if args.changes > 0 else ()
        if args.output == "table":
            if printed:
                print()
            printed = True
            _print(workload, found, changes)
        entries.append(_entry(workload, found, changes))
    if args.output != "table":
        write_data(entries, args.output)
    return 1 if failed else 0


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MfuError(f"--plot {path}: {error.strerror or error}; give a file that can be written") from error


def _print(workload: Workload, found: Estimate, changes: Sequence[Change]) -> None:
    fabric = workload.fabric
    tokens = "trained" if isinstance(found.rates, TrainingRates) else "output"
    print(f"{workload.namespace}/{workload.name} on {fabric.count} × {fabric.accelerator.name}")
    print(
        f"  MFU {percent(found.mfu_ratio)} (80%: {percent(found.interval.low_ratio)} – {percent(found.interval.high_ratio)}), "
        f"HFU {percent(found.hfu_ratio)}, {percent(found.roofline_ratio)} of the roofline, bound by {found.bound}"
    )
    print(f"  {rate_text(rate(found))} {tokens} tokens/s on each accelerator, a step of {seconds_text(found.step_seconds)}\n")
    terms = sorted(found.terms, key=lambda term: -term.seconds)
    largest = terms[0].seconds
    write_rows(
        ("TERM", "SHARE", "TIME", "BOUND", "MFU WITHOUT IT", ""),
        [_row(term, found.step_seconds, largest) for term in terms],
        right=("SHARE", "TIME", "MFU WITHOUT IT"),
    )
    print()
    memory = [(part.name, bytes_text(part.required_bytes)) for part in found.memory.parts]
    total = f"{bytes_text(found.memory.required_bytes)} of {bytes_text(found.memory.capacity_bytes)}"
    write_rows(("MEMORY", "BYTES"), [*memory, ("total", total)], right=("BYTES",))
    if not found.memory.fits:
        print(f"\nDOES NOT FIT: {found.memory.remedy}")
    if changes:
        print()
        write_rows(
            ("CHANGE", "MFU", "TOKENS/S/GPU", "GAIN"),
            [
                (
                    f"{change.field_path}: {change.old} → {change.new}",
                    percent(change.estimate.mfu_ratio),
                    rate_text(rate(change.estimate)),
                    f"{rate(change.estimate) / rate(found) - 1:+.1%}",
                )
                for change in changes
            ],
            right=("MFU", "TOKENS/S/GPU", "GAIN"),
        )
    if found.assumptions:
        print("\nASSUMED (declare it to narrow the interval)")
        for text in found.assumptions:
            print(f"  {text}")


def _row(term: Term, step_seconds: float, largest: float) -> tuple[str, ...]:
    ceiling = "" if term.ceiling_mfu_ratio is None else percent(term.ceiling_mfu_ratio)
    bar = "█" * max(1, round(_BAR_CELLS * term.seconds / largest))
    return (term.name, percent(term.seconds / step_seconds), seconds_text(term.seconds), str(term.bound), ceiling, bar)


def _entry(workload: Workload, found: Estimate, changes: Sequence[Change]) -> dict[str, Any]:
    return {
        "name": workload.name,
        "namespace": workload.namespace,
        "mfu": found.mfu_ratio,
        "boundBy": str(found.bound),
        "stepSeconds": found.step_seconds,
        "terms": [
            {
                "name": term.name,
                "seconds": term.seconds,
                "share": term.seconds / found.step_seconds,
                "bound": str(term.bound),
                "mfuWithout": term.ceiling_mfu_ratio,
            }
            for term in found.terms
        ],
        "memory": {part.name: part.required_bytes for part in found.memory.parts},
        "changes": [
            {
                "field": change.field_path,
                "from": change.old,
                "to": change.new,
                "mfu": change.estimate.mfu_ratio,
                "gain": rate(change.estimate) / rate(found) - 1,
            }
            for change in changes
        ],
        "assumptions": list(found.assumptions),
    }
