"""What a framework or engine release can do, read from its version."""

import re

from mfu.estimate.workload import Engine, Framework

__all__ = ["captures_expert_layers", "release_numbers", "runs_compiled_engine"]


def release_numbers(version: str | None) -> tuple[int, ...]:
    """Leading numbers of a version: "26.04.01" → (26, 4, 1); () where there is none."""
    found = re.match(r"[vr]?(\d+(?:\.\d+)*)", version or "")
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()


def captures_expert_layers(framework: Framework, version: str | None) -> bool:
    """Megatron-Bridge captures expert layers in CUDA graphs from 26.06 on."""
    return framework is Framework.MEGATRON_BRIDGE and release_numbers(version) >= (26, 6)


def runs_compiled_engine(engine: Engine, version: str | None) -> bool:
    """TensorRT-LLM before 1.0 runs a compiled TensorRT engine, later releases the PyTorch backend."""
    numbers = release_numbers(version)
    return engine is Engine.TENSORRT_LLM and bool(numbers) and numbers < (1,)
