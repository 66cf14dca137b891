"""Callback for Lightning's Trainer. Lightning is not imported: where it is loaded already, its base class is taken."""

import sys
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from mfu.errors import MfuError
from mfu.report.reporter import Reporter, Scope

__all__ = ["lightning_callback", "positions"]


def lightning_callback(
    reporter: Reporter, *, tokens_of: Callable[[Any], int] | None = None, data_parallel: int | None = None
) -> "_LightningHooks":
    """A callback for `Trainer(callbacks=[…])` that tells `reporter` every batch and every optimizer step.

    `tokens_of`: positions of one rank's batch, padding included; None: the size of its first two-dimensional tensor (`input_ids`
    where there is one). `data_parallel`: ranks that work on different batches; None: all. Waiting for data is the time between the end
    of one batch and the start of the next; other callbacks' work there counts with it.
    """
    loaded = (sys.modules.get(name) for name in ("lightning.pytorch", "pytorch_lightning"))
    base: type = next((module.Callback for module in loaded if module is not None), object)
    kind = type("ReporterCallback", (_LightningHooks, base), {})
    callback: _LightningHooks = kind(reporter, tokens_of or positions, data_parallel)
    return callback


class _LightningHooks:
    def __init__(self, reporter: Reporter, tokens_of: Callable[[Any], int], data_parallel: int | None) -> None:
        self._reporter = reporter
        self._tokens_of = tokens_of
        self._data_parallel = data_parallel
        self._idle_since: float | None = None
        self._step = 0

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self._step = int(trainer.global_step)
        self._idle_since = None

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_index: int) -> None:
        if self._idle_since is not None:
            self._reporter.waited(perf_counter() - self._idle_since)
            self._idle_since = None

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_index: int) -> None:
        ranks = 1 if self._reporter.scope is Scope.RANK else self._data_parallel or int(trainer.world_size)
        steps, self._step = int(trainer.global_step) - self._step, int(trainer.global_step)
        self._reporter.step(tokens=self._tokens_of(batch) * ranks, steps=steps)
        self._idle_since = perf_counter()

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        if self._idle_since is not None:
            self._idle_since = perf_counter()


def positions(batch: Any) -> int:
    """Elements of `input_ids`, or of the first tensor with two dimensions: rows × positions. Raises `MfuError` when there is none."""
    for tensor in _tensors(batch):
        shape = tuple(tensor.shape)
        if len(shape) == 2:
            return int(shape[0]) * int(shape[1])
    raise MfuError("lightning_callback finds no tensor of rows × positions in the batch; give it tokens_of")


def _tensors(batch: Any) -> list[Any]:
    if hasattr(batch, "shape"):
        return [batch]
    if isinstance(batch, Mapping):
        values = [batch["input_ids"]] if "input_ids" in batch else list(batch.values())
    elif isinstance(batch, Sequence) and not isinstance(batch, str):
        values = list(batch)
    else:
        values = []
    return [tensor for value in values for tensor in _tensors(value)]
