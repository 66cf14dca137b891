"""`mfu estimate`: the MFU to expect of declared workloads, without a cluster."""

import argparse
import math
from collections.abc import Sequence
from typing import Any

from mfu.api.figures import bytes_text, percent, rate_text, seconds_text
from mfu.cli.documents import read_documents
from mfu.cli.output import complain, write_data, write_rows
from mfu.cli.workloads import Declared, declared_workloads
from mfu.errors import MfuError
from mfu.estimate.estimator import estimate
from mfu.estimate.result import Estimate, ServingRates, TrainingRates
from mfu.missing import Missing

__all__ = ["add_arguments", "expected", "run"]

_COLUMNS = ("NAME", "MFU", "80% INTERVAL", "HFU", "BOUND", "TOKENS/S/GPU", "STEP", "MEMORY", "FITS")
_FIGURES = ("MFU", "80% INTERVAL", "HFU", "TOKENS/S/GPU", "STEP", "MEMORY")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        required=True,
        metavar="FILE",
        help="YAML or JSON with ModelWorkload documents (and the AcceleratorClass and ConfigMap documents they use); - is standard input",
    )
    parser.add_argument("-o", "--output", choices=["table", "json", "yaml"], default="table")


def run(args: argparse.Namespace) -> int:
    """0, or 1 where any document got no expectation. Raises MfuError for files that cannot be read."""
    declared = declared_workloads(read_documents(args.filename))
    if not declared:
        raise MfuError(f"{', '.join(args.filename)}: no ModelWorkload to estimate; give one with -f")
    results = [(item, _estimated(item)) for item in declared]
    if args.output == "table":
        _write_table([(item, found) for item, found in results if isinstance(found, Estimate)])
    else:
        write_data([_entry(item, found) for item, found in results], args.output)
    failed = [(item, found) for item, found in results if not isinstance(found, Estimate)]
    for item, reason in failed:
        complain(f"{item.document.place}{f' ({item.name})' if item.name else ''}: {reason}")
    return 1 if failed else 0


def expected(estimated: Estimate) -> dict[str, Any]:
    """The figures of an expectation as the contract of `-o json` names them: ratios 0 to 1, SI units."""
    total = estimated.step_seconds
    return {
        "mfu": estimated.mfu_ratio,
        "mfuLow": estimated.interval.low_ratio,
        "mfuHigh": estimated.interval.high_ratio,
        "hfu": estimated.hfu_ratio,
        "mfuFullAttention": estimated.full_attention_mfu_ratio,
        "rooflineFraction": estimated.roofline_ratio,
        "boundBy": str(estimated.bound),
        "modelFlopsPerToken": estimated.model_flops_per_token,
        "peakFlopsPerAccelerator": estimated.peak_flops_per_second,
        **_rates(estimated.rates),
        "memory": {
            "requiredBytes": estimated.memory.required_bytes,
            "capacityBytes": estimated.memory.capacity_bytes,
            "fits": estimated.memory.fits,
            "parts": [{"name": part.name, "requiredBytes": part.required_bytes} for part in estimated.memory.parts],
            "remedy": estimated.memory.remedy,
        },
        "terms": [
            {"name": term.name, "seconds": term.seconds, "share": term.seconds / total if total else 0.0, "bound": str(term.bound)}
            for term in estimated.terms
        ],
        "assumptions": list(estimated.assumptions),
    }


def _rates(rates: TrainingRates | ServingRates) -> dict[str, Any]:
    match rates:
        case TrainingRates():
            return {
                "stepSeconds": rates.step_seconds,
                "tokensPerStep": rates.tokens_per_step,
                "tokensPerSecondPerAccelerator": rates.tokens_per_second_per_accelerator,
            }
        case ServingRates():
            return {
                "outputTokensPerSecondPerAccelerator": rates.output_tokens_per_second_per_accelerator,
                "totalTokensPerSecondPerAccelerator": rates.total_tokens_per_second_per_accelerator,
                "timeToFirstTokenSeconds": rates.time_to_first_token_seconds,
                "timePerOutputTokenSeconds": rates.time_per_output_token_seconds,
                "concurrency": rates.concurrency,
            }


def _estimated(item: Declared) -> Estimate | str:
    """The estimate, or why there is none in one line."""
    if isinstance(item.workload, MfuError):
        return str(item.workload)
    try:
        found = estimate(item.workload)
    except MfuError as error:
        return str(error)
    except (ArithmeticError, LookupError, ValueError) as error:
        # A combination that nobody thought of must not take the other documents with it.
        return f"the estimator failed on this workload ({type(error).__name__}: {error}); please report it with the document"
    if isinstance(found, Missing):
        return found.message
    if not all(map(math.isfinite, (found.mfu_ratio, found.interval.low_ratio, found.interval.high_ratio, found.step_seconds))):
        return "the estimator gave no finite figure for this workload; please report it with the document"
    return found


def _entry(item: Declared, found: Estimate | str) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": item.name, "namespace": item.namespace}
    return entry | ({"expected": expected(found)} if isinstance(found, Estimate) else {"error": found})


def _write_table(results: Sequence[tuple[Declared, Estimate]]) -> None:
    if not results:
        return
    write_rows(_COLUMNS, [_row(item, found) for item, found in results], right=_FIGURES)
    if len(results) == 1:
        _write_details(results[0][1])


def _row(item: Declared, found: Estimate) -> tuple[str, ...]:
    match found.rates:
        case TrainingRates() as training:
            tokens, step = training.tokens_per_second_per_accelerator, seconds_text(training.step_seconds)
        case ServingRates() as serving:
            tokens, step = serving.output_tokens_per_second_per_accelerator, f"{seconds_text(serving.time_per_output_token_seconds)}/token"
    return (
        f"{item.namespace}/{item.name}",
        percent(found.mfu_ratio),
        f"{percent(found.interval.low_ratio)} – {percent(found.interval.high_ratio)}",
        percent(found.hfu_ratio),
        str(found.bound),
        rate_text(tokens),
        step,
        f"{bytes_text(found.memory.required_bytes)} of {bytes_text(found.memory.capacity_bytes)}",
        "yes" if found.memory.fits else f"no: {found.memory.remedy}" if found.memory.remedy else "no",
    )


def _write_details(found: Estimate) -> None:
    """Where the time goes and what was assumed."""
    total = found.step_seconds
    terms = sorted((term for term in found.terms if term.seconds > 0), key=lambda term: -term.seconds)
    print()
    write_rows(
        ("TERM", "SHARE", "TIME", "BOUND"),
        [(term.name, percent(term.seconds / total), seconds_text(term.seconds), str(term.bound)) for term in terms],
        right=("SHARE", "TIME"),
    )
    if found.assumptions:
        print("\nASSUMED (declare it to narrow the interval)")
        for text in found.assumptions:
            print(f"  {text}")
