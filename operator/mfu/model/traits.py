"""What the code of a model family fixes and its config.json does not state: biases, norms, gating, windows.

Facts of the model classes (Hugging Face transformers, `modeling_<family>.py` and `configuration_<family>.py`). They describe a class's
structure only; every size comes from the config. Keys in the config win over these defaults.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

__all__ = ["NormKind", "QueryKeyNorm", "Traits", "Windows", "traits_of"]


class NormKind(StrEnum):
    RMS = "rms"  # one weight a channel
    LAYER = "layer"  # weight and bias
    BARE = "bare"  # no parameters


class QueryKeyNorm(StrEnum):
    NONE = "none"
    HEAD = "head"  # one weight for each channel of a head, shared by all heads
    FULL = "full"  # one for each channel of the whole projection


class Windows(StrEnum):
    """How `sliding_window` spreads over the layers when `layer_types` does not say."""

    NONE = "none"  # the key is ignored
    ALL = "all"
    FLAGGED = "flagged"  # only with use_sliding_window, from layer max_window_layers on
    ALTERNATE = "alternate"  # every other layer, the first one included
    PATTERN = "pattern"  # all but every sliding_window_pattern-th


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Defaults of one family."""

    gated: bool = True
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    expert_bias: bool = False
    router_bias: bool = False
    head_bias: bool = False
    norm: NormKind = NormKind.RMS
    norms: int = 2  # in one layer
    final_norm: bool = True
    embedding_norm: bool = False
    query_key_norm: QueryKeyNorm = QueryKeyNorm.NONE
    stated_query_key_norm: QueryKeyNorm = QueryKeyNorm.HEAD  # the kind that `use_qk_norm` turns on
    output_gate: bool = False
    sinks: bool = False
    shared_gate: bool = False
    tied: bool = False
    learned_positions: int | None = None  # extra rows beside the position table; None: no table
    windows: Windows = Windows.FLAGGED
    window_pattern: int = 0
    four_times: bool = False  # the feed-forward width is 4 × hidden when absent
    bias_keys: tuple[str, ...] = ("attention_bias", "qkv_bias", "add_qkv_bias")
    bias_key_covers_output: bool = False  # … and the output projection has the bias the key states


_LLAMA = Traits(bias_key_covers_output=True, windows=Windows.NONE)
_PLAIN = Traits(
    gated=False,
    qkv_bias=True,
    output_bias=True,
    mlp_bias=True,
    norm=NormKind.LAYER,
    windows=Windows.NONE,
    four_times=True,
    bias_keys=("attention_bias", "use_bias", "bias"),
    bias_key_covers_output=True,
)
_QWEN = Traits(qkv_bias=True, bias_keys=("qkv_bias",))
_QWEN3 = Traits(query_key_norm=QueryKeyNorm.HEAD, bias_key_covers_output=True)
_QWEN_NEXT = Traits(query_key_norm=QueryKeyNorm.HEAD, output_gate=True, shared_gate=True, bias_key_covers_output=True)
_GEMMA = Traits(tied=True, bias_key_covers_output=True, windows=Windows.NONE)
_GEMMA3 = replace(_GEMMA, norms=4, query_key_norm=QueryKeyNorm.HEAD, windows=Windows.PATTERN, window_pattern=6)
_OLMO2 = Traits(query_key_norm=QueryKeyNorm.FULL, bias_key_covers_output=True, windows=Windows.NONE)
_COHERE = Traits(norms=1, tied=True, stated_query_key_norm=QueryKeyNorm.FULL, bias_key_covers_output=True, windows=Windows.NONE)
_GRANITE = Traits(bias_key_covers_output=True, windows=Windows.NONE)

_FAMILIES: dict[str, Traits] = {
    "llama": _LLAMA,
    "llama4_text": replace(_LLAMA, stated_query_key_norm=QueryKeyNorm.NONE),  # it normalises without weights
    "llava": _LLAMA,
    "mllama_text_model": _LLAMA,
    "mistral": Traits(windows=Windows.ALL, bias_keys=()),
    "ministral": Traits(windows=Windows.ALL, bias_keys=()),
    "mixtral": Traits(windows=Windows.ALL, bias_keys=()),
    "qwen2": _QWEN,
    "qwen2_moe": replace(_QWEN, shared_gate=True),
    "qwen2_vl": _QWEN,
    "qwen2_5_vl": _QWEN,
    "qwen2_vl_text": _QWEN,
    "qwen2_5_vl_text": _QWEN,
    "qwen": replace(_QWEN, windows=Windows.NONE),
    "qwen3": _QWEN3,
    "qwen3_moe": _QWEN3,
    "qwen3_vl_text": _QWEN3,
    "qwen3_vl_moe_text": _QWEN3,
    "qwen3_next": _QWEN_NEXT,
    "qwen3_5_text": replace(_QWEN_NEXT, shared_gate=False),
    "qwen3_5_moe_text": _QWEN_NEXT,
    "gemma": _GEMMA,
    "gemma2": replace(_GEMMA, norms=4, windows=Windows.ALTERNATE),
    "gemma3_text": _GEMMA3,
    "gemma4_text": _GEMMA3,
    "phi": replace(_PLAIN, norms=1, head_bias=True),
    "phi3": Traits(windows=Windows.ALL, bias_keys=()),
    "phi3_v": Traits(windows=Windows.ALL, bias_keys=()),
    "phimoe": Traits(norm=NormKind.LAYER, bias_key_covers_output=True, windows=Windows.ALL),
    "cohere": _COHERE,
    "cohere2": replace(_COHERE, windows=Windows.PATTERN, window_pattern=4),
    "starcoder2": replace(_PLAIN, tied=True, windows=Windows.ALL),
    "gpt_bigcode": replace(_PLAIN, tied=True, learned_positions=0),
    "olmo": Traits(norm=NormKind.BARE, bias_key_covers_output=True, windows=Windows.NONE),
    "olmo2": _OLMO2,
    "olmo3": replace(_OLMO2, windows=Windows.PATTERN, window_pattern=4),
    "olmoe": _OLMO2,
    "flex_olmo": _OLMO2,
    "granite": _GRANITE,
    "granitemoe": _GRANITE,
    "granitemoeshared": _GRANITE,
    "granitemoehybrid": _GRANITE,
    "nemotron": Traits(gated=False, norm=NormKind.LAYER, bias_key_covers_output=True, windows=Windows.NONE),
    "gpt2": replace(_PLAIN, tied=True, learned_positions=0),
    "gpt_neo": replace(_PLAIN, tied=True, learned_positions=0, qkv_bias=False, bias_keys=()),
    "gptj": replace(_PLAIN, norms=1, qkv_bias=False, output_bias=False, head_bias=True, bias_keys=()),
    "gpt_neox": _PLAIN,
    "opt": replace(_PLAIN, tied=True, learned_positions=2, bias_keys=("enable_bias",)),
    "bloom": replace(_PLAIN, tied=True, embedding_norm=True, bias_keys=()),
    "falcon": replace(_PLAIN, qkv_bias=False, output_bias=False, mlp_bias=False, tied=True, bias_keys=("bias",)),
    "mpt": replace(_PLAIN, norm=NormKind.RMS, qkv_bias=False, output_bias=False, mlp_bias=False, tied=True, bias_keys=()),
    "stablelm": Traits(norm=NormKind.LAYER, bias_keys=("use_qkv_bias",), windows=Windows.NONE),
    "dbrx": Traits(bias_keys=(), windows=Windows.NONE),
    "gpt_oss": Traits(
        qkv_bias=True,
        output_bias=True,
        expert_bias=True,
        router_bias=True,
        sinks=True,
        bias_key_covers_output=True,
        windows=Windows.ALTERNATE,
    ),
    "glm": Traits(windows=Windows.NONE),
    "glm4": Traits(norms=4, windows=Windows.NONE),
    "glm4_moe": Traits(windows=Windows.NONE),
    "chatglm": Traits(qkv_bias=True, windows=Windows.NONE),
    "deepseek": Traits(bias_key_covers_output=True, windows=Windows.NONE),
    "deepseek_v2": Traits(windows=Windows.NONE),
    "deepseek_v3": Traits(windows=Windows.NONE),
    "deepseek_v32": Traits(windows=Windows.NONE),
    "deepseek_v4": Traits(windows=Windows.NONE),
    "kimi_k2": Traits(windows=Windows.NONE),
    "glm_moe_dsa": Traits(windows=Windows.NONE),
    "minimax": Traits(windows=Windows.NONE, bias_keys=()),
    "minimax_text_01": Traits(windows=Windows.NONE, bias_keys=()),
    "minimax_m1": Traits(windows=Windows.NONE, bias_keys=()),
    "minimax_m2": Traits(query_key_norm=QueryKeyNorm.FULL, stated_query_key_norm=QueryKeyNorm.FULL, windows=Windows.NONE, bias_keys=()),
    "smollm3": Traits(bias_key_covers_output=True, tied=True),
    "seed_oss": Traits(qkv_bias=True, windows=Windows.NONE),
    "exaone": Traits(windows=Windows.NONE, bias_keys=()),
    "exaone4": Traits(query_key_norm=QueryKeyNorm.HEAD, windows=Windows.PATTERN, window_pattern=4, bias_keys=()),
    "ernie4_5": Traits(bias_keys=("use_bias",), bias_key_covers_output=True, tied=True, windows=Windows.NONE),
    "ernie4_5_moe": Traits(bias_keys=("use_bias",), bias_key_covers_output=True, tied=True, windows=Windows.NONE),
    "hunyuan_v1_dense": Traits(query_key_norm=QueryKeyNorm.HEAD, bias_key_covers_output=True, windows=Windows.NONE),
    "hunyuan_v1_moe": Traits(query_key_norm=QueryKeyNorm.HEAD, bias_key_covers_output=True, windows=Windows.NONE),
    "baichuan": Traits(windows=Windows.NONE, bias_keys=()),
    "internlm2": Traits(bias_keys=("bias",), bias_key_covers_output=True, windows=Windows.NONE),
    "mimo": _QWEN,
    "mimo_v2_flash": Traits(windows=Windows.NONE),
    "apertus": Traits(gated=False, query_key_norm=QueryKeyNorm.HEAD, bias_key_covers_output=True, windows=Windows.NONE),
    "arcee": Traits(gated=False, bias_key_covers_output=True, windows=Windows.NONE),
    "helium": Traits(bias_key_covers_output=True, windows=Windows.NONE),
    "jamba": Traits(windows=Windows.NONE, bias_keys=()),
    "falcon_h1": Traits(bias_key_covers_output=True, windows=Windows.NONE),
    "bamba": Traits(bias_key_covers_output=True, windows=Windows.NONE),
    "nemotron_h": Traits(gated=False, norms=1, bias_key_covers_output=True, windows=Windows.NONE),
    "nemotron-nas": _LLAMA,
    "mamba": Traits(norms=1, tied=True),
    "mamba2": Traits(norms=1, tied=True),
    "falcon_mamba": Traits(norms=1, tied=True),
}


def traits_of(family: str) -> Traits | None:
    """Defaults of a `model_type`; None when the family is not known."""
    return _FAMILIES.get(family)
