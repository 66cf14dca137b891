"""Typed reading of a config.json: every value is checked where it is read, and every complaint names its key."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mfu.errors import ConfigError

__all__ = [
    "ACTIVE_EXPERTS",
    "EXPERTS",
    "FEED_FORWARD",
    "HEADS",
    "HIDDEN",
    "KEY_VALUE_HEADS",
    "LAYERS",
    "MAX_LAYERS",
    "MAX_WIDTH",
    "VOCABULARY",
    "Keys",
    "as_integer",
]

# The same quantity under the names that different model code gives it; the first one present counts.
HIDDEN = ("hidden_size", "n_embd", "d_model", "n_embed", "model_dim")
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
KEY_VALUE_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "n_kv_heads", "kv_n_heads", "num_attention_groups")
FEED_FORWARD = ("intermediate_size", "n_inner", "ffn_dim", "d_ff", "ffn_hidden_size", "decoder_ffn_dim")
VOCABULARY = ("vocab_size", "padded_vocab_size")
EXPERTS = ("num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts", "num_routed_experts")
ACTIVE_EXPERTS = (
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "top_k_experts",
    "moe_top_k",
    "moe_topk",
    "moe_k",
    "num_selected_experts",
)

MAX_LAYERS = 4096
MAX_WIDTH = 2**26  # no width, table, head count or window of any model comes near
_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A mapping of a config with the path that leads to it ("" at the top, "text_config." inside one)."""

    values: Mapping[str, object]
    path: str = ""

    def has(self, *names: str) -> bool:
        """Whether one of the names is present with a value other than null."""
        return any(self.values.get(name) is not None for name in names)

    def name_of(self, *names: str) -> str:
        """The path of the first name present, for a complaint about it."""
        return self.path + next((name for name in names if self.values.get(name) is not None), names[0])

    def raw(self, *names: str) -> object:
        """The value of the first name present, unchecked; None when none is."""
        for name in names:
            value = self.values.get(name)
            if value is not None:
                return value
        return None

    def integer(self, *names: str, default: int | None = None, low: int = 1, high: int = MAX_WIDTH) -> int:
        """The first of `names` present, as a whole number in [low, high]; `default` when none is.

        Raises `ConfigError`: no name is present and there is no default, or the value is no such number.
        """
        value = self.raw(*names)
        if value is None:
            if default is None:
                raise self.missing(names)
            return default
        if isinstance(value, list | tuple):  # one entry a layer
            value = self._uniform(value, *names)
        number = as_integer(value)
        if number is None or not low <= number <= high:
            raise ConfigError(self.name_of(*names), f"must be a whole number from {low} to {high}, not {shown(value)}")
        return number

    def maybe(self, *names: str, low: int = 0, high: int = MAX_WIDTH) -> int | None:
        """As `integer`, but None when no name is present."""
        return self.integer(*names, low=low, high=high) if self.has(*names) else None

    def flag(self, *names: str, default: bool = False) -> bool:
        """The first of `names` present, as true or false; 0 and 1 will do."""
        value = self.raw(*names)
        if value is None:
            return default
        if isinstance(value, list | tuple):
            value = self._uniform(value, *names)
        if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
            return bool(value)
        raise ConfigError(self.name_of(*names), f"must be true or false, not {shown(value)}")

    def text(self, *names: str) -> str | None:
        """The first of `names` present, as a string; None when none is."""
        value = self.raw(*names)
        if value is None:
            return None
        if not isinstance(value, str):
            raise ConfigError(self.name_of(*names), f"must be a string, not {shown(value)}")
        return value

    def real(self, name: str, *, default: float, low: float, high: float) -> float:
        """A finite number in [low, high]; `default` when absent."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
            raise ConfigError(self.path + name, f"must be a number from {low:g} to {high:g}, not {shown(value)}")
        return float(value)

    def items(self, name: str, *, length: int) -> tuple[object, ...] | None:
        """A list with one entry a layer; longer ones (entries for prediction modules) are cut, shorter ones are an error."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, list | tuple):
            raise ConfigError(self.path + name, f"must be a list with one entry a layer, not {shown(value)}")
        if len(value) < length:
            raise ConfigError(self.path + name, f"has {len(value)} entries for {length} layers; it needs one a layer")
        return tuple(value[:length])

    def indices(self, name: str) -> frozenset[int]:
        """A list of layer numbers; an absent one is empty."""
        value = self.values.get(name)
        if value is None:
            return frozenset()
        if not isinstance(value, list | tuple) or len(value) > MAX_LAYERS:
            raise ConfigError(self.path + name, f"must be a list of layer numbers, not {shown(value)}")
        numbers = [as_integer(item) for item in value]
        if any(number is None for number in numbers):
            raise ConfigError(self.path + name, "must hold layer numbers only")
        return frozenset(number for number in numbers if number is not None)

    def nested(self, name: str) -> "Keys | None":
        """The keys of an object inside this one, with the path to them; None when absent."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise ConfigError(self.path + name, f"must be an object, not {shown(value)}")
        return Keys(values=value, path=f"{self.path}{name}.")

    def missing(self, *alternatives: tuple[str, ...]) -> ConfigError:
        """The complaint that keys are missing, with every spelling that would have done."""
        wanted = "; ".join(names[0] + (f" (or {', '.join(names[1:])})" if len(names) > 1 else "") for names in alternatives)
        return ConfigError(self.path.rstrip("."), f"the config lacks {wanted}")

    def _uniform(self, value: list[object] | tuple[object, ...], *names: str) -> object:
        if not value:
            raise ConfigError(self.name_of(*names), "is an empty list")
        scalar = len(value) <= MAX_LAYERS and all(isinstance(item, bool | int | float | str) for item in value)
        if not scalar or any(item != value[0] for item in value):
            raise ConfigError(
                self.name_of(*names), "differs from layer to layer, which is not modelled for this key; all entries must be equal numbers"
            )
        return value[0]


def as_integer(value: object) -> int | None:
    """A whole number, also when written as 4096.0; None for anything else, booleans included."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return None


def shown(value: object) -> str:
    """A value as a complaint shows it: short, on one line."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    text = repr(value[:_SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
