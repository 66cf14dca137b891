"""Which accelerators of a job talk to each other, and how close they must sit.

Ranks are laid out innermost first: tensor, context, expert (inside data × context), data, pipeline (Megatron-LM's order; arXiv:2104.04473,
section 3: tensor inside a node, pipeline across). A group of `span` consecutive ranks stays together if its block of `span` does.
"""

from dataclasses import dataclass
from enum import StrEnum

from mfu.estimate.workload import Training, Workload

__all__ = ["Group", "GroupKind", "communication_groups", "tight_group"]


class GroupKind(StrEnum):
    """In the order in which distance hurts: tensor and expert groups exchange activations in every layer, data groups once a step."""

    TENSOR = "tensor"
    EXPERT = "expert"
    CONTEXT = "context"
    PIPELINE = "pipeline"
    DATA = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """`degree` ranks talk; they lie within `span` consecutive ranks. `tight`: they want one NVLink domain."""

    kind: GroupKind
    degree: int
    span: int

    @property
    def tight(self) -> bool:
        return self.kind in (GroupKind.TENSOR, GroupKind.EXPERT)


def communication_groups(workload: Workload) -> tuple[Group, ...]:
    """Groups of more than one rank, the most sensitive to distance first."""
    parallelism = workload.job.parallelism
    tensor, pipeline, data, expert = parallelism.tensor, parallelism.pipeline, parallelism.data, parallelism.expert
    match workload.job:
        case Training(parallelism=degrees):
            context = degrees.context
            # Experts sharded less than the dense layers leave their tensor ranks to other experts: the group is then shorter.
            expert_span = expert * (degrees.expert_tensor or tensor)
        case _:
            context = 1
            expert_span = expert
    replica = tensor * context
    found = (
        Group(kind=GroupKind.TENSOR, degree=tensor, span=tensor),
        Group(kind=GroupKind.EXPERT, degree=expert, span=max(tensor, expert_span)),
        Group(kind=GroupKind.CONTEXT, degree=context, span=replica),
        Group(kind=GroupKind.PIPELINE, degree=pipeline, span=replica * data * pipeline),
        Group(kind=GroupKind.DATA, degree=data, span=replica * data),
    )
    return tuple(group for group in found if group.degree > 1)


def tight_group(workload: Workload) -> Group | None:
    """The widest group that wants one NVLink domain; None where no rank talks to another in every layer."""
    return max((group for group in communication_groups(workload) if group.tight), key=lambda group: group.span, default=None)
