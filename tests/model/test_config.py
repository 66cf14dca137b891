"""Reading configs of every style: old and new keys, nested models, lists by layer, families that state little."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mfu.errors import ConfigError
from mfu.model.architecture import Attention, CompressedAttention, DeltaNet, Experts, LatentAttention, Mlp, StateSpace
from mfu.model.config import read_config
from mfu.model.operations import Pass
from mfu.model.totals import count, parameters

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 128,
}
EXPERTS = LLAMA | {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}


def reaches(config: dict[str, Any]) -> list[tuple[int | None, int | None, int]]:
    """(window, chunk, layers) of every kind of attention."""
    return [(mixer.window, mixer.chunk, n) for mixer, n in read_config(config).mixers() if isinstance(mixer, Attention)]


def expert_layers(config: dict[str, Any]) -> int:
    return sum(layer.count for layer in read_config(config).layers if any(isinstance(part, Experts) for part in layer.feed_forward))


def test_old_and_new_key_styles_say_the_same() -> None:
    old = {"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 32, "vocab_size": 100}
    new = {
        "model_type": "gpt2",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 32,
        "vocab_size": 100,
    }
    assert read_config(old) == read_config(new)


@pytest.mark.parametrize("name", ["text_config", "llm_config", "language_config"])
def test_the_language_model_of_a_multimodal_config_is_read_and_its_towers_are_named(name: str) -> None:
    nested = read_config({"model_type": "some_vlm", name: LLAMA, "vision_config": {"hidden_size": 7}})
    assert nested.layers == read_config(LLAMA).layers
    assert nested.assumptions == ("only the language model is counted; left out: vision_config",)


def test_a_nested_language_model_takes_what_it_leaves_out_from_its_class() -> None:
    stated = {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34, "sliding_window": 1024}
    nested = read_config({"model_type": "gemma3", "text_config": stated})
    assert parameters(nested).total == 3_880_263_168
    assert nested.assumptions == (
        "text_config.* leaves out what its class supplies: num_attention_heads 8, num_key_value_heads 4, vocab_size 262208, head_dim 256",
    )
    with pytest.raises(ConfigError, match="lacks vocab_size"):
        read_config(stated)


@pytest.mark.parametrize(
    ("top", "nested", "tied"),
    [(True, None, True), (None, True, True), (False, True, False), (None, None, False)],
    ids=["only the whole model says", "only the language model says", "the whole model overrules", "nobody says"],
)
def test_the_whole_model_says_whether_embeddings_are_tied(top: bool | None, nested: bool | None, tied: bool) -> None:
    config = {"text_config": LLAMA | {"tie_word_embeddings": nested}, "tie_word_embeddings": top}
    assert read_config(config).tied_embeddings is tied


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        pytest.param({"model_type": "llama", "sliding_window": 16}, [(None, None, 8)], id="a family that ignores the key"),
        pytest.param({"model_type": "mistral", "sliding_window": 16}, [(16, None, 8)], id="every layer"),
        pytest.param({"model_type": "mistral", "sliding_window": None}, [(None, None, 8)], id="null"),
        pytest.param({"model_type": "qwen2", "sliding_window": 16}, [(None, None, 8)], id="not switched on"),
        pytest.param(
            {"model_type": "qwen2", "sliding_window": 16, "use_sliding_window": True, "max_window_layers": 6},
            [(None, None, 6), (16, None, 2)],
            id="switched on from a layer",
        ),
        pytest.param({"model_type": "gemma2", "sliding_window": 16}, [(16, None, 4), (None, None, 4)], id="every other layer"),
        pytest.param({"model_type": "gemma3_text", "sliding_window": 16}, [(16, None, 7), (None, None, 1)], id="all but every sixth"),
        pytest.param(
            {"model_type": "cohere2", "sliding_window": 16, "sliding_window_pattern": 4},
            [(16, None, 6), (None, None, 2)],
            id="all but every fourth",
        ),
        pytest.param(
            {"model_type": "exaone4", "sliding_window": 16, "sliding_window_pattern": "LG"},
            [(16, None, 4), (None, None, 4)],
            id="a word",
        ),
        pytest.param(
            {"model_type": "llama", "sliding_window": 16, "layer_types": ["sliding_attention"] * 3 + ["full_attention"] * 5},
            [(16, None, 3), (None, None, 5)],
            id="listed by layer",
        ),
        pytest.param({"model_type": "llama4_text", "attention_chunk_size": 32}, [(None, 32, 6), (None, None, 2)], id="chunks"),
        pytest.param(
            {"model_type": "llama4_text", "attention_chunk_size": 32, "no_rope_layers": [1, 0] * 4},
            [(None, 32, 4), (None, None, 4)],
            id="chunks where positions are used",
        ),
        pytest.param(
            {"model_type": "mimo_v2_flash", "sliding_window": 16, "hybrid_layer_pattern": [0, 1, 1, 1] * 2},
            [(None, None, 2), (16, None, 6)],
            id="a pattern of ones",
        ),
    ],
)
def test_windows_fall_on_the_layers_the_config_says(keys: dict[str, Any], expected: list[Any]) -> None:
    assert reaches(LLAMA | keys) == expected


@pytest.mark.parametrize(
    ("keys", "layers"),
    [
        pytest.param({}, 8, id="all"),
        pytest.param({"first_k_dense_replace": 3}, 5, id="after the first dense ones"),
        pytest.param({"first_k_dense_replace": 1, "moe_layer_freq": 2}, 3, id="every second after the first"),
        pytest.param({"moe_layer_freq": [0, 1] * 4}, 4, id="a list of ones"),
        pytest.param({"decoder_sparse_step": 2, "mlp_only_layers": [1]}, 3, id="steps without some"),
        pytest.param({"interleave_moe_layer_step": 4}, 2, id="interleaved"),
        pytest.param({"expert_layer_period": 2, "expert_layer_offset": 1}, 4, id="a period"),
        pytest.param({"moe_layer_start_index": 2, "moe_layer_end_index": 6}, 5, id="a range"),
        pytest.param({"moe_layers_enum": "1,4,7"}, 3, id="an enumeration"),
        pytest.param({"mlp_layer_types": ["dense", "sparse"] * 4}, 4, id="listed by layer"),
        pytest.param({"num_experts": 1}, 0, id="one expert is no choice"),
    ],
)
def test_experts_fall_on_the_layers_the_config_says(keys: dict[str, Any], layers: int) -> None:
    assert expert_layers(EXPERTS | keys) == layers


@pytest.mark.parametrize(
    ("keys", "intermediate"),
    [
        pytest.param({"model_type": "qwen2_moe", "shared_expert_intermediate_size": 48}, 48, id="its width"),
        pytest.param({"n_shared_experts": 2}, 64, id="a number of routed ones"),
        pytest.param({"model_type": "llama4_text", "moe_intermediate_size": None}, 96, id="in the class itself"),
        pytest.param({"shared_intermediate_size": 0}, None, id="none"),
    ],
)
def test_shared_experts_are_found_under_every_name(keys: dict[str, Any], intermediate: int | None) -> None:
    part = read_config(EXPERTS | keys).layers[0].feed_forward[0]
    assert isinstance(part, Experts)
    assert (part.shared.intermediate if part.shared else None) == intermediate


@pytest.mark.parametrize(
    ("keys", "groups"),
    [
        pytest.param({"model_type": "llama", "num_key_value_heads": None}, 4, id="as many as queries"),
        pytest.param({"model_type": "falcon", "multi_query": True}, 1, id="multi-query by name"),
        pytest.param(
            {"model_type": "falcon", "new_decoder_architecture": True, "num_key_value_heads": None, "num_kv_heads": 2}, 2, id="new Falcon"
        ),
        pytest.param({"model_type": "chatglm", "multi_query_attention": True, "multi_query_group_num": 2}, 2, id="ChatGLM"),
        pytest.param({"model_type": "gpt_bigcode"}, 1, id="multi-query by default"),
        pytest.param({"model_type": "dbrx", "attn_config": {"kv_n_heads": 2}}, 2, id="nested"),
    ],
)
def test_key_value_heads_are_found_under_every_name(keys: dict[str, Any], groups: int) -> None:
    mixer = read_config(LLAMA | keys).layers[0].mixers[0]
    assert isinstance(mixer, Attention)
    assert mixer.key_value_heads == groups


def test_a_plain_network_has_two_matrices_and_a_gated_one_three() -> None:
    assert read_config(LLAMA | {"model_type": "nemotron"}).layers[0].feed_forward == (Mlp(intermediate=96, gated=False),)
    assert read_config(LLAMA).layers[0].feed_forward == (Mlp(intermediate=96, gated=True),)


def test_low_rank_keys_make_latent_attention_whatever_the_model_is_called() -> None:
    keys = {"model_type": "novel", "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8}
    assert isinstance(read_config(LLAMA | keys).layers[0].mixers[0], LatentAttention)


def test_layers_without_their_own_indexer_still_attend_sparsely() -> None:
    latent = {"kv_lora_rank": 16, "q_lora_rank": 24, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8}
    sparse = {"index_n_heads": 2, "index_head_dim": 8, "index_topk": 5, "indexer_types": ["full", "shared"] * 4}
    mixers = [
        (m.indexer_heads, m.indexer_top_tokens, n)
        for m, n in read_config(LLAMA | latent | sparse).mixers()
        if isinstance(m, LatentAttention)
    ]
    assert mixers == [(2, 5, 4), (0, 5, 4)]


def test_compressed_attention_is_read_with_its_streams_and_its_grouped_output() -> None:
    flash = {
        "model_type": "deepseek_v4",
        "vocab_size": 129280,
        "hidden_size": 4096,
        "moe_intermediate_size": 2048,
        "num_hidden_layers": 43,
        "num_attention_heads": 64,
        "num_key_value_heads": 1,
        "head_dim": 512,
        "q_lora_rank": 1024,
        "num_experts_per_tok": 6,
        "n_routed_experts": 256,
        "n_shared_experts": 1,
        "sliding_window": 128,
        "o_groups": 8,
        "o_lora_rank": 1024,
        "index_n_heads": 64,
        "index_head_dim": 128,
        "index_topk": 512,
        "hc_mult": 4,
        "compress_ratios": [128] + [128, 4] * 21 + [0],
    }
    architecture = read_config(flash)
    assert parameters(architecture).total == 284_340_750_935
    assert [(m.compress_rate, n) for m, n in architecture.mixers() if isinstance(m, CompressedAttention)] == [(128, 22), (4, 21)]
    with pytest.raises(ConfigError, match="must hold 0, 4 and 128 only, not 16"):
        read_config(flash | {"compress_ratios": [16] * 43})


def test_hybrids_are_read_from_letters_and_from_words() -> None:
    scan = {"model_type": "nemotron_h", "mamba_num_heads": 4, "mamba_head_dim": 8, "ssm_state_size": 16, "head_dim": 16}
    letters = read_config(LLAMA | scan | {"hybrid_override_pattern": "M-M*M-M*"})
    words = {key: value for key, value in (LLAMA | scan).items() if key != "num_hidden_layers"}
    listed = read_config(words | {"layers_block_type": ["mamba", "mlp", "mamba", "attention"] * 2})
    assert letters == listed
    assert letters.layer_count == 8
    assert [n for mixer, n in letters.mixers() if isinstance(mixer, StateSpace)] == [4]


def test_linear_attention_takes_turns_with_full_attention() -> None:
    keys = {
        "model_type": "qwen3_next",
        "full_attention_interval": 4,
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    }
    kinds = [(type(mixer), n) for mixer, n in read_config(LLAMA | keys).mixers()]
    assert kinds == [(DeltaNet, 6), (Attention, 2)]


def test_lists_that_say_the_same_for_every_layer_are_one_number() -> None:
    assert read_config(LLAMA | {"intermediate_size": [96] * 8}) == read_config(LLAMA)


def test_a_list_longer_than_the_layers_is_cut() -> None:
    listed = LLAMA | {"sliding_window": 16, "layer_types": ["sliding_attention"] * 8 + ["full_attention"]}
    assert reaches(listed) == [(16, None, 8)]


def test_searched_blocks_have_each_their_own_width() -> None:
    attention, none = {"n_heads_in_group": 2}, {"no_op": True}
    blocks = [{"attention": attention, "ffn": {"ffn_mult": 6.0}}, {"attention": none, "ffn": {"ffn_mult": 3.0}}]
    architecture = read_config(
        LLAMA | {"model_type": "nemotron-nas", "intermediate_size": None, "hidden_size": 128, "block_configs": blocks}
    )
    assert [(len(layer.mixers), layer.feed_forward) for layer in architecture.layers] == [
        (1, (Mlp(intermediate=512, gated=True),)),
        (0, (Mlp(intermediate=256, gated=True),)),
    ]


def test_an_unknown_decoder_is_counted_and_the_assumption_is_stated() -> None:
    unknown = read_config(LLAMA | {"model_type": "brand_new"})
    assert unknown.layers == read_config(LLAMA).layers
    assert len(unknown.assumptions) == 1
    assert "'brand_new' is not known" in unknown.assumptions[0]


def test_an_unknown_decoder_with_layer_norms_and_gelu_is_taken_for_a_plain_one() -> None:
    old_style = {"model_type": "older", "hidden_act": "gelu", "layer_norm_eps": 1e-5}
    assert read_config(LLAMA | old_style).layers[0].feed_forward == (Mlp(intermediate=96, gated=False, bias=True),)


def test_recurrences_are_told_apart_where_one_word_covers_them_all() -> None:
    scans = {"layer_types": ["linear_attention"] * 8, "mamba_d_state": 16, "mamba_n_heads": 4, "mamba_d_head": 8}
    assert [type(mixer) for mixer, _ in read_config(LLAMA | scans).mixers()] == [StateSpace]
    delta = {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
    assert [type(mixer) for mixer, _ in read_config(LLAMA | delta | {"layer_types": ["linear_attention"] * 8}).mixers()] == [DeltaNet]


def test_single_layers_can_state_sizes_of_their_own() -> None:
    wide = read_config(LLAMA | {"per_layer_config": {"3": {"head_dim": 32}, "7": {"head_dim": 32}}})
    assert [(mixer.head_dim, n) for mixer, n in wide.mixers() if isinstance(mixer, Attention)] == [(16, 6), (32, 2)]


def test_layers_that_reuse_a_cache_have_no_keys_and_values_of_their_own() -> None:
    reusing = read_config(LLAMA | {"num_kv_shared_layers": 3})
    assert [(mixer.shares_key_value, n) for mixer, n in reusing.mixers() if isinstance(mixer, Attention)] == [(False, 5), (True, 3)]
    assert parameters(read_config(LLAMA)).total - parameters(reusing).total == 3 * 2 * 64 * 32


def test_local_layers_are_repeated_as_often_as_stated() -> None:
    neo = {"model_type": "gpt_neo", "window_size": 16, "attention_types": [[["global", "local", "local"], 2], [["global"], 2]]}
    assert reaches(LLAMA | neo) == [(None, None, 4), (16, None, 4)]


def test_an_encoder_decoder_runs_its_encoder_over_the_tokens_given() -> None:
    config = {"model_type": "t5", "d_model": 64, "d_ff": 96, "d_kv": 16, "num_layers": 2, "num_heads": 4, "vocab_size": 128}
    short, long = (count(read_config(config, encoder_tokens=n), Pass(batch=1, new_tokens=8)).forward for n in (10, 20))
    layer = 2 * (4 * 64 * 64 + 2 * 64 * 96 + 2 * 64 * 64)  # own projections, network, the decoder's keys and values
    assert long.linear - short.linear == 10 * 2 * layer
    step = count(read_config(config, encoder_tokens=20), Pass(batch=1, new_tokens=1, past_tokens=8)).forward
    assert step.linear == 2 * 2 * (4 * 64 * 64 + 2 * 64 * 64 + 2 * 64 * 96)


def test_a_dtype_is_read_under_both_names() -> None:
    assert read_config(LLAMA | {"torch_dtype": "bfloat16"}).native_precision == "bf16"
    assert read_config(LLAMA | {"dtype": "float16"}).native_precision == "fp16"


def test_every_config_found_in_the_wild_is_read_or_refused_with_its_key() -> None:
    """The folder is named by MFU_FOUND_CONFIGS; without it, the structures above are all there is."""
    folder = os.environ.get("MFU_FOUND_CONFIGS")
    for file in sorted(Path(folder).glob("*.json")) if folder else []:
        config = json.loads(file.read_text())
        try:
            architecture = read_config(config)
        except ConfigError as error:
            assert error.path.split(".")[-1] in {"quantization"}, f"{file.name}: {error}"
        else:
            assert parameters(architecture).total > 0
