"""Fit the estimator's coefficients to measured rates, report held-out errors, and rewrite the coefficient file.

    python -m tools.calibrate training|inference [--measurements FILE] [--hold-out WAY …] [--write]

Without --measurements it reads the committed ones (`tools/calibration/`). Ways to hold out: source, accelerator, deployment (a model on
an accelerator in an engine or framework), tenth (every tenth distinct workload: new rows of known sources).
"""

import argparse
import sys
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from mfu.errors import MfuError
from tools.measurements import DIRECTORY, Measurement, inputs, read
from tools.model_fit import SCALES, Errors, ModelFit, coefficient_path

__all__ = ["held_out_groups", "main"]

_WAYS = ("source", "accelerator", "deployment", "tenth")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; 0 when done, 2 when the input cannot be used."""
    parser = argparse.ArgumentParser(prog="calibrate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=sorted(SCALES))
    parser.add_argument("--measurements", type=Path)
    parser.add_argument(
        "--hold-out", choices=_WAYS, action="append", default=[], help="also fit without each of them in turn, score the rest"
    )
    parser.add_argument("--iterations", type=int, default=6)
    parser.add_argument("--from-priors", action="store_true", help="start from what is believed without data")
    parser.add_argument("--write", action="store_true", help="rewrite the coefficient file of the package")
    args = parser.parse_args(argv)
    path = args.measurements or DIRECTORY / f"measurements_{args.what}.jsonl"
    try:
        measured = read(path)
        model = ModelFit(args.what, measured)
    except (OSError, ValueError, MfuError) as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 2
    print(f"{len(measured)} measurements, {len(model.parameters)} free coefficients")
    print(f"as shipped  {Errors.of(model.residuals(model.shipped))}")
    for way in args.hold_out:
        print(f"held out by {way}")
        folds = model.held_out(held_out_groups(way, measured))
        for fold in folds:
            print(f"  without {fold.name[:60]:60s} {len(fold.indices):4d} rows  {Errors.of(fold.residuals)}")
        print(f"  all         {Errors.of([r for fold in folds for r in fold.residuals])}")
    after = model.fitted(args.iterations, from_priors=args.from_priors)
    print(f"fitted      {Errors.of(model.residuals(after))}")
    for each, value in zip(model.parameters, after, strict=True):
        bound = " at its bound" if value <= each.low * 1.0001 or value >= each.high * 0.9999 else ""
        print(f"  {each.name:44s} {value:12.5g}  shipped {each.start:10.5g}  prior {each.prior:.5g}{bound}")
    if args.write:
        target = coefficient_path(args.what)
        model.document["fit"] = f"tools/calibrate.py on {len(measured)} rows of {path.name}: {_sources(measured)}"
        target.write_text(model.written(after), encoding="utf-8")
        print(f"wrote {target.name}")
    return 0


def held_out_groups(way: str, measured: Sequence[Measurement]) -> Callable[[Measurement], Hashable]:
    """What is held out together, by the name of the way."""
    tenths: dict[Hashable, int] = {}
    for each in measured:
        tenths.setdefault(inputs(each.workload), len(tenths) % 10)
    ways: dict[str, Callable[[Measurement], Hashable]] = {
        "source": lambda each: each.source,
        "accelerator": lambda each: each.accelerator,
        "deployment": lambda each: (each.model, each.accelerator, each.software),
        "tenth": lambda each: tenths[inputs(each.workload)],
    }
    return ways[way]


def _sources(measured: Sequence[Measurement]) -> str:
    return f"{len({each.source for each in measured})} sources, {len({each.accelerator for each in measured})} accelerators"


if __name__ == "__main__":
    sys.exit(main())
