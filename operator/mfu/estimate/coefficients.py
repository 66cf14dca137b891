"""The calibrated numbers of the estimator: few, named, bounded, and keyed by accelerator architecture, precision, framework, engine or
kernel kind.

They live in `data/coefficients/*.json`, where each has its meaning, its bounds and where it comes from. A keyed coefficient is looked up
by the exact key and falls back to `other`. Nothing here is keyed by a model or by the source of a measurement.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TypeVar

from mfu.errors import DataError

__all__ = ["Calibration", "InferenceCoefficients", "TrainingCoefficients", "Widths", "default_calibration", "keyed", "load"]

Keyed = Mapping[str, float]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCoefficients:
    """Meanings, bounds and provenance are in `data/coefficients/training.json`, field by field."""

    sustained_ratio: Keyed  # by accelerator architecture
    power_exponent: float
    precision_ratio: Keyed  # by precision
    gemm_memory_factor: float
    gemm_saturation: float
    cast_factor: float
    grouped_gemm_ratio: float
    flash_ratio: Keyed  # by accelerator architecture
    flash_kernel_ratio: Keyed  # by attention kernel
    flash_backward_ratio: float
    unfused_traffic_factor: float
    elementwise_factor: float
    memory_bandwidth_ratio: float
    optimizer_bytes_per_parameter: float
    optimizer_fixed_seconds: float
    kernel_launch_seconds: float
    expert_layer_host_seconds: float
    expert_host_seconds: float
    host_release_ratio: Keyed  # by release era
    link_ratio: float
    link_latency_seconds: float
    network_ratio: float
    tensor_exposed_ratio: Keyed  # by framework
    hidden_cost_ratio: float
    expert_exposed_ratio: Keyed  # by release era
    context_exposed_ratio: float
    transfer_exposed_ratio: float
    imbalance_factor: float
    framework_ratio: Keyed  # by framework
    straggler_per_doubling: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceCoefficients:
    """Meanings, bounds and provenance are in `data/coefficients/inference.json`, field by field."""

    sustained_ratio: Keyed  # by accelerator architecture
    precision_ratio: Keyed  # by precision
    block_scaled_ratio: Keyed  # by kernel kind
    memory_bandwidth_ratio: float
    cache_bandwidth_ratio: Keyed  # by attention kind
    saturation: float
    prefill_attention_ratio: float
    grouped_gemm_ratio: float
    elementwise_factor: float
    permute_factor: float
    link_ratio: Keyed  # by link kind
    link_latency_seconds: Keyed  # by link kind
    dispatch_link_ratio: float
    attention_data_factor: float
    layer_seconds: Keyed  # by layer kind
    host_step_seconds: Keyed  # by engine
    host_sequence_seconds: Keyed  # by engine
    eager_layer_seconds: Keyed  # by engine
    prefill_step_seconds: float
    cache_memory_ratio: Keyed  # by engine
    reserve_bytes: float
    first_token_queue_ratio: Keyed  # by engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """Half-widths of the 80 % interval as natural logarithms of the factor on throughput, by the kind of workload."""

    half_widths: Keyed


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    training: TrainingCoefficients
    inference: InferenceCoefficients
    widths: Widths


def keyed(values: Keyed, *keys: str) -> float:
    """The value of the first key that is known, else of `other`."""
    for key in keys:
        if key in values:
            return values[key]
    return values["other"]


@cache
def default_calibration() -> Calibration:
    """The calibration shipped with the package. Raises `DataError` where a file is malformed."""
    return Calibration(
        training=load(TrainingCoefficients, "training.json"),
        inference=load(InferenceCoefficients, "inference.json"),
        widths=load(Widths, "widths.json"),
    )


def load(kind: type[T], file_name: str) -> T:
    """Read a coefficient file into `kind`; every field must be there, and nothing else."""
    text = (files("mfu") / "data" / "coefficients" / file_name).read_text(encoding="utf-8")
    entries: dict[str, dict[str, object]] = json.loads(text)["coefficients"]
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # every kind is one of the dataclasses above
    if names != entries.keys():
        raise DataError(
            f"data/coefficients/{file_name}: missing {sorted(names - entries.keys())}, unknown {sorted(entries.keys() - names)}"
        )
    return kind(**{name: _value(file_name, name, entry) for name, entry in entries.items()})


def _value(file_name: str, name: str, entry: dict[str, object]) -> float | Keyed:
    match entry.get("value"):
        case int() | float() as number:
            return float(number)
        case dict() as table if "other" in table:
            return MappingProxyType({str(key): float(value) for key, value in table.items()})
        case _:
            raise DataError(f"data/coefficients/{file_name}: {name}.value must be a number or a table with the key 'other'")
