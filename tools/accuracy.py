"""Write docs/accuracy.md and its plots: errors of the shipped coefficients, and of fits that had not seen what they are scored on.

    python -m tools.accuracy [--output docs]

A few minutes: it fits without every source, accelerator and deployment in turn.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from math import exp
from pathlib import Path

from mfu.estimate.coefficients import default_calibration, keyed
from mfu.estimate.estimator import estimate
from mfu.estimate.interval import inference_kind, training_kind
from mfu.estimate.profile import profile_of
from mfu.estimate.recipe import settle
from mfu.estimate.result import Estimate, ServingRates
from mfu.estimate.workload import Training, Workload
from tools.accuracy_page import Scored, page
from tools.calibrate import held_out_groups
from tools.ladders import ladders
from tools.measurements import Measurement, published
from tools.model_fit import ModelFit
from tools.scatter import scatter

__all__ = ["main", "scored"]

_WAYS = {"training": ("tenth", "source", "accelerator"), "inference": ("tenth", "deployment", "accelerator")}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; 0 when the page is written."""
    parser = argparse.ArgumentParser(prog="accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "docs", help="folder of accuracy.md and accuracy/")
    args = parser.parse_args(argv)
    found = {what: scored(what, published(what), ways) for what, ways in _WAYS.items()}
    plots = args.output / "accuracy"
    plots.mkdir(parents=True, exist_ok=True)
    for what, result in found.items():
        (plots / f"{what}.svg").write_text(_plot(what, result), encoding="utf-8")
    (args.output / "accuracy.md").write_text(page(found["training"], found["inference"]), encoding="utf-8")
    print(f"wrote {args.output / 'accuracy.md'}")
    return 0


def scored(what: str, measured: Sequence[Measurement], ways: Sequence[str]) -> Scored:
    """Everything the page says about one kind of job; `ways`: what is held out in turn."""
    model = ModelFit(what, measured)
    results = [_estimated(each.workload) for each in measured]
    unseen: dict[str, tuple[float, ...]] = {}
    for way in ways:
        residuals = [0.0] * len(measured)
        for fold in model.held_out(held_out_groups(way, measured)):
            for index, residual in zip(fold.indices, fold.residuals, strict=True):
                residuals[index] = residual
        unseen[way] = tuple(residuals)
        print(f"{what}: held out by {way}", flush=True)
    in_sample = tuple(model.residuals(model.shipped))
    predicted = tuple(each.rate / exp(residual) for each, residual in zip(measured, in_sample, strict=True))
    widths = default_calibration().widths.half_widths
    return Scored(
        measured=tuple(measured),
        predicted=predicted,
        in_sample=in_sample,
        held_out=unseen,
        half_widths=tuple(keyed(widths, _kind(each.workload)) for each in measured),
        kinds=tuple(_kind(each.workload) for each in measured),
        output_token_seconds=tuple(
            result.rates.time_per_output_token_seconds if isinstance(result.rates, ServingRates) else 0.0 for result in results
        ),
        ladders=tuple(ladders(measured, predicted)),
    )


def _estimated(workload: Workload) -> Estimate:
    result = estimate(workload)
    if not isinstance(result, Estimate):
        raise SystemExit(f"accuracy: {workload.name}: {result.message}")
    return result


def _kind(workload: Workload) -> str:
    profile = profile_of(workload.architecture, workload.adapter)
    if isinstance(workload.job, Training):
        return training_kind(profile, settle(workload.job, profile, workload.precisions, workload.fabric).open_choices)
    return inference_kind(profile)


def _plot(what: str, result: Scored) -> str:
    groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for each, predicted in zip(result.measured, result.predicted, strict=True):
        groups[each.accelerator].append((each.rate, predicted))
    shown = dict(sorted(groups.items(), key=lambda item: -len(item[1])))
    few = list(shown)[9:]
    if few:
        shown["others"] = [pair for key in few for pair in shown.pop(key)]
    unit = "trained tokens/s and accelerator" if what == "training" else "output tokens/s and accelerator"
    return scatter(f"{what.capitalize()}: predicted against measured", unit, shown)


if __name__ == "__main__":
    sys.exit(main())
