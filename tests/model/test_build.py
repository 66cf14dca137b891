"""The list of operations: order, fusion, tensor-parallel splits, adapters, prediction modules."""

from typing import Any

import pytest

from mfu.errors import IntentError
from mfu.model.architecture import Adapter
from mfu.model.build import operations
from mfu.model.config import read_config
from mfu.model.operations import ExpertLinear, Linear, Module, Operation, Pass, Split
from mfu.model.totals import parameters

DENSE: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 128,
}
EXPERTS = DENSE | {
    "model_type": "qwen2_moe",
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 48,
}
LATENT = DENSE | {
    "model_type": "deepseek_v3",
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 8,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "num_nextn_predict_layers": 1,
}


def splits(config: dict[str, Any]) -> dict[str, Split]:
    return {operation.name: operation.split for operation in operations(read_config(config))}


def named(config: dict[str, Any], name: str, **options: Any) -> Operation:
    return next(operation for operation in operations(read_config(config), **options) if operation.name == name)


def test_a_dense_layer_runs_in_order_with_its_projections_fused() -> None:
    assert [operation.name for operation in operations(read_config(DENSE))] == [
        "embedding",
        "norms",
        "qkv_proj",
        "rotary",
        "attention",
        "o_proj",
        "gate_up_proj",
        "activation",
        "down_proj",
        "final_norm",
        "lm_head",
    ]


def test_fused_queries_keys_and_values_have_the_shape_of_all_three() -> None:
    qkv = named(DENSE, "qkv_proj")
    assert isinstance(qkv, Linear)
    assert (qkv.gemm(Pass(batch=2, new_tokens=5)).m, qkv.outputs, qkv.inputs, qkv.count) == (10, (4 + 2 + 2) * 16, 64, 3)


def test_tensor_parallelism_divides_as_megatron_does() -> None:
    expected = {
        "embedding": Split.VOCABULARY,
        "norms": Split.REPLICATED,
        "qkv_proj": Split.COLUMN,
        "attention": Split.HEADS,
        "o_proj": Split.ROW,
        "gate_up_proj": Split.COLUMN,
        "activation": Split.COLUMN,
        "down_proj": Split.ROW,
        "lm_head": Split.VOCABULARY,
    }
    assert splits(DENSE).items() >= expected.items()


def test_latent_attention_divides_only_what_is_expanded_by_head() -> None:
    expected = {
        "q_a_proj": Split.REPLICATED,
        "kv_a_proj": Split.REPLICATED,
        "q_b_proj": Split.COLUMN,
        "kv_b_proj": Split.COLUMN,
        "o_proj": Split.ROW,
    }
    assert splits(LATENT).items() >= expected.items()


def test_the_router_is_replicated_and_experts_are_divided_inside() -> None:
    expected = {"router": Split.REPLICATED, "experts_gate_up": Split.COLUMN, "experts_down": Split.ROW, "shared_gate": Split.REPLICATED}
    assert splits(EXPERTS).items() >= expected.items()


def test_a_tied_head_has_no_parameters_of_its_own() -> None:
    tied = named(DENSE | {"tie_word_embeddings": True}, "lm_head")
    assert tied.parameters == 0
    assert tied.flops(Pass(batch=1, new_tokens=1)) == 2 * 64 * 128


@pytest.mark.parametrize(
    ("target", "inputs", "outputs"),
    [
        pytest.param("q_proj", 64, 64, id="queries"),
        pytest.param("k_proj", 64, 32, id="keys"),
        pytest.param("o_proj", 64, 64, id="output"),
        pytest.param("down_proj", 96, 64, id="down"),
        pytest.param("qkv_proj", 64, 128, id="the fused projection as a whole"),
        pytest.param("c_attn", 64, 128, id="the name GPT-2 gives it"),
        pytest.param("Wqkv", 64, 128, id="the name MPT gives it"),
    ],
)
def test_an_adapter_sits_beside_the_projection_it_names(target: str, inputs: int, outputs: int) -> None:
    found = [o for o in operations(read_config(DENSE), Adapter(rank=4, targets=(target,))) if o.module is Module.ADAPTER]
    assert [(o.inputs, o.outputs, o.count) for o in found if isinstance(o, Linear)] == [(inputs, 4, 3), (4, outputs, 3)]


def test_an_adapter_freezes_the_base_and_leaves_router_and_head_alone() -> None:
    found = operations(read_config(EXPERTS), Adapter(rank=4, targets=("all-linear",)))
    linears = [o for o in found if isinstance(o, Linear | ExpertLinear)]
    assert all(o.frozen == (o.module is not Module.ADAPTER) for o in linears)
    assert not any(o.name.startswith(("router", "lm_head")) for o in linears if o.module is Module.ADAPTER)
    assert any(isinstance(o, ExpertLinear) and o.module is Module.ADAPTER for o in linears)


def test_adapters_are_divided_on_the_side_the_base_is() -> None:
    found = {o.name: o.split for o in operations(read_config(DENSE), Adapter(rank=4, targets=("q_proj", "o_proj")))}
    assert (found["q_proj.lora_a"], found["q_proj.lora_b"]) == (Split.REPLICATED, Split.COLUMN)
    assert (found["o_proj.lora_a"], found["o_proj.lora_b"]) == (Split.ROW, Split.REPLICATED)


@pytest.mark.parametrize("targets", [("q_proj", "quux"), ()], ids=["an unknown name", "no name"])
def test_an_adapter_that_names_no_layer_is_refused(targets: tuple[str, ...]) -> None:
    with pytest.raises(IntentError, match=r"adapter\.targetModules: .*q_proj"):
        operations(read_config(DENSE), Adapter(rank=4, targets=targets))


def test_prediction_modules_are_left_out_until_declared() -> None:
    architecture = read_config(LATENT)
    declared = {o.name: o for o in operations(architecture, predict_ahead=True)}
    assert "eh_proj" in declared
    assert not any(o.module is Module.PREDICT_AHEAD for o in operations(architecture))
    assert declared["predict_ahead_head"].parameters == 0
    extra = parameters(architecture, predict_ahead=True).total - parameters(architecture).total
    one_layer = sum(o.parameters for o in operations(read_config(LATENT | {"num_hidden_layers": 2})) if o.count == 1) - sum(
        o.parameters for o in operations(read_config(LATENT | {"num_hidden_layers": 1})) if o.count == 1
    )
    assert extra == one_layer + 2 * 64 * 64 + 3 * 64


def test_alike_layers_are_listed_once() -> None:
    listed = operations(read_config(LATENT))
    assert {o.count for o in listed if o.name == "attention"} == {1, 2}
    assert sum(o.count for o in listed if o.name == "attention") == 3


def test_the_same_list_is_not_built_twice() -> None:
    assert operations(read_config(DENSE)) is operations(read_config(DENSE))
