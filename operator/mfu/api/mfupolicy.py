"""MFUPolicy, the rules of a provider: which workloads it is about, what they must reach, and how far the operator may go."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, Strict, model_validator

from mfu.api.conditions import Condition
from mfu.api.wire import AcceleratorName, Duration, Flag, LabelKey, LabelValue, Money, Percent, Text, Wire, cel
from mfu.judge.policy import Mode, OnUnknown, WorkKind

__all__ = [
    "DriftSpec",
    "FloorSpec",
    "HoldSpec",
    "LabelSelector",
    "MFUPolicySpec",
    "MFUPolicyStatus",
    "MemorySpec",
    "Requirement",
    "WouldHaveBlocked",
]


class Requirement(Wire):
    """One requirement on a label."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                    "In and NotIn need values; Exists and DoesNotExist take none",
                )
            ]
        }
    )

    key: LabelKey = Field(description="Label key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="In, NotIn, Exists or DoesNotExist.")
    values: Annotated[list[LabelValue], Field(max_length=64)] | None = Field(default=None, description="Label values, for In and NotIn.")

    @model_validator(mode="after")
    def _values_where_needed(self) -> Self:
        if (self.operator in ("In", "NotIn")) != bool(self.values):
            raise ValueError("In and NotIn need values; Exists and DoesNotExist take none")
        return self


class LabelSelector(Wire):
    """A Kubernetes label selector; all of it must hold. An empty one selects everything."""

    match_labels: Annotated[dict[str, LabelValue], Field(max_length=32)] | None = Field(
        default=None, description="Labels that must have exactly these values."
    )
    match_expressions: Annotated[list[Requirement], Field(max_length=32)] | None = Field(
        default=None, description="Requirements on labels; all must hold."
    )


class FloorSpec(Wire):
    """A least efficiency that is expected of some kinds of work on some accelerator classes."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel("has(self.expectedMfu) || has(self.rooflineFraction)", "give expectedMfu, rooflineFraction or both")
            ]
        }
    )

    modes: Annotated[list[WorkKind], Field(max_length=4)] | None = Field(
        default=None, description="Kinds of work that the floor is for; all when omitted."
    )
    accelerator_classes: Annotated[list[AcceleratorName], Field(max_length=64)] | None = Field(
        default=None, description="Accelerator classes that the floor is for; all when omitted."
    )
    expected_mfu: Percent | None = Field(default=None, description='Least expected MFU, like "35%".')
    roofline_fraction: Percent | None = Field(
        default=None, description="Least share of what arithmetic and memory bandwidth allow: the floor that suits decoding."
    )

    @model_validator(mode="after")
    def _has_a_floor(self) -> Self:
        if self.expected_mfu is None and self.roofline_fraction is None:
            raise ValueError("give expectedMfu, rooflineFraction or both")
        return self


class MemorySpec(Wire):
    """Whether a workload must fit in the memory of its accelerators."""

    must_fit: Flag | None = Field(default=None, description="Object to workloads that need more memory than there is; true when omitted.")
    margin: Percent | None = Field(default=None, description='Share of the memory that must stay free, like "5%"; 0% when omitted.')


class HoldSpec(Wire):
    """How long a workload may be held."""

    max_seconds: Annotated[int, Strict(), Field(ge=0, le=604_800)] | None = Field(
        default=None, description="Seconds after which a held workload is released whatever the verdict; 3600 when omitted."
    )


class DriftSpec(Wire):
    """When an observed efficiency below the expected one is called drift."""

    tolerance: Percent | None = Field(default=None, description='How far below the expected MFU is still fine, like "10%".')
    for_: Duration | None = Field(default=None, alias="for", description='How long the deviation must last, like "15m".')
    recover_for: Duration | None = Field(default=None, description='How long the workload must be fine again before drift ends, like "5m".')


class MFUPolicySpec(Wire):
    """Which workloads the policy is about, what they must reach, and what happens when they do not."""

    mode: Mode | None = Field(
        default=None, description="Observe (default): only count what would have been blocked. Warn: also warn. Gate: hold or refuse."
    )
    precedence: Annotated[int, Strict(), Field(ge=-1_000_000, le=1_000_000)] | None = Field(
        default=None, description="Of several matching policies the one with the higher precedence is asked first; 0 when omitted."
    )
    namespace_selector: LabelSelector | None = Field(default=None, description="Namespaces by their labels; all when omitted.")
    workload_selector: LabelSelector | None = Field(default=None, description="ModelWorkloads by their labels; all when omitted.")
    exemptions: LabelSelector | None = Field(default=None, description="ModelWorkloads that this policy never holds, by their labels.")
    floors: Annotated[list[FloorSpec], Field(max_length=32)] | None = Field(default=None, description="Least expected efficiencies.")
    max_cost_per_million_tokens: Money | None = Field(default=None, description='Most that a million tokens may cost, like "$1.20".')
    memory: MemorySpec | None = Field(default=None, description="Memory fit.")
    require_nvlink_domain: Flag | None = Field(
        default=None, description="Object to tensor or expert parallelism that is wider than one NVLink domain; false when omitted."
    )
    require_supported_precision: Flag | None = Field(
        default=None, description="Object to a precision that the accelerator has no matrix units for; true when omitted."
    )
    on_unknown: OnUnknown | None = Field(
        default=None, description="Allow (default) or Hold workloads whose expected MFU is not known (an unknown GPU or model)."
    )
    hold: HoldSpec | None = Field(default=None, description="How long a workload may be held.")
    drift: DriftSpec | None = Field(default=None, description="When an observed efficiency below the expected one is called drift.")


class WouldHaveBlocked(Wire):
    """What this policy would block if its mode were Gate: counted now, over the workloads that exist."""

    count: Annotated[int, Strict(), Field(ge=0)] = Field(description="Workloads.")
    accelerators: Annotated[int, Strict(), Field(ge=0)] | None = Field(default=None, description="Accelerators that they span.")
    accelerator_hours: Annotated[int, Strict(), Field(ge=0)] | None = Field(default=None, description="Accelerator hours that they used.")
    dollars_per_hour: Text | None = Field(default=None, description="What they cost an hour.")
    last_names: Annotated[list[Text], Field(max_length=10)] | None = Field(default=None, description="Up to ten of them, namespace/name.")


class MFUPolicyStatus(Wire):
    """What the policy does."""

    observed_generation: Annotated[int, Strict(), Field(ge=0)] | None = Field(
        default=None, description="Generation of the spec that this status is about."
    )
    matched_workloads: Annotated[int, Strict(), Field(ge=0)] | None = Field(default=None, description="Workloads that the policy selects.")
    would_have_blocked: WouldHaveBlocked | None = Field(default=None, description="What the policy would block if its mode were Gate.")
    conditions: Annotated[list[Condition], Field(max_length=8)] | None = Field(
        default=None,
        description="Accepted.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
