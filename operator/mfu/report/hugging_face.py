"""Callback for the Hugging Face Trainer. transformers is not imported: where it is loaded already, its base class is taken."""

import sys
from time import perf_counter
from typing import Any

from mfu.errors import MfuError
from mfu.report.reporter import Reporter, Scope

__all__ = ["hugging_face_callback"]


def hugging_face_callback(
    reporter: Reporter, *, sequence_length: int | None = None, data_parallel: int | None = None
) -> "_HuggingFaceHooks":
    """A callback for `Trainer(callbacks=[…])` that tells `reporter` every optimizer step.

    `sequence_length`: positions of a row as the model sees it, padding included; None: the Trainer's own count of input tokens is
    taken (set `include_num_input_tokens_seen` in its arguments). `data_parallel`: ranks that work on different rows; None: all.

    Waiting for data is the time from the end of a step (its logging, evaluation and saving done) to the start of the next: the
    Trainer fetches its batches there.
    """
    base: type = getattr(sys.modules.get("transformers"), "TrainerCallback", object)
    kind = type("ReporterCallback", (_HuggingFaceHooks, base), {})
    callback: _HuggingFaceHooks = kind(reporter, sequence_length, data_parallel)
    return callback


class _HuggingFaceHooks:
    """Events come as (arguments, state, control, **rest); the names are the Trainer's."""

    def __init__(self, reporter: Reporter, sequence_length: int | None, data_parallel: int | None) -> None:
        self._reporter = reporter
        self._sequence_length = sequence_length
        self._data_parallel = data_parallel
        self._idle_since: float | None = None
        self._tokens_seen = 0
        self._step = 0

    def __getattr__(self, name: str) -> Any:
        """Every event that is not listened to; the Trainer calls all of them on each callback."""
        if name.startswith("on_"):
            return _nothing
        raise AttributeError(name)

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if self._sequence_length is None and not getattr(args, "include_num_input_tokens_seen", False):
            raise MfuError(
                "hugging_face_callback does not know the tokens of a step; "
                "give it sequence_length or set include_num_input_tokens_seen in TrainingArguments"
            )
        self._tokens_seen, self._step = int(state.num_input_tokens_seen), int(state.global_step)
        self._idle_since = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if self._idle_since is not None:
            self._reporter.waited(perf_counter() - self._idle_since)
            self._idle_since = None

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        steps, self._step = int(state.global_step) - self._step, int(state.global_step)
        seen = int(state.num_input_tokens_seen)
        if self._sequence_length is None:
            tokens = seen - self._tokens_seen
            if self._reporter.scope is Scope.RANK:
                tokens //= int(args.world_size)
        else:
            ranks = 1 if self._reporter.scope is Scope.RANK else self._data_parallel or int(args.world_size)
            tokens = steps * int(args.train_batch_size) * int(args.gradient_accumulation_steps) * ranks * self._sequence_length
        self._tokens_seen = seen
        self._reporter.step(tokens=tokens, steps=steps)
        self._idle_since = perf_counter()

    def _busy(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if self._idle_since is not None:
            self._idle_since = perf_counter()

    on_log = on_evaluate = on_save = _busy


def _nothing(*arguments: Any, **rest: Any) -> None:
    return None
