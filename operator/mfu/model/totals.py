"""Totals of a model: parameters, and FLOP of a forward pass and of a training step, all summed from the list of operations."""

from dataclasses import dataclass

from mfu.model.architecture import Adapter, Architecture
from mfu.model.build import operations
from mfu.model.operations import AttentionCore, ExpertLinear, Linear, Lookup, Module, Operation, Pass, Scan

__all__ = ["Count", "Flops", "Parameters", "by_module", "count", "parameters"]

_TRAINED = 3  # forward, gradient of the inputs, gradient of the weights: one product each
_FROZEN = 2  # no gradient of the weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Parameters of the whole model. `active_per_token` leaves out the experts that a token does not reach; `adapter` is in `total` too."""

    total: int
    active_per_token: int
    embedding: int
    adapter: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Flops:
    """FLOP by kind. `linear` is every linear layer but the head; `scan` is the core of recurrences (which implementations count
    differently) and convolutions.
    """

    linear: int
    lm_head: int
    attention_full: int
    attention_visible: int
    scan: int

    @property
    def total_full(self) -> int:
        """With attention over the whole square (PaLM's convention)."""
        return self.linear + self.lm_head + self.attention_full + self.scan

    @property
    def total_visible(self) -> int:
        """With attention over the pairs that the mask lets through."""
        return self.linear + self.lm_head + self.attention_visible + self.scan

    def __add__(self, other: "Flops") -> "Flops":
        return Flops(
            linear=self.linear + other.linear,
            lm_head=self.lm_head + other.lm_head,
            attention_full=self.attention_full + other.attention_full,
            attention_visible=self.attention_visible + other.attention_visible,
            scan=self.scan + other.scan,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What a model is and what one pass costs. `training` is forward and backward, recomputation excluded."""

    parameters: Parameters
    forward: Flops
    training: Flops


def count(architecture: Architecture, work: Pass, adapter: Adapter | None = None, *, predict_ahead: bool = False) -> Count:
    """Parameters and FLOP of the whole model for one pass, and for one training step over the same tokens.

    A training step is three products for each one of the forward pass. With an adapter the base is frozen: its linear layers (head
    included) need no gradient of their weights, so 2 × base + 3 × attention and scan + 3 × adapters, with input gradients all the way down.
    """
    listed = operations(architecture, adapter, predict_ahead=predict_ahead)
    forward, training = _flops(listed, work)
    return Count(parameters=_parameters(listed), forward=forward, training=training)


def parameters(architecture: Architecture, adapter: Adapter | None = None, *, predict_ahead: bool = False) -> Parameters:
    """Parameters alone."""
    return _parameters(operations(architecture, adapter, predict_ahead=predict_ahead))


def by_module(
    architecture: Architecture, work: Pass, adapter: Adapter | None = None, *, predict_ahead: bool = False
) -> dict[Module, tuple[Parameters, Flops]]:
    """Parameters and forward FLOP of every module that the model has, in the order in which they first run."""
    grouped: dict[Module, list[Operation]] = {}
    for operation in operations(architecture, adapter, predict_ahead=predict_ahead):
        grouped.setdefault(operation.module, []).append(operation)
    return {module: (_parameters(tuple(part)), _flops(tuple(part), work)[0]) for module, part in grouped.items()}


def _parameters(listed: tuple[Operation, ...]) -> Parameters:
    total = active = embedding = adapter = 0
    for operation in listed:
        all_of_it = operation.parameters * operation.count
        total += all_of_it
        active += operation.active_parameters * operation.count if isinstance(operation, ExpertLinear) else all_of_it
        if isinstance(operation, Lookup) and operation.name == "embedding":
            embedding += all_of_it
        if operation.module is Module.ADAPTER:
            adapter += all_of_it
    return Parameters(total=total, active_per_token=active, embedding=embedding, adapter=adapter)


def _flops(listed: tuple[Operation, ...], work: Pass) -> tuple[Flops, Flops]:
    """FLOP of the forward pass and of forward and backward together."""
    linear = head = full = visible = scan = 0
    linear_trained = head_trained = 0
    for operation in listed:
        match operation:
            case Linear() | ExpertLinear():
                each = operation.flops(work) * operation.count
                trained = each * (_FROZEN if operation.frozen else _TRAINED)
                if operation.module is Module.HEAD:
                    head += each
                    head_trained += trained
                else:
                    linear += each
                    linear_trained += trained
            case AttentionCore():
                full += operation.full_flops(work) * operation.count
                visible += operation.flops(work) * operation.count
            case Scan():
                scan += operation.flops(work) * operation.count
            case _:
                pass
    forward = Flops(linear=linear, lm_head=head, attention_full=full, attention_visible=visible, scan=scan)
    training = Flops(
        linear=linear_trained,
        lm_head=head_trained,
        attention_full=_TRAINED * full,
        attention_visible=_TRAINED * visible,
        scan=_TRAINED * scan,
    )
    return forward, training
