"""What is called a change, and how it is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mfu.judge.change import UNKNOWN_SETUP, Setup, changes, fold, intent_leaves, is_comparable, leaves_digest

SPEC = {
    "model": {"catalog": "llama-3.1-8b"},
    "precision": {"compute": "bf16"},
    "accelerators": {"class": "h100-sxm-80gb", "count": 64},
    "training": {"globalBatchSize": 1024, "parallelism": {"tensor": 8}},
    "telemetry": {"source": "auto"},
}


def declared(**training: object) -> Setup:
    spec = {**SPEC, "training": {**SPEC["training"], **training}}  # type: ignore[dict-item]  # a literal of mixed values
    leaves = intent_leaves(spec)
    return Setup(image="train:1", driver="550.90", nodes="gpu-1, gpu-2", spec=leaves_digest(leaves), leaves=leaves)


BASE = declared()


@pytest.mark.parametrize(
    ("after", "said"),
    [
        pytest.param(BASE, (), id="nothing"),
        pytest.param(replace(BASE, image="train:2"), ("image train:1 → train:2",), id="image"),
        pytest.param(replace(BASE, driver="570.1"), ("driver 550.90 → 570.1",), id="driver"),
        pytest.param(replace(BASE, nodes="gpu-1, gpu-3"), ("nodes gpu-1, gpu-2 → gpu-1, gpu-3",), id="nodes"),
        pytest.param(declared(globalBatchSize=512), ("training.globalBatchSize 1024 → 512",), id="a declared field"),
        pytest.param(declared(microBatchSize=2), ("training.microBatchSize unset → 2",), id="a field that was not set"),
        pytest.param(replace(BASE, spec="other", leaves=()), ("the declared intent",), id="an intent of unknown fields"),
        pytest.param(replace(BASE, image="", nodes="", driver=""), (), id="what is not known is no change"),
        pytest.param(
            replace(BASE, image="train:2", nodes="gpu-9"), ("image train:1 → train:2", "nodes gpu-1, gpu-2 → gpu-9"), id="two at once"
        ),
    ],
)
def test_a_change_is_named(after: Setup, said: tuple[str, ...]) -> None:
    assert changes(BASE, after) == said
    assert after.is_same(BASE) == (not said)


def test_many_changed_fields_are_counted() -> None:
    after = declared(globalBatchSize=1, a=1, b=2, c=3, d=4)
    assert changes(BASE, after)[-1] == "2 more fields"


def test_where_telemetry_is_found_is_no_part_of_the_intent() -> None:
    assert intent_leaves(SPEC) == intent_leaves({**SPEC, "telemetry": {"source": "vllm"}, "target": {"name": "x"}})


@pytest.mark.parametrize(
    ("field", "value", "comparable"),
    [
        ("model", {"catalog": "llama-3.1-70b"}, False),
        ("precision", {"compute": "fp8"}, False),
        ("accelerators", {"class": "h200-sxm-141gb", "count": 64}, False),
        ("accelerators", {"class": "h100-sxm-80gb", "count": 128}, True),
    ],
)
def test_another_model_precision_or_class_cannot_be_compared(field: str, value: object, comparable: bool) -> None:
    leaves = intent_leaves({**SPEC, field: value})
    assert is_comparable(BASE, replace(BASE, spec=leaves_digest(leaves), leaves=leaves)) is comparable


def test_another_image_can_be_compared_and_an_unknown_intent_cannot() -> None:
    assert is_comparable(BASE, replace(BASE, image="train:2"))
    assert not is_comparable(BASE, replace(BASE, spec="other", leaves=()))


def test_accepting_is_a_change_once() -> None:
    accepted = replace(BASE, accepted="since the new data")
    assert accepted.accepts(BASE) and not accepted.is_same(BASE)
    assert not accepted.accepts(accepted) and accepted.is_same(accepted)
    assert not BASE.accepts(UNKNOWN_SETUP)


def test_many_names_fold_into_their_number_and_a_digest() -> None:
    assert fold(["b", "a", "b", ""]) == "a, b"
    many = [f"node-{number}" for number in range(100)]
    assert fold(many).startswith("100 (") and fold(many) != fold([*many[1:], "node-x"]) and fold(many) == fold(reversed(many))
