"""Bytes moved by operations, worked out by hand."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.model.build import operations
from mfu.model.config import read_config
from mfu.model.operations import AttentionCore, Elementwise, ExpertLinear, Linear, Lookup, Module, Operation, Pass, Scan, Split
from mfu.model.traffic import Storage, moved_bytes
from tests.model.drawn import configs

STORAGE = Storage(weight_bytes=1.0, activation_bytes=2.0, cache_bytes=0.5)
WORK = Pass(batch=3, new_tokens=10)
DECODE = Pass(batch=3, new_tokens=1, past_tokens=99)
CORE = AttentionCore(
    name="attention", heads=4, score_dim=8, value_dim=6, decode_score_dim=8, decode_value_dim=6, cache_width=28, cache_heads=2
)
LINEAR = Linear(name="up", module=Module.MLP, inputs=5, outputs=7, split=Split.COLUMN, bias=True)
EXPERTS = ExpertLinear(name="up", inputs=5, outputs=7, experts=8, active=2, split=Split.COLUMN)


@pytest.mark.parametrize(
    ("operation", "work", "expected"),
    [
        pytest.param(LINEAR, WORK, 42 * 1 + 30 * 12 * 2, id="a linear layer"),
        pytest.param(replace(LINEAR, tied=True, bias=False), WORK, 35 * 1 + 30 * 12 * 2, id="a tied one is read all the same"),
        pytest.param(EXPERTS, WORK, pytest.approx(8 * 35 * (1 - 0.75**30) + 60 * 12 * 2), id="experts as far as they are reached"),
        pytest.param(CORE, WORK, 30 * 4 * 14 * 2 + 3 * (10 + 10) * 28 * 0.5, id="attention over its own tokens"),
        pytest.param(CORE, DECODE, 3 * 4 * 14 * 2 + 3 * (100 + 1) * 28 * 0.5, id="attention over a cache"),
        pytest.param(replace(CORE, window=16), DECODE, 3 * 4 * 14 * 2 + 3 * (16 + 1) * 28 * 0.5, id="a window of a cache"),
        pytest.param(replace(CORE, top_tokens=20), DECODE, 3 * 4 * 14 * 2 + 3 * (20 + 1) * 28 * 0.5, id="the tokens an indexer picks"),
        pytest.param(replace(CORE, cross_tokens=50), DECODE, 3 * 4 * 14 * 2 + 3 * 50 * 2 * 14 * 0.5, id="an encoder's tokens"),
        pytest.param(replace(CORE, runs_on_encoder=True, encoder_tokens=50), DECODE, 0, id="an encoder while decoding"),
        pytest.param(
            Scan(name="scan", flops_per_token=1, state_elements=11, io_elements_per_token=4, module=Module.STATE_SPACE, parameters_each=9),
            DECODE,
            (3 * 4 + 2 * 3 * 11) * 2 + 9,
            id="a state read and written",
        ),
        pytest.param(
            Elementwise(name="norms", module=Module.NORM, elements_per_token=12, split=Split.REPLICATED), WORK, 30 * 12 * 2, id="a norm"
        ),
        pytest.param(Lookup(name="embedding", rows_in_table=99, width=16), WORK, 30 * 16 * (1 + 2), id="rows of a table"),
    ],
)
def test_every_input_is_read_and_every_result_written_once(operation: Operation, work: Pass, expected: float) -> None:
    assert moved_bytes(operation, work, STORAGE) == expected


@given(config=configs(), past=st.sampled_from([0, 50]))
def test_more_sequences_never_move_less(config: dict[str, Any], past: int) -> None:
    for operation in operations(read_config(config)):
        few, many = (moved_bytes(operation, Pass(batch=batch, new_tokens=4, past_tokens=past), STORAGE) for batch in (1, 8))
        assert 0 <= few <= many


@given(config=configs())
def test_wider_storage_moves_more(config: dict[str, Any]) -> None:
    narrow, wide = Storage(weight_bytes=0.5, activation_bytes=1, cache_bytes=1), Storage(weight_bytes=4, activation_bytes=4, cache_bytes=4)
    for operation in operations(read_config(config)):
        assert moved_bytes(operation, DECODE, narrow) <= moved_bytes(operation, DECODE, wide)
