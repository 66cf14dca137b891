"""Recurrent mixers of a config: Mamba, Mamba-2, gated delta net and lightning attention."""

from mfu.errors import ConfigError
from mfu.model.architecture import DeltaNet, StateSpace, StateSpaceKind
from mfu.model.keys import HEADS, HIDDEN, Keys

__all__ = ["linear_attention", "state_space"]

_SCAN_HEADS = ("mamba_num_heads", "mamba_n_heads")
_SCAN_HEAD_DIM = ("mamba_head_dim", "mamba_d_head")
_STATE = ("ssm_state_size", "mamba_d_state", "state_size")
_KERNEL = ("mamba_d_conv", "conv_kernel", "d_conv")
_EXPAND = ("mamba_expand", "expand")


def state_space(keys: Keys, family: str) -> StateSpace:
    """A selective state-space mixer: Mamba-2 where it has heads, else Mamba."""
    hidden = keys.integer(*HIDDEN)
    if keys.has(*_SCAN_HEADS) or family == "mamba2":
        return _mamba2(keys, hidden, family)
    inner = keys.integer(*_EXPAND, default=2, high=64) * hidden
    if family in ("mamba", "falcon_mamba") and keys.has("intermediate_size"):
        inner = keys.integer("intermediate_size")
    rank_names = ("mamba_dt_rank", "time_step_rank")
    rank = -(-hidden // 16) if keys.raw(*rank_names) in (None, "auto") else keys.integer(*rank_names)
    state = keys.integer(*_STATE, default=16)
    return StateSpace(
        kind=StateSpaceKind.MAMBA1,
        inner=inner,
        state=state,
        heads=1,
        groups=1,
        conv_kernel=keys.integer(*_KERNEL, default=4, high=1024),
        dt_rank=rank,
        projection_bias=keys.flag("mamba_proj_bias", "use_bias"),
        conv_bias=keys.flag("mamba_conv_bias", "use_conv_bias", default=True),
        inner_norm=rank + 2 * state if family == "jamba" else 0,
    )


def _mamba2(keys: Keys, hidden: int, family: str) -> StateSpace:
    plain = family == "mamba2"  # only there do heads and head_dim mean the scan's
    heads = keys.integer(*_SCAN_HEADS, *(("num_heads",) if plain else ()), high=2**16)
    stated = (*_SCAN_HEAD_DIM, "head_dim") if plain else _SCAN_HEAD_DIM
    if keys.has(*stated) and keys.raw(*stated) != "auto":
        inner = heads * keys.integer(*stated, high=2**16)
    else:
        inner = keys.integer("mamba_d_ssm", default=keys.integer(*_EXPAND, default=2, high=64) * hidden)
    if inner % heads:
        raise ConfigError(keys.name_of(*_SCAN_HEADS), f"{heads} heads do not divide the inner width {inner}")
    normed = keys.flag("mamba_rms_norm", "rms_norm", default=family != "falcon_h1")
    return StateSpace(
        kind=StateSpaceKind.MAMBA2,
        inner=inner,
        state=keys.integer(*_STATE, default=128),
        heads=heads,
        groups=keys.integer("n_groups", "mamba_n_groups", default=1, high=2**16),
        conv_kernel=keys.integer(*_KERNEL, default=4, high=1024),
        projection_bias=keys.flag("mamba_proj_bias", "use_bias"),
        conv_bias=keys.flag("mamba_conv_bias", "use_conv_bias", default=True),
        inner_norm=inner if normed else 0,
    )


def linear_attention(keys: Keys) -> DeltaNet:
    """Gated delta net where the config gives its heads, else lightning attention over its attention heads (arXiv:2501.08313)."""
    if keys.has("linear_num_value_heads"):
        value_heads, value_dim = keys.integer("linear_num_value_heads", high=2**16), keys.integer("linear_value_head_dim", high=2**16)
        return DeltaNet(
            key_heads=keys.integer("linear_num_key_heads", high=2**16),
            value_heads=value_heads,
            key_dim=keys.integer("linear_key_head_dim", high=2**16),
            value_dim=value_dim,
            conv_kernel=keys.integer("linear_conv_kernel_dim", default=4, high=1024),
            decay_rates=2 * value_heads,
            inner_norm=value_dim,
        )
    heads = keys.integer(*HEADS, high=2**16)
    width = keys.integer("head_dim", default=max(1, keys.integer(*HIDDEN) // heads), high=2**16)
    return DeltaNet(
        key_heads=heads,
        value_heads=heads,
        key_dim=width,
        value_dim=width,
        conv_kernel=0,
        delta_rule=False,
        inner_norm=heads * width,
    )
