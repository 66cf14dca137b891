"""Published measurements: what ran, and how fast it was. Facts only; each names its source.

A line of `calibration/measurements_{training,inference}.jsonl` is an object with `id`, `source`, `path` (the page or file of the source),
`model`, `software` (framework or engine as published), `rate` (tokens per second and accelerator: trained, or output), `spec` (of a
ModelWorkload; what the source does not say is left out) and, where published, `core` (a balanced subset), `secondsPerOutputToken` and
`secondsToFirstToken`.
"""

import json
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mfu.api.resolve import resolve
from mfu.estimate.workload import Inference, Workload

__all__ = ["DIRECTORY", "Measurement", "inputs", "published", "read"]

DIRECTORY = Path(__file__).parent / "calibration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A measured rate in tokens per second and accelerator, and the workload that reached it."""

    identifier: str
    source: str
    model: str
    software: str
    rate: float
    workload: Workload
    core: bool
    seconds_per_output_token: float | None

    @property
    def accelerator(self) -> str:
        return self.workload.fabric.accelerator.name

    @property
    def precision(self) -> str:
        return self.workload.precisions.compute.value

    @property
    def stack(self) -> str:
        """Framework or engine, as the API names it."""
        job = self.workload.job
        return job.engine.value if isinstance(job, Inference) else job.framework.value


def inputs(workload: Workload) -> Hashable:
    """Equal for workloads that the estimator cannot tell apart."""
    fabric = workload.fabric
    place = (fabric.accelerator.name, fabric.count, fabric.per_node, fabric.link_domain, fabric.network_bytes_per_second)
    return (workload.architecture, workload.adapter, workload.precisions, place, workload.job)


def published(what: str) -> list[Measurement]:
    """The committed measurements of `training` or `inference`."""
    return read(DIRECTORY / f"measurements_{what}.jsonl")


def read(path: Path) -> list[Measurement]:
    """Measurements in file order. Raises ValueError or MfuError with the line that is wrong."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            found.append(_measurement(json.loads(line)))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: line {number}: needs id, source, model, software, rate and spec ({error})") from error
    if not found:
        raise ValueError(f"{path}: no measurements")
    return found


def _measurement(row: dict[str, Any]) -> Measurement:
    body = {
        "apiVersion": "mfu.dev/v1alpha1",
        "kind": "ModelWorkload",
        "metadata": {"name": str(row["id"]).lower().replace("_", "-")[:63].rstrip("-."), "namespace": "measured"},
        "spec": row["spec"],
    }
    return Measurement(
        identifier=row["id"],
        source=row["source"],
        model=row["model"],
        software=row["software"],
        rate=float(row["rate"]),
        workload=resolve(body),
        core=bool(row.get("core", False)),
        seconds_per_output_token=row.get("secondsPerOutputToken"),
    )
