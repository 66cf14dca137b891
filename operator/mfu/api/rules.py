"""CEL rules over several fields of a ModelWorkload: what the API server itself can refuse.

The same rules, and those that need the model's architecture, are in `validate`; with these, a cluster without the webhook refuses too.
The messages carry no figures: the server reckons a number turned into text as a text without bound, over its cost limit.
"""

from pydantic import JsonValue

from mfu.api.wire import cel

__all__ = ["NAME_RULE", "SPEC_RULES"]

_TRAINING = "self.training.?parallelism"
_INFERENCE = "self.inference.?parallelism"
_COUNT = "self.accelerators.count"


def _product(base: str, *degrees: str) -> str:
    return " * ".join(f"{base}.?{degree}.orValue(1)" for degree in degrees)


def _all_of(*conditions: str) -> str:
    return " && ".join(conditions)


def _when(condition: str, rule: str) -> str:
    return f"!({condition}) || {rule}"


_HAS_COUNT = "has(self.accelerators.count)"
_ALL = _product(_TRAINING, "tensor", "pipeline", "data", "context")
_FIXED = _product(_TRAINING, "tensor", "pipeline", "context")
_MESH = _product(_TRAINING, "tensor", "data", "context")
_EXPERTS = f"({_product(_TRAINING, 'expert', 'expertTensor')})"
_STAGE = f"{_COUNT} / {_TRAINING}.?pipeline.orValue(1)"  # accelerators of one stage: the mesh where data is derived
_SERVING_FIXED = _product(_INFERENCE, "tensor", "pipeline")
_SERVING_DATA = f"({_INFERENCE}.?data.orValue(1) == 0 ? 1 : {_INFERENCE}.?data.orValue(1))"
_SERVING_EXPERT = f"({_INFERENCE}.?expert.orValue(1) == 0 ? 1 : {_INFERENCE}.?expert.orValue(1))"
_SERVING_MESH = f"{_INFERENCE}.?tensor.orValue(1) * {_SERVING_DATA}"
_SERVING_STAGE = f"{_COUNT} / {_INFERENCE}.?pipeline.orValue(1)"
_HAS_DATA = f"{_TRAINING}.?data.hasValue()"
_SERVES_DATA = f"{_INFERENCE}.?data.hasValue()"

SPEC_RULES: list[JsonValue] = [
    cel("has(self.training) != has(self.inference)", "give exactly one of training, inference"),
    cel(
        _when(_all_of("has(self.training)", _HAS_COUNT, _HAS_DATA), f"{_ALL} == {_COUNT}"),
        "training.parallelism: tensor × pipeline × data × context must be accelerators.count",
    ),
    cel(
        _when(_all_of("has(self.training)", _HAS_COUNT, f"!{_HAS_DATA}"), f"{_COUNT} % ({_FIXED}) == 0"),
        "accelerators.count must be a multiple of tensor × pipeline × context",
    ),
    cel(
        _when(_all_of("has(self.training)", f"!{_HAS_COUNT}"), _HAS_DATA),
        "give accelerators.count (or training.parallelism.data, from which it follows)",
    ),
    cel(
        _when(_all_of("has(self.training)", f"({_HAS_DATA} || {_HAS_COUNT})"), f"({_HAS_DATA} ? {_MESH} : {_STAGE}) % {_EXPERTS} == 0"),
        "training.parallelism: expert × expertTensor must divide tensor × data × context",
    ),
    cel(
        _when(_all_of("has(self.inference)", _HAS_COUNT, _SERVES_DATA), f"{_SERVING_FIXED} * {_SERVING_DATA} == {_COUNT}"),
        "inference.parallelism: tensor × pipeline × data must be accelerators.count",
    ),
    cel(
        _when(_all_of("has(self.inference)", _HAS_COUNT, f"!{_SERVES_DATA}"), f"{_COUNT} % ({_SERVING_FIXED}) == 0"),
        "accelerators.count must be a multiple of tensor × pipeline",
    ),
    cel(
        _when(
            "has(self.inference)",
            f"({_SERVES_DATA} || !{_HAS_COUNT} ? {_SERVING_MESH} : {_SERVING_STAGE}) % {_SERVING_EXPERT} == 0",
        ),
        "inference.parallelism: expert must divide tensor × data",
    ),
]

NAME_RULE = cel(
    "self.metadata.name.size() <= 63",
    "metadata.name is also the value of the pod label mfu.dev/workload and may have at most 63 characters",
)
