"""What all wire models share: camelCase names, no unknown fields, and the scalar types with their bounds and messages.

A constraint is stated once here and works in two places: pydantic enforces it for the CLI and the webhook, and the JSON schema carries
the same rule with the same message into the CRD, so that the API server refuses with the words that the CLI uses.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

__all__ = [
    "AcceleratorName",
    "Count",
    "Degree",
    "Duration",
    "Flag",
    "LabelKey",
    "LabelValue",
    "MetricName",
    "Money",
    "Name",
    "Percent",
    "Ratio",
    "Text",
    "Version",
    "Wire",
    "Worded",
    "amount",
    "cel",
]


class Wire(BaseModel):
    """A part of a custom resource. The docstring of a subclass is the description of the object in the CRD."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, validate_by_alias=True, validate_by_name=False)


def cel(rule: str, message: str) -> JsonDict:
    """One `x-kubernetes-validations` entry."""
    return {"rule": rule, "message": message}


@dataclass(frozen=True, slots=True)
class Worded:
    """Marks a string that must match `pattern` entirely; a mismatch is answered with `message` instead of with the pattern."""

    pattern: str
    message: str
    longest: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        compiled = re.compile(self.pattern)

        def check(value: str) -> str:
            if len(value) > self.longest or not compiled.fullmatch(value):
                raise ValueError(self.message)
            return value

        return no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        literal = f"^(?:{self.pattern})$".replace("\\", "\\\\")
        rule = cel(f"self.matches('{literal}')", self.message)
        return {**handler(schema), "maxLength": self.longest, "x-kubernetes-validations": [rule]}


def amount(units: str, example: str) -> Worded:
    """A positive amount with a unit, like "3.35 TB/s"; `units` is a pattern of the units that are understood."""
    return Worded(rf"[0-9]{{1,9}}(\.[0-9]{{1,6}})? ?({units})", f'must be an amount with its unit, like "{example}"', 32)


Count = Annotated[int, Strict(), Field(ge=1, le=100_000_000)]
Degree = Annotated[int, Strict(), Field(ge=1, le=4096)]
Flag = Annotated[bool, Strict()]
Ratio = Annotated[float, Strict(), Field(ge=0.0, le=1.0)]
Text = Annotated[str, Strict(), Field(max_length=1024)]
Version = Annotated[str, Strict(), Field(min_length=1, max_length=32)]

Name = Annotated[
    str, Strict(), Worded(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", "must be a Kubernetes name: lower-case letters, digits, '-' and '.'", 253)
]
AcceleratorName = Annotated[
    str,
    Strict(),
    Worded(
        r"[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(/[a-z0-9.+]+)?",
        "must be the name of an AcceleratorClass, like h100-sxm-80gb, or of a partition of one, like h100-sxm-80gb/1g.10gb",
        96,
    ),
]
Percent = Annotated[
    str, Strict(), Worded(r"(100(\.0{1,3})?|[0-9]{1,2}(\.[0-9]{1,3})?)%", 'must be a percentage from 0% to 100%, like "35%"', 8)
]
Money = Annotated[str, Strict(), Worded(r"\$[0-9]{1,9}(\.[0-9]{1,6})?", 'must be an amount in dollars, like "$1.20"', 18)]
Duration = Annotated[str, Strict(), Worded(r"([0-9]{1,6}(ms|s|m|h|d)){1,4}", 'must be a duration, like "15m" or "1h30m"', 32)]
MetricName = Annotated[
    str, Strict(), Worded(r"[a-zA-Z_:][a-zA-Z0-9_:]*", "must be the bare name of a Prometheus metric (no labels, no PromQL)", 128)
]
LabelKey = Annotated[
    str,
    Strict(),
    Worded(
        r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?",
        "must be a label key, like team or example.com/team",
        317,
    ),
]
LabelValue = Annotated[
    str,
    Strict(),
    Worded(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?", "must be a label value: at most 63 letters, digits, '-', '_' and '.'", 63),
]
