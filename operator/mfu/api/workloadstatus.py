"""The status of a ModelWorkload: what is expected, observed and decided, and what would be better, for a person to read."""

from typing import Annotated

from pydantic import Field, Strict

from mfu.api.conditions import Condition
from mfu.api.wire import Text, Wire
from mfu.judge.assessment import Cause

__all__ = [
    "AcceleratorsStatus",
    "BestStatus",
    "CauseStatus",
    "CostStatus",
    "DriftStatus",
    "ExpectedStatus",
    "HistoryStatus",
    "MemoryStatus",
    "ModelWorkloadStatus",
    "ObservedStatus",
    "PlacementStatus",
    "RecommendationStatus",
    "SetupStatus",
    "SinceChangeStatus",
    "VerdictStatus",
    "WeekStatus",
]

_Time = Annotated[str, Strict(), Field(max_length=32, json_schema_extra={"format": "date-time"})]
_Number = Annotated[int, Strict(), Field(ge=0)]
_Lines = Annotated[list[Text], Field(max_length=32)]


class VerdictStatus(Wire):
    """The admission verdict."""

    decision: Text = Field(description="Admitted, Warned, Held or Refused.")
    reason: Text = Field(description="Stable token that says why.")
    message: Text = Field(description="Expected value, limit, main cause and the smallest change that would pass.")
    policy: Text | None = Field(default=None, description="MFUPolicy that decided.")


class MemoryStatus(Wire):
    """Memory of one accelerator."""

    required: Text = Field(description="What the workload needs.")
    capacity: Text = Field(description="What there is.")
    fits: Annotated[bool, Strict()] = Field(description="Whether it fits.")
    parts: _Lines | None = Field(default=None, description="What needs how much.")
    remedy: Text | None = Field(default=None, description="The smallest change that would make it fit.")


class ExpectedStatus(Wire):
    """The expected efficiency of the declared intent."""

    mfu: Text = Field(description="Expected model FLOP utilisation, or unknown.")
    low: Text | None = Field(default=None, description="Lower end of the 80 % interval.")
    high: Text | None = Field(default=None, description="Upper end of the 80 % interval.")
    hfu: Text | None = Field(default=None, description="Hardware FLOP utilisation: recomputed work counted too.")
    full_attention: Text | None = Field(default=None, description="MFU with all attention pairs counted, the convention of the PaLM paper.")
    roofline: Text | None = Field(default=None, description="Share of what arithmetic and memory bandwidth allow.")
    bound_by: Text | None = Field(default=None, description="What limits it: Compute, Memory, Communication, Pipeline or Host.")
    flops_per_token: Text | None = Field(default=None, description="Model FLOPs of one token.")
    peak_per_accelerator: Text | None = Field(default=None, description="Dense peak at the compute precision.")
    memory: MemoryStatus | None = Field(default=None, description="Memory of one accelerator.")
    terms: _Lines | None = Field(default=None, description="Where the time goes.")
    assumptions: _Lines | None = Field(default=None, description="What was not declared and had to be assumed.")
    step_time: Text | None = Field(default=None, description="Training: time of one optimizer step.")
    tokens_per_second_per_accelerator: Text | None = Field(
        default=None, description="Training: trained tokens; inference: computed input and output."
    )
    output_tokens_per_second_per_accelerator: Text | None = Field(default=None, description="Inference: generated tokens.")
    time_to_first_token: Text | None = Field(default=None, description="Inference: from the request to its first token.")
    time_per_output_token: Text | None = Field(default=None, description="Inference: from one token to the next.")
    concurrency: _Number | None = Field(default=None, description="Inference: sequences in flight in one replica.")
    calibrated: Text | None = Field(
        default=None, description="The expectation with what stable workloads of this cluster have taught, its interval, and from how many."
    )
    message: Text | None = Field(default=None, description="Why nothing is expected, where nothing is.")


class ObservedStatus(Wire):
    """The observed efficiency."""

    mfu: Text = Field(description="Observed model FLOP utilisation, or unknown.")
    hardware: Text | None = Field(default=None, description="What the hardware counters say, recomputed and wasted work included.")
    source: Text | None = Field(default=None, description="Exporter that the tokens were read from.")
    tokens_per_second: Text | None = Field(default=None, description="Tokens of the whole workload.")
    accelerators: _Number | None = Field(default=None, description="Accelerators that the workload's pods hold.")
    faults: _Lines | None = Field(default=None, description="Figures that contradict each other.")
    at: _Time | None = Field(
        default=None, description="When this figure was first observed; a figure that stays the same is not written again."
    )
    message: Text | None = Field(default=None, description="Why nothing is observed, where nothing is.")


class DriftStatus(Wire):
    """How far the observed efficiency is from the expected one."""

    ratio: Text = Field(description="Observed over expected, less one; or unknown.")
    since: _Time | None = Field(default=None, description="When the deviation began.")
    baseline: Text | None = Field(default=None, description="What is compared with: Expected, ExpectedAtLoad or OwnLevel.")
    level: Text | None = Field(default=None, description="The workload's own best stable level at this load, where that is compared with.")
    change: Text | None = Field(default=None, description="What changed when the deviation began: image, driver, nodes, declared fields.")
    message: Text | None = Field(default=None, description="Why there is no comparison, where there is none.")


class BestStatus(Wire):
    """The best level that the workload has held for half a day."""

    mfu: Text = Field(description="That level at the declared load.")
    ratio: Text = Field(description="Against the expectation.")
    at: _Time | None = Field(default=None, description="When it was reached.")


class WeekStatus(Wire):
    """The last seven whole days."""

    mfu: Text = Field(description="Median of the days.")
    days: Annotated[list[Text], Field(max_length=7)] = Field(description="Median of each day, the latest last.")


class SinceChangeStatus(Wire):
    """The time since the image, the driver, the nodes or the declared intent last changed."""

    since: _Time = Field(description="When the workload was first observed after the change, or at all.")
    change: Text | None = Field(default=None, description="What changed.")
    mfu: Text | None = Field(default=None, description="The level since then, at the declared load.")


class SetupStatus(Wire):
    """What the workload runs with. A long list is its length and a digest."""

    image: Text | None = Field(default=None, description="Image of the containers that compute.")
    driver: Text | None = Field(default=None, description="Driver of the nodes.")
    nodes: Text | None = Field(default=None, description="Nodes of a training job.")
    spec: Text | None = Field(default=None, description="Digest of the declared intent.")
    accepted: Text | None = Field(default=None, description="The annotation mfu.dev/accept-level that was last seen.")


class HistoryStatus(Wire):
    """A few points of the past; the rest is in Prometheus."""

    best: BestStatus | None = Field(default=None, description="The best stable level, which drift is measured from.")
    last_week: WeekStatus | None = Field(default=None, description="The last seven days.")
    since_change: SinceChangeStatus | None = Field(default=None, description="Since the last change.")
    levels: Annotated[list[Text], Field(max_length=8)] | None = Field(
        default=None, description="The level against the expectation, by load."
    )
    setup: SetupStatus | None = Field(default=None, description="What it runs with.")
    level_spec: Text | None = Field(default=None, description="Digest of the intent that the best level belongs to, where that is another.")
    peers: Annotated[list[Text], Field(max_length=4)] | None = Field(
        default=None, description="What the same intent reaches on other accelerators, or on another number, in this namespace."
    )


class CauseStatus(Wire):
    """A cause of the gap."""

    cause: Text = Field(description=f"Stable token: {', '.join(Cause)}.")
    share: Text = Field(description="Its share of the gap.")
    evidence: Text = Field(description="Figures that speak for it.")


class RecommendationStatus(Wire):
    """A change that was tried in the estimator and is better."""

    change: Text = Field(description="Field, old and new value.")
    gain: Text | None = Field(default=None, description="Tokens per second after the change over those expected today.")
    expected: Text = Field(description="Expected MFU after the change, of the peak at the precision that is then used.")
    interval: Text | None = Field(default=None, description="The 80 % interval around it.")
    tokens_per_second: Text | None = Field(default=None, description="Tokens of all accelerators after the change.")
    per_hour: Text | None = Field(default=None, description="What the accelerators then cost an hour.")
    per_million_tokens: Text | None = Field(default=None, description="What a million tokens then cost.")
    saves: Text | None = Field(default=None, description="What it saves an hour: accelerators that the same tokens no longer need.")
    price: Text | None = Field(default=None, description="What the change itself costs: a restart, memory, latency.")
    confidence: Text | None = Field(default=None, description="high, medium or low: the gain beside the doubt of the estimate.")
    note: Text | None = Field(default=None, description="What else to know.")


class CostStatus(Wire):
    """Money."""

    per_hour: Text | None = Field(default=None, description="What the accelerators cost an hour.")
    per_million_tokens: Text | None = Field(default=None, description="What a million tokens cost.")
    gap_per_hour: Text | None = Field(default=None, description="What the difference between expected and observed costs an hour.")
    message: Text | None = Field(default=None, description="Why a figure is not known, where one is not.")


class PlacementStatus(Wire):
    """Where the pods should go, where they went, and by which node labels that was judged."""

    hint: Text | None = Field(default=None, description="What the pods were asked to do, or why there is no hint.")
    labels: _Lines | None = Field(default=None, description="Node labels that were used, as key=value.")
    required: Annotated[bool, Strict()] | None = Field(default=None, description="Whether the hint is required or only preferred.")
    placed: Text | None = Field(default=None, description="Where the pods are.")
    satisfied: Annotated[bool, Strict()] | None = Field(
        default=None, description="Whether tensor and expert groups are inside as tight a block as could hold them."
    )


class AcceleratorsStatus(Wire):
    """What the workload runs on, as far as it is known."""

    class_name: Text | None = Field(default=None, alias="class", description="Accelerator class.")
    count: _Number | None = Field(default=None, description="Accelerators that the parallelism spans.")


class ModelWorkloadStatus(Wire):
    """What the operator thinks of the workload."""

    observed_generation: _Number | None = Field(default=None, description="Generation of the spec that this status is about.")
    summary: Text | None = Field(default=None, description="The answer in one line.")
    mode: Text | None = Field(default=None, description="training, inference, prefill or decode.")
    model: Text | None = Field(default=None, description="The model in short.")
    accelerators: AcceleratorsStatus | None = Field(default=None, description="What the workload runs on.")
    verdict: VerdictStatus | None = Field(default=None, description="The admission verdict.")
    expected: ExpectedStatus | None = Field(default=None, description="The expected efficiency.")
    observed: ObservedStatus | None = Field(default=None, description="The observed efficiency.")
    history: HistoryStatus | None = Field(default=None, description="A few points of the past.")
    drift: DriftStatus | None = Field(default=None, description="How far the two are apart.")
    diagnosis: Annotated[list[CauseStatus], Field(max_length=16)] | None = Field(
        default=None, description="Causes of the gap, largest first."
    )
    waterfall: _Lines | None = Field(
        default=None, description="From the peak over the expected to the observed MFU: what is lost at every step, and what is left."
    )
    recommendations: Annotated[list[RecommendationStatus], Field(max_length=8)] | None = Field(
        default=None, description="Changes that are better."
    )
    cost: CostStatus | None = Field(default=None, description="Money.")
    placement: PlacementStatus | None = Field(default=None, description="Where the pods should go and where they are.")
    conditions: Annotated[list[Condition], Field(max_length=16)] | None = Field(
        default=None,
        description="Accepted, Admitted, Placed, Observed, Drifting, Ready.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
