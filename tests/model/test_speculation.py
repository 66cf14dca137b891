"""Speculative decoding: what is kept, what is thrown away, what the draft costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfu.model.config import read_config
from mfu.model.operations import Pass
from mfu.model.speculation import speculate
from mfu.model.totals import count

TARGET = read_config(
    {
        "model_type": "llama",
        "hidden_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 256,
        "vocab_size": 512,
    }
)
DRAFT = read_config(
    {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 512}
)


def test_without_proposals_every_flop_is_useful() -> None:
    found = speculate(TARGET, 100, 0, 0.7, DRAFT)
    plain = count(TARGET, Pass(batch=1, new_tokens=1, past_tokens=100)).forward.total_visible
    assert (found.tokens_per_step, found.useful_flops, found.rejected_flops, found.draft_flops) == (1.0, plain, 0.0, 0.0)


def test_perfect_guesses_waste_nothing_but_the_draft() -> None:
    found = speculate(TARGET, 1000, 3, 1.0, DRAFT)
    assert found.tokens_per_step == 4.0
    assert found.rejected_flops == pytest.approx(0, abs=0.01 * found.useful_flops)
    assert found.draft_flops == pytest.approx(3 / 4 * count(DRAFT, Pass(batch=1, new_tokens=1, past_tokens=1001)).forward.total_visible)


def test_useless_guesses_are_all_rejected() -> None:
    found = speculate(TARGET, 1000, 3, 0.0)
    assert found.tokens_per_step == 1.0
    assert found.rejected_flops == pytest.approx(3 * found.useful_flops, rel=0.01)
    assert found.draft_flops == 0.0


@given(
    tokens=st.integers(min_value=0, max_value=8),
    acceptance=st.floats(min_value=0, max_value=1),
    past=st.integers(min_value=1, max_value=500),
)
def test_guessing_never_makes_a_token_cheaper(tokens: int, acceptance: float, past: int) -> None:
    found = speculate(TARGET, past, tokens, acceptance, DRAFT)
    assert 1.0 <= found.tokens_per_step <= tokens + 1
    assert found.executed_flops >= found.useful_flops > 0
    assert found.useful_flops == speculate(TARGET, past, 0, 0.0).useful_flops
