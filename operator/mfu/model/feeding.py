"""Feed-forward parts as operations: gated and plain networks, routed and shared experts."""

from mfu.model.architecture import Adapter, Experts, FeedForward, Mlp
from mfu.model.operations import Elementwise, Linear, Module, Operation, Split
from mfu.model.projections import Projection, expert_projection, projected

__all__ = ["feeding"]


def feeding(
    part: FeedForward, hidden: int, count: int, adapter: Adapter | None, *, on_encoder: bool = False, encoder_tokens: int = 0
) -> list[Operation]:
    """Operations of one feed-forward part in `count` alike layers."""
    match part:
        case Mlp():
            return _mlp(part, hidden, count, adapter, Module.MLP, "", on_encoder, encoder_tokens)
        case Experts():
            return _experts(part, hidden, count, adapter)


def _mlp(
    mlp: Mlp,
    hidden: int,
    count: int,
    adapter: Adapter | None,
    module: Module,
    prefix: str,
    on_encoder: bool = False,
    encoder_tokens: int = 0,
) -> list[Operation]:
    def part(name: str, inputs: int, outputs: int, split: Split) -> Projection:
        return Projection(name=name, inputs=inputs, outputs=outputs, split=split, bias=mlp.bias)

    plain = not prefix
    up = part("up_proj" if plain else "shared_up", hidden, mlp.intermediate, Split.COLUMN)
    gate = part("gate_proj" if plain else "shared_gate_proj", hidden, mlp.intermediate, Split.COLUMN)
    down = part("down_proj" if plain else "shared_down", mlp.intermediate, hidden, Split.ROW)
    fused = ("gate_up_proj" if plain else "shared_gate_up") if mlp.gated else up.name
    rising = (gate, up) if mlp.gated else (up,)
    operations = projected(fused, module, rising, count, adapter, on_encoder=on_encoder, encoder_tokens=encoder_tokens)
    operations.append(
        Elementwise(
            name=f"{prefix}activation",
            module=module,
            elements_per_token=(3.0 if mlp.gated else 2.0) * mlp.intermediate,
            split=Split.COLUMN,
            count=count,
            runs_on_encoder=on_encoder,
            encoder_tokens=encoder_tokens,
        )
    )
    return operations + projected(down.name, module, (down,), count, adapter, on_encoder=on_encoder, encoder_tokens=encoder_tokens)


def _experts(e: Experts, hidden: int, count: int, adapter: Adapter | None) -> list[Operation]:
    width = e.latent_hidden or hidden

    def plain(name: str, module: Module, inputs: int, outputs: int, *, bias: bool = False) -> Linear:
        return Linear(
            name=name,
            module=module,
            inputs=inputs,
            outputs=outputs,
            split=Split.REPLICATED,
            bias=bias,
            count=count,
            frozen=adapter is not None,
        )

    def part(name: str, inputs: int, outputs: int, split: Split) -> Projection:
        return Projection(name=name, inputs=inputs, outputs=outputs, split=split, bias=e.bias)

    operations: list[Operation] = [plain("router", Module.ROUTER, hidden, e.count, bias=e.router_bias)]
    if e.latent_hidden is not None:
        operations.append(plain("latent_down", Module.EXPERTS, hidden, width))
    operations.append(
        Elementwise(
            name="dispatch",
            module=Module.EXPERTS,
            elements_per_token=2.0 * width * (1 + e.active),
            split=Split.REPLICATED,
            parameters_each=e.router_extra,
            count=count,
        )
    )
    rising: tuple[Projection, ...] = (part("experts_up", width, e.intermediate, Split.COLUMN),)
    if e.gated:
        rising = (part("experts_gate", width, e.intermediate, Split.COLUMN), *rising)
    operations += expert_projection("experts_gate_up" if e.gated else "experts_up", rising, e.count, e.active, count, adapter)
    operations.append(
        Elementwise(
            name="experts_activation",
            module=Module.EXPERTS,
            elements_per_token=(3.0 if e.gated else 2.0) * e.intermediate * e.active,
            split=Split.COLUMN,
            count=count,
        )
    )
    falling = (part("experts_down", e.intermediate, width, Split.ROW),)
    operations += expert_projection("experts_down", falling, e.count, e.active, count, adapter)
    if e.latent_hidden is not None:
        operations.append(plain("latent_up", Module.EXPERTS, width, hidden))
    if e.shared is not None:
        operations += _mlp(e.shared, hidden, count, adapter, Module.SHARED_EXPERTS, "shared_")
        if e.shared_gate:
            operations.append(plain("shared_gate", Module.SHARED_EXPERTS, hidden, 1))
    return operations
