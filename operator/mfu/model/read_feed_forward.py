"""Feed-forward parts of a config: how wide, how many experts, which shared."""

from mfu.errors import ConfigError
from mfu.model.architecture import Experts, Mlp
from mfu.model.keys import ACTIVE_EXPERTS, EXPERTS, FEED_FORWARD, HIDDEN, Keys
from mfu.model.layer_kinds import expert_count
from mfu.model.traits import Traits

__all__ = ["dense", "experts"]

_EXPERT_WIDTH = ("moe_intermediate_size", "expert_intermediate_size", "moe_ffn_hidden_size", "expert_ffn_hidden_size")
_SHARED_COUNT = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert")
_SHARED_WIDTH = (
    "shared_expert_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "shared_intermediate_size",
    "share_expert_dim",
)


def dense(keys: Keys, traits: Traits, family: str) -> Mlp:
    """The plain feed-forward network of a layer without experts."""
    return Mlp(
        intermediate=_dense_width(keys, traits, family),
        gated=traits.gated,
        bias=keys.flag("mlp_bias", "use_mlp_bias", *(() if traits.gated else traits.bias_keys), default=traits.mlp_bias)
        and not (family == "mpt" and keys.flag("no_bias", default=True)),
    )


def _dense_width(keys: Keys, traits: Traits, family: str) -> int:
    if keys.has("intermediate_size_mlp"):
        return keys.integer("intermediate_size_mlp")
    if family == "mpt" and keys.has("expansion_ratio"):
        return keys.integer(*HIDDEN) * keys.integer("expansion_ratio", high=2**10)
    if keys.has(*FEED_FORWARD):
        width = keys.integer(*FEED_FORWARD, low=0)
        return width // 2 if family == "qwen" else width  # the first Qwen states both halves of its gated pair together
    if traits.four_times:
        return 4 * keys.integer(*HIDDEN)
    raise keys.missing(FEED_FORWARD)


def experts(keys: Keys, traits: Traits, family: str) -> Experts:
    """The mixture of experts of a layer that has one.

    Raises `ConfigError` when fewer experts exist than are active, or a width is missing.
    """
    inner = keys.nested("ffn_config") if not keys.has(*EXPERTS) else None
    source = inner if inner is not None else keys
    count = expert_count(keys)
    if not source.has(*ACTIVE_EXPERTS):
        raise source.missing(ACTIVE_EXPERTS)
    active = source.integer(*ACTIVE_EXPERTS, high=2**16)
    if active > count:
        raise ConfigError(source.name_of(*ACTIVE_EXPERTS), f"{active} active experts of {source.name_of(*EXPERTS)} {count}")
    width = source.integer(*_EXPERT_WIDTH, *FEED_FORWARD)
    return Experts(
        count=count,
        active=active,
        intermediate=width,
        gated=traits.gated,
        bias=traits.expert_bias,
        router_bias=traits.router_bias,
        shared=_shared(keys, traits, family, width),
        shared_gate=traits.shared_gate,
        latent_hidden=keys.maybe("moe_latent_size", low=1),
    )


def _shared(keys: Keys, traits: Traits, family: str, width: int) -> Mlp | None:
    """The shared experts as one network. Widths stated outright are of all of them together, but for Step's `share_expert_dim`."""
    by_class = 1 if family == "hunyuan_v1_moe" else 0  # it has a shared network even when the config does not speak of one
    count = keys.integer(*_SHARED_COUNT, default=by_class, low=0, high=2**10)
    stated = keys.integer(*_SHARED_WIDTH, default=0, low=0)
    if family == "llama4_text":  # one shared expert as wide as a routed one, in the class itself
        stated = width
    elif family == "hunyuan_v1_moe":
        stated = keys.integer(*FEED_FORWARD) * count
    elif not stated:
        stated = count * width
    elif keys.has("share_expert_dim"):
        stated *= max(1, count)
    return Mlp(intermediate=stated, gated=traits.gated) if stated else None
