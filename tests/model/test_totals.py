"""Properties that hold for the totals of every model."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mfu.model.architecture import Adapter
from mfu.model.build import operations
from mfu.model.config import read_config
from mfu.model.operations import AttentionCore, Module, Pass
from mfu.model.totals import Flops, by_module, count, parameters
from tests.model.drawn import configs

WORK = st.builds(
    Pass,
    batch=st.integers(min_value=1, max_value=8),
    new_tokens=st.integers(min_value=1, max_value=100),
    past_tokens=st.sampled_from([0, 1, 77]),
)
NOTHING = Flops(linear=0, lm_head=0, attention_full=0, attention_visible=0, scan=0)


@given(config=configs(), work=WORK)
def test_the_modules_add_up_to_the_model(config: dict[str, Any], work: Pass) -> None:
    architecture = read_config(config)
    parts = by_module(architecture, work)
    assert sum((flops for _, flops in parts.values()), NOTHING) == count(architecture, work).forward
    assert sum(held.total for held, _ in parts.values()) == parameters(architecture).total


@given(config=configs(), work=WORK)
def test_what_the_mask_shows_is_at_most_the_square(config: dict[str, Any], work: Pass) -> None:
    forward = count(read_config(config), work).forward
    assert 0 <= forward.attention_visible <= forward.attention_full
    assert forward.total_visible <= forward.total_full


@given(config=configs(), work=WORK)
def test_twice_the_layers_cost_twice_as_much_below_the_head(config: dict[str, Any], work: Pass) -> None:
    once = read_config(config)
    twice = replace(once, layers=tuple(replace(layer, count=2 * layer.count) for layer in once.layers))
    one, two = count(once, work).forward, count(twice, work).forward
    assert two == Flops(
        linear=2 * one.linear,
        lm_head=one.lm_head,
        attention_full=2 * one.attention_full,
        attention_visible=2 * one.attention_visible,
        scan=2 * one.scan,
    )


@given(config=configs(), work=WORK)
def test_a_window_that_holds_everything_changes_nothing(config: dict[str, Any], work: Pass) -> None:
    wide = work.new_tokens + work.past_tokens
    windowed = read_config(config | {"sliding_window": wide, "attention_chunk_size": wide})
    cores = [operation for operation in operations(windowed) if isinstance(operation, AttentionCore)]
    for core in cores:
        assert core.flops(work) == replace(core, window=None, chunk=None).flops(work)


@given(config=configs(), work=WORK)
def test_an_adapter_of_rank_nought_is_the_base(config: dict[str, Any], work: Pass) -> None:
    architecture = read_config(config)
    assert count(architecture, work, Adapter(rank=0, targets=("all-linear",))) == count(architecture, work)


@given(config=configs(), work=WORK, rank=st.integers(min_value=1, max_value=64))
def test_an_adapter_adds_work_to_the_forward_and_takes_it_from_the_backward(config: dict[str, Any], work: Pass, rank: int) -> None:
    architecture = read_config(config)
    base, adapted = count(architecture, work), count(architecture, work, Adapter(rank=rank, targets=("all-linear",)))
    adapter_flops = adapted.forward.linear - base.forward.linear
    assert adapter_flops > 0
    assert adapted.parameters.total == base.parameters.total + adapted.parameters.adapter
    assert adapted.training.linear == 2 * base.forward.linear + 3 * adapter_flops
    assert adapted.training.lm_head == 2 * base.forward.lm_head
    assert adapted.training.attention_visible == 3 * base.forward.attention_visible


@given(config=configs(), work=WORK)
def test_training_is_three_products_for_each_one(config: dict[str, Any], work: Pass) -> None:
    counted = count(read_config(config), work)
    assert counted.training.total_full == 3 * counted.forward.total_full
    assert counted.training.total_visible == 3 * counted.forward.total_visible


@given(config=configs(), sequence=st.integers(min_value=1, max_value=30))
def test_a_prefill_costs_what_its_tokens_cost_one_by_one(config: dict[str, Any], sequence: int) -> None:
    architecture = read_config({key: value for key, value in config.items() if key != "kv_lora_rank"})  # latent attention decodes absorbed
    steps = [count(architecture, Pass(batch=2, new_tokens=1, past_tokens=past)).forward for past in range(sequence)]
    whole = count(architecture, Pass(batch=2, new_tokens=sequence)).forward
    assert sum(step.total_visible for step in steps) == whole.total_visible


@given(config=configs())
def test_a_token_reaches_at_most_all_parameters(config: dict[str, Any]) -> None:
    held = parameters(read_config(config))
    assert 0 < held.embedding <= held.active_per_token <= held.total


@given(config=configs(), work=WORK, factor=st.integers(min_value=1, max_value=9))
def test_a_larger_batch_costs_in_proportion(config: dict[str, Any], work: Pass, factor: int) -> None:
    architecture = read_config(config)
    assert (
        count(architecture, replace(work, batch=factor * work.batch)).forward.total_visible
        == factor * count(architecture, work).forward.total_visible
    )


def test_modules_are_listed_in_the_order_they_run() -> None:
    config = {
        "model_type": "mixtral",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "vocab_size": 128,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
    }
    listed = list(by_module(read_config(config), Pass(batch=1, new_tokens=4)))
    assert listed == [Module.EMBEDDING, Module.NORM, Module.ATTENTION, Module.ROUTER, Module.EXPERTS, Module.HEAD]
