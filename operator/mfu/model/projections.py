"""Linear layers as kernels run them: projections of the same input fused into one matrix product, low-rank adapters beside their base."""

from dataclasses import dataclass

from mfu.model.architecture import Adapter
from mfu.model.operations import ExpertLinear, Linear, Module, Operation, Split

__all__ = ["ALL_LINEAR", "Projection", "adapts", "expert_projection", "projected"]

ALL_LINEAR = "all-linear"

# Names that different model code gives the same projection; a target may be any of them.
_ALIASES: dict[str, tuple[str, ...]] = {
    "q_proj": ("query", "q", "wq", "to_q", "Wq"),
    "k_proj": ("key", "k", "wk", "to_k"),
    "v_proj": ("value", "v", "wv", "to_v"),
    "qkv_proj": ("query_key_value", "c_attn", "Wqkv", "W_pack", "qkv", "fused_qkv"),
    "o_proj": ("o", "wo", "out_proj", "dense", "attn_out", "self_attention.dense"),
    "gate_up_proj": ("dense_h_to_4h", "w13"),
    "gate_proj": ("w1", "wi_0"),
    "up_proj": ("w3", "c_fc", "fc1", "fc_in", "wi", "wi_1", "dense_h_to_4h"),
    "down_proj": ("w2", "c_proj", "fc2", "fc_out", "dense_4h_to_h"),
    "experts_gate_up": ("experts.gate_up_proj", "gate_up_proj"),
    "experts_gate": ("gate_proj", "w1"),
    "experts_up": ("up_proj", "w3"),
    "experts_down": ("down_proj", "w2", "experts.down_proj"),
    "shared_gate_up": ("gate_up_proj",),
    "shared_gate_proj": ("gate_proj", "w1"),
    "shared_up": ("up_proj", "w3"),
    "shared_down": ("down_proj", "w2"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """One linear map of a module, before fusion."""

    name: str
    inputs: int
    outputs: int
    split: Split
    bias: bool = False


def adapts(adapter: Adapter | None, name: str) -> bool:
    """Whether the adapter sits beside the projection of that name."""
    if adapter is None:
        return False
    return any(target in (ALL_LINEAR, name) or target in _ALIASES.get(name, ()) for target in adapter.targets)


def projected(
    name: str,
    module: Module,
    parts: tuple[Projection, ...],
    count: int,
    adapter: Adapter | None,
    *,
    on_encoder: bool = False,
    encoder_tokens: int = 0,
) -> list[Operation]:
    """The parts as one fused `Linear` (or one each, where their biases differ), followed by the adapters beside them.

    The router and other layers that no adapter may sit on are built as plain `Linear`s instead.
    """
    same_bias = len({part.bias for part in parts}) == 1
    groups = [(name, parts)] if same_bias else [(part.name, (part,)) for part in parts]
    operations: list[Operation] = [
        Linear(
            name=fused,
            module=module,
            inputs=members[0].inputs,
            outputs=sum(part.outputs for part in members),
            split=members[0].split,
            bias=members[0].bias,
            count=count,
            frozen=adapter is not None,
            runs_on_encoder=on_encoder,
            encoder_tokens=encoder_tokens,
        )
        for fused, members in groups
    ]
    if adapter is None:
        return operations
    whole = Projection(name=name, inputs=parts[0].inputs, outputs=sum(part.outputs for part in parts), split=parts[0].split)
    named = [part for part in parts if adapts(adapter, part.name)]
    if not named and len(parts) > 1 and adapts(adapter, name):
        named = [whole]
    for part in named:
        for suffix, inputs, outputs, split in _low_rank(part.inputs, part.outputs, adapter.rank, part.split):
            operations.append(
                Linear(
                    name=f"{part.name}.{suffix}",
                    module=Module.ADAPTER,
                    inputs=inputs,
                    outputs=outputs,
                    split=split,
                    count=count,
                    runs_on_encoder=on_encoder,
                    encoder_tokens=encoder_tokens,
                )
            )
    return operations


def expert_projection(
    name: str, parts: tuple[Projection, ...], experts: int, active: int, count: int, adapter: Adapter | None
) -> list[Operation]:
    """The same for one matrix of every routed expert."""

    def one(
        title: str, inputs: int, outputs: int, split: Split, module: Module, *, bias: bool = False, frozen: bool = False
    ) -> ExpertLinear:
        return ExpertLinear(
            name=title,
            module=module,
            inputs=inputs,
            outputs=outputs,
            experts=experts,
            active=active,
            split=split,
            bias=bias,
            count=count,
            frozen=frozen,
        )

    first = parts[0]
    outputs = sum(part.outputs for part in parts)
    operations: list[Operation] = [
        one(name, first.inputs, outputs, first.split, Module.EXPERTS, bias=first.bias, frozen=adapter is not None)
    ]
    if adapter is None:
        return operations
    named = [part for part in parts if adapts(adapter, part.name)]
    if not named and len(parts) > 1 and adapts(adapter, name):
        named = [Projection(name=name, inputs=first.inputs, outputs=outputs, split=first.split)]
    for part in named:
        for suffix, inputs, width, split in _low_rank(part.inputs, part.outputs, adapter.rank, part.split):
            operations.append(one(f"{part.name}.{suffix}", inputs, width, split, Module.ADAPTER))
    return operations


def _low_rank(inputs: int, outputs: int, rank: int, split: Split) -> tuple[tuple[str, int, int, Split], tuple[str, int, int, Split]]:
    """The pair of matrices beside a base: whichever side the base divides, the adapter's matrix on that side is divided too."""
    if split is Split.ROW:
        return ("lora_a", inputs, rank, Split.ROW), ("lora_b", rank, outputs, Split.REPLICATED)
    return ("lora_a", inputs, rank, Split.REPLICATED), ("lora_b", rank, outputs, split)
