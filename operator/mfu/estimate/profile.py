"""What the estimator needs of an architecture, sorted once: operations by kind and parameters by how they are divided."""

from dataclasses import dataclass
from functools import lru_cache

from mfu.model.architecture import Adapter, Architecture
from mfu.model.build import operations
from mfu.model.operations import AttentionCore, Elementwise, ExpertLinear, Linear, Lookup, Module, Operation, Scan, Split

__all__ = ["Profile", "profile_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Operations by kind, all layers; parameter counts are of the whole model.

    `tensor_parameters` are divided by tensor parallelism, `replicated_parameters` are not, `expert_parameters` are divided by expert
    parallelism. `reductions` counts results that tensor parallelism has to reduce in one forward, `expert_reductions` those of routed
    experts.
    """

    hidden: int
    layers: int
    expert_layers: int
    experts: int
    active_experts: int
    linears: tuple[Linear, ...]
    heads: tuple[Linear, ...]
    expert_linears: tuple[ExpertLinear, ...]
    attentions: tuple[AttentionCore, ...]
    scans: tuple[Scan, ...]
    elementwise: tuple[Elementwise, ...]
    tensor_parameters: int
    replicated_parameters: int
    expert_parameters: int
    vocabulary_parameters: int
    adapter_parameters: int
    reductions: int
    expert_reductions: int
    latent: bool  # latent attention: the cache is replicated over tensor ranks

    @property
    def parameters(self) -> int:
        return self.tensor_parameters + self.replicated_parameters + self.expert_parameters + self.vocabulary_parameters

    @property
    def trainable_parameters(self) -> int:
        return self.adapter_parameters or self.parameters


@lru_cache(maxsize=512)
def profile_of(architecture: Architecture, adapter: Adapter | None = None, predict_ahead: bool = False) -> Profile:
    """Sort the operations of `architecture`. Raises `IntentError` where the adapter names layers that the model does not have."""
    ops = operations(architecture, adapter, predict_ahead=predict_ahead)
    linears = tuple(op for op in ops if isinstance(op, Linear) and op.module is not Module.HEAD)
    expert_linears = tuple(op for op in ops if isinstance(op, ExpertLinear))
    attentions = tuple(op for op in ops if isinstance(op, AttentionCore))
    by_split = dict.fromkeys(Split, 0)
    adapters = 0
    for op in ops:
        parameters = op.parameters * op.count
        if op.module is Module.ADAPTER:
            adapters += parameters
        else:
            by_split[_split(op)] += parameters
    downs = [op for op in expert_linears if op.split is Split.ROW]
    return Profile(
        hidden=architecture.hidden,
        layers=architecture.layer_count,
        expert_layers=sum(op.count for op in downs),
        experts=max((op.experts for op in expert_linears), default=0),
        active_experts=max((op.active for op in expert_linears), default=0),
        linears=linears,
        heads=tuple(op for op in ops if isinstance(op, Linear) and op.module is Module.HEAD),
        expert_linears=expert_linears,
        attentions=attentions,
        scans=tuple(op for op in ops if isinstance(op, Scan)),
        elementwise=tuple(op for op in ops if isinstance(op, Elementwise)),
        tensor_parameters=by_split[Split.COLUMN] + by_split[Split.ROW] + by_split[Split.HEADS],
        replicated_parameters=by_split[Split.REPLICATED],
        expert_parameters=by_split[Split.EXPERT],
        vocabulary_parameters=by_split[Split.VOCABULARY],
        adapter_parameters=adapters,
        reductions=sum(op.count for op in linears if op.split is Split.ROW and op.module is not Module.ADAPTER),
        expert_reductions=sum(op.count for op in downs),
        latent=any(op.cache_heads == 1 and op.decode_score_dim > op.score_dim for op in attentions),
    )


def _split(op: Operation) -> Split:
    if isinstance(op, ExpertLinear):
        return Split.EXPERT
    if isinstance(op, Lookup) and op.split is Split.REPLICATED:
        return Split.REPLICATED
    return op.split
