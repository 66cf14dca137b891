"""FleetReport, the roll-up over all accelerators that the operator writes: one object named `fleet`."""

from typing import Annotated

from pydantic import ConfigDict, Field, Strict

from mfu.api.conditions import Condition
from mfu.api.wire import Text, Wire

__all__ = [
    "FleetAccelerators",
    "FleetCause",
    "FleetFinding",
    "FleetGroup",
    "FleetLoss",
    "FleetMfu",
    "FleetReportSpec",
    "FleetReportStatus",
    "FleetUnknown",
]

_Number = Annotated[int, Strict(), Field(ge=0)]


class FleetReportSpec(Wire):
    """Nothing is declared: the operator writes the report."""

    model_config = ConfigDict(json_schema_extra={"maxProperties": 0})


class FleetAccelerators(Wire):
    """Accelerators by what is known of them."""

    total: _Number | None = Field(default=None, description="Accelerators of all nodes.")
    allocated: _Number | None = Field(default=None, description="Of these, held by pods.")
    declared: _Number | None = Field(default=None, description="Of these, held by pods of a ModelWorkload.")
    productive: _Number | None = Field(
        default=None, description="Accelerators at their expected MFU that would do what the declared ones are observed to do."
    )


class FleetMfu(Wire):
    """Means over accelerators, as percentages."""

    expected: Text | None = Field(default=None, description="Expected MFU.")
    observed: Text | None = Field(default=None, description="Observed MFU.")
    hardware: Text | None = Field(default=None, description="What the hardware counters say, recomputed and wasted work included.")


class FleetGroup(Wire):
    """The accelerators of one class, tenant or model family together; the last line of a full list is `others`."""

    name: Text = Field(description="Accelerator class, namespace or model family.")
    accelerators: _Number = Field(description="Its accelerators: all of a class, those a tenant holds, those declared for a model family.")
    allocated: _Number | None = Field(default=None, description="Of these, held by pods.")
    utilisation: Text | None = Field(default=None, description="Share of the time in which the allocated ones are busy.")
    hardware: Text | None = Field(default=None, description="What the hardware counters say.")
    expected: Text | None = Field(default=None, description="Expected MFU.")
    observed: Text | None = Field(default=None, description="Observed MFU.")
    unknown: Text | None = Field(default=None, description="Share of the declared ones without an observed MFU.")
    cost_per_hour: Text | None = Field(default=None, description="What the declared accelerators cost an hour.")
    gap_per_hour: Text | None = Field(default=None, description="What the difference between expected and observed costs an hour.")


class FleetLoss(Wire):
    """A workload that loses much."""

    namespace: Text = Field(description="Namespace.")
    name: Text = Field(description="ModelWorkload.")
    expected: Text | None = Field(default=None, description="Expected MFU.")
    observed: Text | None = Field(default=None, description="Observed MFU.")
    gap_per_hour: Text | None = Field(default=None, description="What the difference costs an hour.")
    cause: Text | None = Field(default=None, description="Main cause.")


class FleetCause(Wire):
    """A part of the gap."""

    cause: Text = Field(description="Stable token, as in the diagnosis of a ModelWorkload.")
    per_hour: Text = Field(description="What it costs an hour; the causes add up to the gap.")


class FleetFinding(Wire):
    """Something that is wrong with many workloads or devices at once."""

    kind: Text = Field(description="Stable token.")
    subject: Text = Field(description="Tenant, node, class or change that it is about.")
    evidence: Text | None = Field(default=None, description="Figures that speak for it.")
    remedy: Text | None = Field(default=None, description="What would help.")
    workloads: Annotated[list[Text], Field(max_length=10)] | None = Field(default=None, description="The first ten, as namespace/name.")
    accelerators: _Number | None = Field(default=None, description="Accelerators that it touches.")
    per_hour: Text | None = Field(default=None, description="What it costs an hour. Findings overlap: they do not add up.")


class FleetUnknown(Wire):
    """Accelerators of which nothing is known."""

    reason: Text = Field(description="Why.")
    accelerators: _Number = Field(description="Accelerators.")


class FleetReportStatus(Wire):
    """How productive the accelerators of the cluster are."""

    summary: Text | None = Field(default=None, description="One line for a person.")
    at: Annotated[str, Strict(), Field(max_length=32, json_schema_extra={"format": "date-time"})] | None = Field(
        default=None, description="When the report was made."
    )
    accelerators: FleetAccelerators | None = Field(default=None, description="Accelerators by what is known of them.")
    mfu: FleetMfu | None = Field(default=None, description="Mean MFU over accelerators.")
    utilisation: Text | None = Field(default=None, description="Share of the time in which the allocated accelerators are busy.")
    currency: Text | None = Field(default=None, description="ISO 4217 code of every amount, where it is not USD.")
    gap_per_hour: Text | None = Field(default=None, description="What the difference between expected and observed costs an hour.")
    cost_per_hour: Text | None = Field(default=None, description="What the declared accelerators cost an hour.")
    by_cause: Annotated[list[FleetCause], Field(max_length=20)] | None = Field(default=None, description="The gap, split by cause.")
    by_class: Annotated[list[FleetGroup], Field(max_length=10)] | None = Field(default=None, description="By accelerator class.")
    by_tenant: Annotated[list[FleetGroup], Field(max_length=10)] | None = Field(default=None, description="By namespace.")
    by_model: Annotated[list[FleetGroup], Field(max_length=10)] | None = Field(default=None, description="By model class.")
    by_node: Annotated[list[FleetGroup], Field(max_length=10)] | None = Field(default=None, description="By node, what loses most first.")
    worst: Annotated[list[FleetLoss], Field(max_length=10)] | None = Field(default=None, description="Workloads that lose most.")
    unknown: Annotated[list[FleetUnknown], Field(max_length=20)] | None = Field(
        default=None, description="Accelerators of which nothing is known, by reason."
    )
    findings: Annotated[list[FleetFinding], Field(max_length=10)] | None = Field(
        default=None, description="What is wrong with many at once, what costs most first."
    )
    observed_generation: _Number | None = Field(default=None, description="Generation of the spec that this status is about.")
    conditions: Annotated[list[Condition], Field(max_length=8)] | None = Field(
        default=None,
        description="Ready.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
