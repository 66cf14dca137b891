"""A training job laid out on its ranks, every degree settled."""

from dataclasses import dataclass
from math import ceil

from mfu.estimate.workload import AttentionKernel, Recompute, Sharding

__all__ = ["Layout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`micro_batches`: forward passes of one data-parallel rank in a step. `sharding_group`: ranks of data × context that share one copy
    of the state."""

    sequence_length: int
    micro_batch: int
    micro_batches: int
    tensor: int
    pipeline: int
    interleave: int
    data: int
    context: int
    expert: int
    expert_tensor: int
    sequence_parallel: bool
    sharding: Sharding
    sharding_group: int
    recompute: Recompute
    kernel: AttentionKernel | None

    @property
    def replicas(self) -> int:
        """Ranks that hold the same tensor and pipeline part of the dense weights."""
        return self.data * self.context

    @property
    def expert_replicas(self) -> int:
        """Ranks that hold the same experts."""
        return max(1, self.replicas * self.tensor // (self.expert * self.expert_tensor))

    @property
    def ranks(self) -> int:
        return self.tensor * self.pipeline * self.data * self.context

    @property
    def tokens(self) -> float:
        """Tokens of a micro-batch on one rank."""
        return self.micro_batch * self.sequence_length / self.context

    @property
    def tokens_per_step(self) -> int:
        return self.micro_batches * self.micro_batch * self.data * self.sequence_length

    def stage_share(self, layers: int) -> float:
        """Share of the layers in the stage that sets the pace: halfway to the ceiling, since recipes balance first and last stages by
        hand."""
        exact = 1 / self.pipeline
        uneven = ceil(layers / self.pipeline) / layers
        return (exact + uneven) / 2 if uneven <= 2 * exact else uneven
