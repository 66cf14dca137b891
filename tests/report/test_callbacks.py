"""The callbacks, driven as the frameworks drive them, without the frameworks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from mfu.errors import MfuError
from mfu.report import Reporter, Scope, hugging_face_callback, lightning_callback
from mfu.report.lightning import positions


@dataclass
class Spy:
    """Stands for a reporter: keeps what it was told."""

    scope: Scope = Scope.JOB
    tokens: int = 0
    steps: int = 0
    waits: list[float] = field(default_factory=list)

    def step(self, *, tokens: int = 0, steps: int = 1) -> None:
        self.tokens += tokens
        self.steps += steps

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("mfu.report.hugging_face.perf_counter", clock)
    monkeypatch.setattr("mfu.report.lightning.perf_counter", clock)
    return clock


def as_reporter(spy: Spy) -> Reporter:
    return spy  # type: ignore[return-value]  # the two methods and the scope are all that is used


ARGUMENTS = SimpleNamespace(train_batch_size=4, gradient_accumulation_steps=2, world_size=8, include_num_input_tokens_seen=False)


def hugging_face(callback: Any, *, steps: int, arguments: Any = ARGUMENTS, seen: int = 0, begin: int = 0, work: Callable[[], None]) -> None:
    """The events in the Trainer's order."""
    state = SimpleNamespace(global_step=begin, num_input_tokens_seen=0)
    callback.on_init_end(arguments, state, None)
    callback.on_train_begin(arguments, state, None)
    for _ in range(steps):
        callback.on_step_begin(arguments, state, None)
        callback.on_substep_end(arguments, state, None)
        callback.on_pre_optimizer_step(arguments, state, None)
        work()
        state.global_step += 1
        state.num_input_tokens_seen += seen
        callback.on_step_end(arguments, state, None)
        callback.on_log(arguments, state, None, logs={})
    callback.on_train_end(arguments, state, None)


def test_a_step_of_the_trainer_is_all_its_ranks_rows() -> None:
    spy = Spy()
    hugging_face(hugging_face_callback(as_reporter(spy), sequence_length=1024), steps=3, work=lambda: None)
    assert (spy.steps, spy.tokens) == (3, 3 * 4 * 2 * 8 * 1024)


def test_ranks_that_share_rows_count_once() -> None:
    spy = Spy()
    hugging_face(hugging_face_callback(as_reporter(spy), sequence_length=1024, data_parallel=2), steps=1, work=lambda: None)
    assert spy.tokens == 4 * 2 * 2 * 1024


def test_the_trainers_own_count_is_taken_where_it_counts() -> None:
    spy = Spy()
    arguments = SimpleNamespace(**{**vars(ARGUMENTS), "include_num_input_tokens_seen": True})
    hugging_face(hugging_face_callback(as_reporter(spy)), steps=2, arguments=arguments, seen=500, work=lambda: None)
    assert spy.tokens == 1000


def test_a_rank_counts_its_own_share() -> None:
    spy = Spy(scope=Scope.RANK)
    hugging_face(hugging_face_callback(as_reporter(spy), sequence_length=1024), steps=1, work=lambda: None)
    assert spy.tokens == 4 * 2 * 1024


def test_a_resumed_training_does_not_count_what_it_did_before() -> None:
    spy = Spy()
    hugging_face(hugging_face_callback(as_reporter(spy), sequence_length=8), steps=1, begin=5000, work=lambda: None)
    assert spy.steps == 1


def test_without_any_way_to_know_tokens_it_says_so_before_the_first_step() -> None:
    with pytest.raises(MfuError, match="sequence_length"):
        hugging_face(hugging_face_callback(as_reporter(Spy())), steps=1, work=lambda: None)


def test_the_trainer_waits_between_its_steps_and_not_while_it_logs(clock: Clock) -> None:
    spy = Spy()
    callback: Any = hugging_face_callback(as_reporter(spy), sequence_length=8)
    state = SimpleNamespace(global_step=0, num_input_tokens_seen=0)
    callback.on_train_begin(ARGUMENTS, state, None)
    callback.on_step_begin(ARGUMENTS, state, None)
    clock.now += 1.0
    callback.on_step_end(ARGUMENTS, state, None)
    clock.now += 30.0
    callback.on_evaluate(ARGUMENTS, state, None)
    clock.now += 0.5
    callback.on_step_begin(ARGUMENTS, state, None)
    assert spy.waits == [0.5]


def test_where_transformers_is_loaded_its_base_class_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    base = type("TrainerCallback", (), {"on_epoch_end": lambda self: "theirs"})
    monkeypatch.setitem(sys.modules, "transformers", _module("transformers", TrainerCallback=base))
    callback: Any = hugging_face_callback(as_reporter(Spy()), sequence_length=8)
    assert isinstance(callback, base) and callback.on_epoch_end() == "theirs"


@pytest.mark.parametrize("name", ["lightning.pytorch", "pytorch_lightning"])
def test_where_lightning_is_loaded_its_base_class_is_taken(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    base = type("Callback", (), {})
    monkeypatch.setitem(sys.modules, name, _module(name, Callback=base))
    assert isinstance(lightning_callback(as_reporter(Spy())), base)


@dataclass
class Tensor:
    shape: tuple[int, ...]


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        pytest.param({"labels": Tensor((2, 9)), "input_ids": Tensor((2, 8))}, 16, id="input_ids"),
        pytest.param((Tensor((4,)), Tensor((4, 32))), 128, id="the first of rows and positions"),
        pytest.param([{"x": Tensor((1, 7))}], 7, id="nested"),
        pytest.param(Tensor((3, 5)), 15, id="a tensor"),
    ],
)
def test_positions_of_a_batch(batch: Any, expected: int) -> None:
    assert positions(batch) == expected


def test_a_batch_without_positions_is_refused() -> None:
    with pytest.raises(MfuError, match="tokens_of"):
        positions({"image": Tensor((2, 3, 224, 224)), "name": "cat"})


def test_lightning_counts_batches_of_all_ranks_and_optimizer_steps(clock: Clock) -> None:
    spy = Spy()
    callback: Any = lightning_callback(as_reporter(spy), tokens_of=lambda batch: 100)
    trainer = SimpleNamespace(global_step=7, world_size=4)
    callback.on_train_start(trainer, None)
    for number in range(4):
        callback.on_train_batch_start(trainer, None, {}, number)
        clock.now += 1.0
        trainer.global_step += number % 2
        callback.on_train_batch_end(trainer, None, None, {}, number)
        clock.now += 0.25
    assert (spy.tokens, spy.steps, spy.waits) == (1600, 2, [0.25, 0.25, 0.25])


def _module(name: str, **content: object) -> ModuleType:
    module = ModuleType(name)
    for key, value in content.items():
        setattr(module, key, value)
    return module
