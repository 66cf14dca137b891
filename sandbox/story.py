"""What really happens to the simulated workloads: a physical story, kept apart from everything the operator computes.

A story file states each workload's true efficiency and what befalls it; the functions here turn that into the rates and device
figures that exporters would show, given how long the pods have run and on which nodes they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Crossing", "DeviceLoad", "Happening", "Serving", "ServingRates", "Tale", "Training", "TrainingRates", "read_story"]

TENSOR_ACTIVE_OVER_FLOPS = 1.10
"""Tensor-pipe activity over executed FLOPs against the peak at the actual clock: measured 1.10 on 32 H200 (Kempner 7B, FSDP)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    model_flops_per_token: float
    peak_flops_per_second: float
    mfu_ratio: float
    hardware_over_model: float
    tokens_per_step: float
    data_wait_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """One replica (pod) of an inference engine in its steady state."""

    model: str
    running: float
    waiting: float
    step_seconds: float
    prompt_tokens: float
    generation_tokens: float
    cache_usage_ratio: float
    flops_per_token: float
    peak_flops_per_second: float
    memory_active_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """Pods on nodes with different values of `label` run at `factor` of their speed."""

    label: str
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """From `after_seconds` of running on, the workload runs at `slowdown` of its speed and waits for data as stated."""

    after_seconds: float
    slowdown: float
    data_wait_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRates:
    """Of the whole gang."""

    tokens_per_second: float
    steps_per_second: float
    data_wait_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingRates:
    """Of one replica."""

    prompt_tokens_per_second: float
    generation_tokens_per_second: float
    requests_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLoad:
    """What one device of a running workload shows."""

    tensor_active_ratio: float
    memory_active_ratio: float
    busy_ratio: float
    load_ratio: float  # of its power range


@dataclass(frozen=True, slots=True, kw_only=True)
class Tale:
    """The truth about one workload: exactly one of `training` and `serving`."""

    training: Training | None = None
    serving: Serving | None = None
    crossing: Crossing | None = None
    happenings: tuple[Happening, ...] = ()

    def speed_ratio(self, elapsed_seconds: float, node_labels: list[Mapping[str, str]]) -> float:
        """Speed against the undisturbed one."""
        speed = 1.0
        if self.crossing and len({labels.get(self.crossing.label) for labels in node_labels}) > 1:
            speed *= self.crossing.factor
        if happening := self._happening(elapsed_seconds):
            speed *= happening.slowdown
        return speed

    def training_rates(self, devices: int, elapsed_seconds: float, node_labels: list[Mapping[str, str]]) -> TrainingRates:
        truth = self.training
        assert truth is not None
        speed = self.speed_ratio(elapsed_seconds, node_labels)
        tokens = speed * truth.mfu_ratio * truth.peak_flops_per_second / truth.model_flops_per_token * devices
        happening = self._happening(elapsed_seconds)
        return TrainingRates(
            tokens_per_second=tokens,
            steps_per_second=tokens / truth.tokens_per_step,
            data_wait_ratio=happening.data_wait_ratio if happening else truth.data_wait_ratio,
        )

    def serving_rates(self) -> ServingRates:
        truth = self.serving
        assert truth is not None
        generated = truth.running / truth.step_seconds
        requests = generated / truth.generation_tokens
        return ServingRates(
            prompt_tokens_per_second=requests * truth.prompt_tokens,
            generation_tokens_per_second=generated,
            requests_per_second=requests,
        )

    def device_load(self, elapsed_seconds: float, node_labels: list[Mapping[str, str]], clock_ratio: float) -> DeviceLoad:
        if self.training is not None:
            executed = self.speed_ratio(elapsed_seconds, node_labels) * self.training.mfu_ratio * self.training.hardware_over_model
            # A starved device is still "busy" now and then; one that waits for a collective spins in it and looks fully busy.
            happening = self._happening(elapsed_seconds)
            busy = 1.0 - (happening.data_wait_ratio if happening else 0.0)
            memory = 0.45 * executed / max(self.training.mfu_ratio, 1e-9)
        else:
            assert self.serving is not None
            rates = self.serving_rates()
            tokens = rates.prompt_tokens_per_second + rates.generation_tokens_per_second
            executed = tokens * self.serving.flops_per_token / self.serving.peak_flops_per_second
            busy, memory = 0.97, self.serving.memory_active_ratio
        return DeviceLoad(
            tensor_active_ratio=min(1.0, TENSOR_ACTIVE_OVER_FLOPS * executed / clock_ratio),
            memory_active_ratio=min(1.0, memory),
            busy_ratio=busy,
            load_ratio=min(1.0, 0.35 + executed + 0.3 * memory),
        )

    def _happening(self, elapsed_seconds: float) -> Happening | None:
        begun = [happening for happening in self.happenings if elapsed_seconds >= happening.after_seconds]
        return max(begun, key=lambda happening: happening.after_seconds, default=None)


def read_story(path: Path) -> dict[tuple[str, str], Tale]:
    """The tales of a story file by (namespace, workload)."""
    document = yaml.safe_load(path.read_text())
    return {_key(name): _tale(entry) for name, entry in document["workloads"].items()}


def _key(name: str) -> tuple[str, str]:
    namespace, _, workload = name.partition("/")
    return namespace, workload


def _tale(entry: Mapping[str, Any]) -> Tale:
    training = entry.get("training")
    serving = entry.get("serving")
    crossing = entry.get("crossing")
    return Tale(
        training=Training(
            model_flops_per_token=float(training["modelFlopsPerToken"]),
            peak_flops_per_second=float(training["peakFlops"]),
            mfu_ratio=float(training["mfu"]),
            hardware_over_model=float(training["hardwareOverModel"]),
            tokens_per_step=float(training["tokensPerStep"]),
            data_wait_ratio=float(training["dataWait"]),
        )
        if training
        else None,
        serving=Serving(
            model=str(serving["model"]),
            running=float(serving["running"]),
            waiting=float(serving["waiting"]),
            step_seconds=float(serving["stepSeconds"]),
            prompt_tokens=float(serving["promptTokens"]),
            generation_tokens=float(serving["generationTokens"]),
            cache_usage_ratio=float(serving["cacheUsage"]),
            flops_per_token=float(serving["flopsPerToken"]),
            peak_flops_per_second=float(serving["peakFlops"]),
            memory_active_ratio=float(serving["memoryActive"]),
        )
        if serving
        else None,
        crossing=Crossing(label=str(crossing["label"]), factor=float(crossing["factor"])) if crossing else None,
        happenings=tuple(
            Happening(
                after_seconds=float(happening["afterSeconds"]),
                slowdown=float(happening["slowdown"]),
                data_wait_ratio=float(happening["dataWait"]),
            )
            for happening in entry.get("events", ())
        ),
    )
