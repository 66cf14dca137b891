"""Pairs and rows of single operations against direct enumeration."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.model.operations import AttentionCore, ExpertLinear, Linear, Logits, Module, Pass, Split

CORE = AttentionCore(
    name="attention", heads=4, score_dim=8, value_dim=8, decode_score_dim=8, decode_value_dim=8, cache_width=32, cache_heads=2
)
LENGTHS = st.integers(min_value=1, max_value=40)
PASTS = st.integers(min_value=0, max_value=40)


def enumerated(new: int, past: int, *, window: int | None = None, chunk: int | None = None) -> int:
    """Pairs of the mask, one by one."""
    return sum(
        1
        for query in range(past, past + new)
        for key in range(query + 1)
        if (window is None or query - key < window) and (chunk is None or query // chunk == key // chunk)
    )


@given(new=LENGTHS, past=PASTS)
def test_causal_pairs_are_those_of_the_mask(new: int, past: int) -> None:
    assert CORE.visible_pairs(Pass(batch=1, new_tokens=new, past_tokens=past)) == enumerated(new, past)


@given(new=LENGTHS, past=PASTS, window=LENGTHS)
def test_windowed_pairs_are_those_of_the_mask(new: int, past: int, window: int) -> None:
    windowed = replace(CORE, window=window)
    assert windowed.visible_pairs(Pass(batch=1, new_tokens=new, past_tokens=past)) == enumerated(new, past, window=window)


@given(new=LENGTHS, past=PASTS, chunk=LENGTHS)
def test_chunked_pairs_are_those_of_the_mask(new: int, past: int, chunk: int) -> None:
    chunked = replace(CORE, chunk=chunk)
    assert chunked.visible_pairs(Pass(batch=1, new_tokens=new, past_tokens=past)) == enumerated(new, past, chunk=chunk)


@given(new=LENGTHS, past=PASTS, top=LENGTHS)
def test_sparse_attention_sees_no_more_keys_than_its_indexer_picks(new: int, past: int, top: int) -> None:
    work = Pass(batch=1, new_tokens=new, past_tokens=past)
    assert replace(CORE, top_tokens=top).visible_pairs(work) == enumerated(new, past, window=top)


@given(new=LENGTHS, past=PASTS, block=st.integers(min_value=2, max_value=9), top=st.none() | st.integers(min_value=1, max_value=9))
def test_blocks_are_seen_once_they_are_complete(new: int, past: int, block: int, top: int | None) -> None:
    work = Pass(batch=1, new_tokens=new, past_tokens=past)
    seen = [min((query + 1) // block, top or 99) for query in range(past, past + new)]
    compressed = replace(CORE, block=block, top_tokens=top)
    assert compressed.visible_pairs(work) == sum(seen) <= compressed.full_pairs(work)
    assert compressed.visible_context(work) == seen[-1]


@given(
    sequence=LENGTHS,
    core=st.sampled_from([CORE, replace(CORE, window=5), replace(CORE, chunk=7), replace(CORE, top_tokens=3), replace(CORE, block=4)]),
)
def test_a_prefill_sees_as_many_pairs_as_its_tokens_one_by_one(sequence: int, core: AttentionCore) -> None:
    steps = [Pass(batch=1, new_tokens=1, past_tokens=past) for past in range(sequence)]
    assert core.visible_pairs(Pass(batch=1, new_tokens=sequence)) == sum(core.visible_pairs(step) for step in steps)


@given(new=LENGTHS, past=PASTS, window=st.none() | LENGTHS, chunk=st.none() | LENGTHS)
def test_the_last_token_reads_the_pairs_it_adds(new: int, past: int, window: int | None, chunk: int | None) -> None:
    core = replace(CORE, window=window, chunk=None if window else chunk)
    last = Pass(batch=1, new_tokens=1, past_tokens=new + past - 1)
    assert core.visible_context(Pass(batch=1, new_tokens=new, past_tokens=past)) == core.visible_pairs(last)


@given(new=LENGTHS, past=PASTS, window=st.none() | LENGTHS, causal=st.booleans())
def test_the_visible_pairs_lie_inside_the_rectangle(new: int, past: int, window: int | None, causal: bool) -> None:
    core = replace(CORE, window=window, causal=causal)
    work = Pass(batch=1, new_tokens=new, past_tokens=past)
    if causal:
        assert core.visible_pairs(work) <= core.full_pairs(work)
    else:
        assert core.visible_pairs(work) == new * (new + past)


def test_a_windowed_decode_step_reads_the_window_in_either_convention() -> None:
    core, step = replace(CORE, window=128), Pass(batch=8, new_tokens=1, past_tokens=2047)
    assert core.visible_pairs(step) == core.full_pairs(step) == 128


def test_latent_attention_decodes_over_its_latent() -> None:
    core = replace(CORE, heads=128, score_dim=192, value_dim=128, decode_score_dim=576, decode_value_dim=512)
    assert core.flops_per_pair(Pass(batch=1, new_tokens=2)) == 2 * 128 * (192 + 128)
    assert core.flops_per_pair(Pass(batch=1, new_tokens=1, past_tokens=9)) == 2 * 128 * (576 + 512)


def test_an_encoders_attention_runs_once_a_sequence() -> None:
    core = replace(CORE, causal=False, runs_on_encoder=True, encoder_tokens=10)
    assert core.visible_pairs(Pass(batch=1, new_tokens=3)) == 100
    assert core.visible_pairs(Pass(batch=1, new_tokens=1, past_tokens=3)) == 0


@pytest.mark.parametrize(("logits", "rows"), [(Logits.ALL, 30), (Logits.LAST, 3)], ids=["every position", "the last of each sequence"])
def test_the_head_runs_on_the_positions_asked_for(logits: Logits, rows: int) -> None:
    head = Linear(name="lm_head", module=Module.HEAD, inputs=4, outputs=100, split=Split.VOCABULARY)
    work = Pass(batch=3, new_tokens=10, logits=logits)
    assert head.rows(work) == rows
    assert head.gemm(work).flops == head.flops(work) == 2 * rows * 4 * 100


def test_cross_attention_projects_the_encoders_tokens_only_before_anything_is_cached() -> None:
    linear = Linear(
        name="kv_proj", module=Module.ATTENTION, inputs=4, outputs=8, split=Split.COLUMN, runs_on_encoder=True, encoder_tokens=50
    )
    assert linear.rows(Pass(batch=2, new_tokens=5)) == 100
    assert linear.rows(Pass(batch=2, new_tokens=1, past_tokens=5)) == 0


def test_few_tokens_reach_few_experts_and_many_reach_all() -> None:
    linear = ExpertLinear(name="experts_down", inputs=4, outputs=4, experts=64, active=2, split=Split.ROW)
    assert linear.touched(0) == 0
    assert linear.touched(1) == pytest.approx(2)
    assert linear.touched(10_000) == pytest.approx(64)
