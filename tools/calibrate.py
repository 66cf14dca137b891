"""Fit the estimator's coefficients to measured rates, report held-out errors, and rewrite the coefficient file.

    python -m tools.calibrate training measurements.jsonl [--hold-out source|accelerator] [--write]

A line of the measurements is {"source": …, "rate": tokens per second and accelerator, "workload": a ModelWorkload}; for inference the
rate is of output tokens. Only coefficients with a `prior` in the file are free; they stay inside its `bounds`. Sources with many rows are
weighted down.
"""

import argparse
import json
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, log, sqrt
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import mfu
from mfu.api.resolve import resolve
from mfu.errors import MfuError
from mfu.estimate.coefficients import Calibration, InferenceCoefficients, TrainingCoefficients, default_calibration
from mfu.estimate.estimator import estimate
from mfu.estimate.result import Estimate
from mfu.estimate.search import rate
from mfu.estimate.workload import Workload
from tools.robust_fit import Parameter, fit

__all__ = ["main"]

_ROWS_OF_FULL_WEIGHT = 40
_SCALES = {"training": 0.08, "inference": 0.15}
_PRIOR_SCALE = 0.35
_SEPARATOR = "."

_Part = TypeVar("_Part", TrainingCoefficients, InferenceCoefficients)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A measured rate in tokens per second and accelerator, and the workload that reached it."""

    source: str
    rate: float
    workload: Workload


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; 0 when done, 2 when the input cannot be used."""
    parser = argparse.ArgumentParser(prog="calibrate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=sorted(_SCALES))
    parser.add_argument("measurements", type=Path)
    parser.add_argument("--hold-out", choices=["source", "accelerator"], help="also fit without each of them in turn and score the rest")
    parser.add_argument("--iterations", type=int, default=6)
    parser.add_argument("--write", action="store_true", help="rewrite the coefficient file of the package")
    args = parser.parse_args(argv)
    path = Path(mfu.__file__).parent / "data" / "coefficients" / f"{args.what}.json"
    try:
        measured = _read(args.measurements)
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, MfuError) as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 2
    parameters = _parameters(document)
    before = [each.start for each in parameters]
    print(f"{len(measured)} measurements, {len(parameters)} free coefficients")
    print("as shipped  " + _errors(_residuals(args.what, parameters, measured)(before)))
    if args.hold_out:
        _cross_validate(args, parameters, measured)
    after = _fit(args.what, parameters, measured, args.iterations)
    print("fitted      " + _errors(_residuals(args.what, parameters, measured)(after)))
    for each, value in zip(parameters, after, strict=True):
        bound = " at its bound" if value in (each.low, each.high) else ""
        print(f"  {each.name:44s} {value:12.5g}  prior {each.prior:.5g}{bound}")
    if args.write:
        _write(path, document, parameters, after)
    return 0


def _read(path: Path) -> list[Measurement]:
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            found.append(Measurement(source=row["source"], rate=float(row["rate"]), workload=resolve(row["workload"])))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path}: line {number}: needs source, rate and workload ({error})") from error
    return found


def _parameters(document: dict[str, Any]) -> list[Parameter]:
    found = []
    for name, entry in document["coefficients"].items():
        prior, (low, high) = entry.get("prior"), entry["bounds"]
        values = {name: (entry["value"], prior)} if isinstance(prior, float | int) else {}
        for key, believed in prior.items() if isinstance(prior, dict) else ():
            values[f"{name}{_SEPARATOR}{key}"] = (entry["value"][key], believed)
        found += [
            Parameter(name=full, start=float(start), prior=float(believed), low=low, high=high)
            for full, (start, believed) in values.items()
        ]
    return found


def _calibration(what: str, parameters: Sequence[Parameter], values: Sequence[float]) -> Calibration:
    shipped = default_calibration()
    if what == "training":
        return replace(shipped, training=_changed(shipped.training, parameters, values))
    return replace(shipped, inference=_changed(shipped.inference, parameters, values))


def _changed(part: _Part, parameters: Sequence[Parameter], values: Sequence[float]) -> _Part:
    single: dict[str, float] = {}
    tables: dict[str, dict[str, float]] = {}
    for each, value in zip(parameters, values, strict=True):
        name, _, key = each.name.partition(_SEPARATOR)
        if key:
            tables.setdefault(name, dict(getattr(part, name)))[key] = value
        else:
            single[name] = value
    changes: dict[str, Any] = {**single, **{name: MappingProxyType(table) for name, table in tables.items()}}
    return replace(part, **changes)


def _residuals(what: str, parameters: Sequence[Parameter], measured: Sequence[Measurement]) -> Callable[[Sequence[float]], list[float]]:
    def at(values: Sequence[float]) -> list[float]:
        calibration = _calibration(what, parameters, values)
        found = []
        for each in measured:
            result = estimate(each.workload, calibration)
            found.append(log(each.rate / rate(result)) if isinstance(result, Estimate) else 0.0)
        return found

    return at


def _fit(what: str, parameters: Sequence[Parameter], measured: Sequence[Measurement], iterations: int) -> list[float]:
    rows = Counter(each.source for each in measured)
    weights = [sqrt(min(1.0, _ROWS_OF_FULL_WEIGHT / rows[each.source])) if what == "training" else 1.0 for each in measured]
    return fit(
        parameters,
        _residuals(what, parameters, measured),
        weights,
        scale=_SCALES[what],
        prior_scale=_PRIOR_SCALE,
        iterations=iterations,
    )


def _cross_validate(args: argparse.Namespace, parameters: Sequence[Parameter], measured: Sequence[Measurement]) -> None:
    def group(each: Measurement) -> str:
        return each.source if args.hold_out == "source" else each.workload.fabric.accelerator.name

    everything: list[float] = []
    for name in sorted({group(each) for each in measured}):
        kept = [each for each in measured if group(each) != name]
        held = [each for each in measured if group(each) == name]
        values = _fit(args.what, parameters, kept, args.iterations)
        unseen = _residuals(args.what, parameters, held)(values)
        everything += unseen
        print(f"  without {name[:44]:44s} {len(held):4d} rows  {_errors(unseen)}")
    print("held out    " + _errors(everything))


def _errors(residuals: Sequence[float]) -> str:
    """Symmetric errors: twice too fast and twice too slow are both 100 %."""
    found = sorted(exp(abs(r)) - 1 for r in residuals)
    return f"median {statistics.median(found):6.1%}  mean {statistics.mean(found):6.1%}  p90 {found[int(0.9 * (len(found) - 1))]:6.1%}"


def _write(path: Path, document: dict[str, Any], parameters: Sequence[Parameter], values: Sequence[float]) -> None:
    for each, value in zip(parameters, values, strict=True):
        name, _, key = each.name.partition(_SEPARATOR)
        rounded = float(f"{value:.4g}")
        if key:
            document["coefficients"][name]["value"][key] = rounded
        else:
            document["coefficients"][name]["value"] = rounded
    path.write_text(_laid_out(document), encoding="utf-8")
    print(f"wrote {path.name}")


def _laid_out(document: dict[str, Any]) -> str:
    """One field a line: readable, and a change of one coefficient is a change of one line."""
    entries = []
    for name, entry in document["coefficients"].items():
        lines = ",\n".join(f"   {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items())
        entries.append(f"  {json.dumps(name)}: {{\n{lines}\n  }}")
    about = json.dumps(document["about"], ensure_ascii=False)
    return f'{{\n "about": {about},\n "coefficients": {{\n' + ",\n".join(entries) + "\n }\n}\n"


if __name__ == "__main__":
    sys.exit(main())
