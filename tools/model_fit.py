"""The estimator's free coefficients as a fit to measurements, and errors on measurements that a fit has not seen.

Only coefficients with a `prior` in the coefficient file are free; they stay inside its `bounds`. Sources with many training rows are
weighted down.
"""

import json
import statistics
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from math import exp, log, sqrt
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import mfu
from mfu.estimate.coefficients import Calibration, InferenceCoefficients, TrainingCoefficients, default_calibration
from mfu.estimate.estimator import estimate
from mfu.estimate.result import Estimate
from mfu.estimate.search import rate
from tools.measurements import Measurement
from tools.robust_fit import Parameter, fit, slopes

__all__ = ["SCALES", "Errors", "Fold", "ModelFit", "coefficient_path"]

SCALES = {"training": 0.08, "inference": 0.15}  # logarithms; where outliers begin
_ROWS_OF_FULL_WEIGHT = 40
_PRIOR_SCALES = {"training": 0.35, "inference": 0.29}  # logarithms; chosen by held-out errors
_SEPARATOR = "."
_CHORD_ITERATIONS = 8

_Part = TypeVar("_Part", TrainingCoefficients, InferenceCoefficients)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Symmetric errors: twice too fast and twice too slow are both 1."""

    count: int
    median: float
    mean: float
    p90: float

    @staticmethod
    def of(residuals: Sequence[float]) -> "Errors":
        """From logarithms of measured over predicted; not of an empty list."""
        found = sorted(exp(abs(r)) - 1 for r in residuals)
        return Errors(
            count=len(found), median=statistics.median(found), mean=statistics.mean(found), p90=found[int(0.9 * (len(found) - 1))]
        )

    def __str__(self) -> str:
        return f"median {self.median:6.1%}  mean {self.mean:6.1%}  p90 {self.p90:6.1%}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Measurements that were held out together, by index, with their residuals under the fit that had not seen them."""

    name: str
    indices: tuple[int, ...]
    residuals: tuple[float, ...]


class ModelFit:
    """The fit of one kind of job (`training` or `inference`) to `measured`."""

    def __init__(self, what: str, measured: Sequence[Measurement]) -> None:
        self.what = what
        self.measured = tuple(measured)
        self.document: dict[str, Any] = json.loads(coefficient_path(what).read_text(encoding="utf-8"))
        self.parameters = _parameters(self.document)
        self.shipped = [each.start for each in self.parameters]

    def residuals(self, values: Sequence[float], indices: Sequence[int] | None = None) -> list[float]:
        """Logarithms of measured over predicted rates; 0 where there is no estimate."""
        calibration = self._calibration(values)
        chosen = self.measured if indices is None else [self.measured[index] for index in indices]
        found = []
        for each in chosen:
            result = estimate(each.workload, calibration)
            found.append(log(each.rate / rate(result)) if isinstance(result, Estimate) else 0.0)
        return found

    def fitted(self, iterations: int, *, from_priors: bool = False) -> list[float]:
        """Coefficients fitted to all measurements, from the shipped ones (or the priors) on."""
        return self._fit(range(len(self.measured)), iterations, None, from_priors=from_priors)

    def held_out(self, group: Callable[[Measurement], Hashable]) -> list[Fold]:
        """For each group in turn: fit without it, score it."""
        columns = slopes(self.parameters, self.residuals, self.shipped)
        groups: dict[Hashable, list[int]] = {}
        for index, each in enumerate(self.measured):
            groups.setdefault(group(each), []).append(index)
        folds = []
        for name, indices in sorted(groups.items(), key=lambda item: str(item[0])):
            held = set(indices)
            kept = [index for index in range(len(self.measured)) if index not in held]
            values = self._fit(kept, _CHORD_ITERATIONS, [[column[index] for index in kept] for column in columns])
            label = " · ".join(map(str, name)) if isinstance(name, tuple) else str(name)
            folds.append(Fold(name=label, indices=tuple(indices), residuals=tuple(self.residuals(values, indices))))
        return folds

    def written(self, values: Sequence[float]) -> str:
        """The coefficient file with `values`, one field a line: a change of one coefficient is a change of one line."""
        for each, value in zip(self.parameters, values, strict=True):
            name, _, key = each.name.partition(_SEPARATOR)
            rounded = float(f"{value:.4g}")
            if key:
                self.document["coefficients"][name]["value"][key] = rounded
            else:
                self.document["coefficients"][name]["value"] = rounded
        entries = []
        for name, entry in self.document["coefficients"].items():
            lines = ",\n".join(f"   {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items())
            entries.append(f"  {json.dumps(name)}: {{\n{lines}\n  }}")
        heads = [
            f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)},\n"
            for key, value in self.document.items()
            if key != "coefficients"
        ]
        return "{\n" + "".join(heads) + ' "coefficients": {\n' + ",\n".join(entries) + "\n }\n}\n"

    def _fit(self, indices: Sequence[int], iterations: int, columns: list[list[float]] | None, *, from_priors: bool = False) -> list[float]:
        chosen = list(indices)
        parameters = [replace(each, start=each.prior) for each in self.parameters] if from_priors else self.parameters
        rows = Counter(self.measured[index].source for index in chosen)
        weights = [
            sqrt(min(1.0, _ROWS_OF_FULL_WEIGHT / rows[self.measured[index].source])) if self.what == "training" else 1.0 for index in chosen
        ]
        return fit(
            parameters,
            lambda values: self.residuals(values, chosen),
            weights,
            scale=SCALES[self.what],
            prior_scale=_PRIOR_SCALES[self.what],
            iterations=iterations,
            columns=columns,
        )

    def _calibration(self, values: Sequence[float]) -> Calibration:
        shipped = default_calibration()
        if self.what == "training":
            return replace(shipped, training=_changed(shipped.training, self.parameters, values))
        return replace(shipped, inference=_changed(shipped.inference, self.parameters, values))


def coefficient_path(what: str) -> Path:
    """The coefficient file of the package."""
    return Path(mfu.__file__).parent / "data" / "coefficients" / f"{what}.json"


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
