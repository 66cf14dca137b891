"""The text of docs/accuracy.md."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from tools.ladders import Ladder
from tools.measurements import Measurement
from tools.model_fit import Errors

__all__ = ["Scored", "page"]

_WAY_NAMES = {
    "tenth": "new rows of known sources (ten folds over distinct workloads)",
    "source": "leave one source out",
    "accelerator": "leave one accelerator out",
    "deployment": "leave one (model, accelerator, engine) out",
}
_KNOBS = {
    "layout": "tensor, pipeline, data, expert degrees and sharding",
    "micro-batch": "micro-batch size",
    "recomputation": "activation recomputation",
    "precision": "compute precision",
    "sequence": "sequence length, at the batch each source ran it with",
    "accelerators": "number of accelerators (weak and strong scaling)",
    "concurrency": "sequences in flight",
    "lengths": "input and output tokens",
    "tensor": "tensor parallelism",
}
_WORST_LADDERS = 6
_WORST_ROWS = 8

_WEAK_SPOTS = """\
## Weak spots

- **Fine-grained mixture-of-experts training.** Releases of one framework moved identical inputs by 30–57 %; the model knows two eras
  (experts launched from the host, and captured in graphs) and no more. A source or release never seen can be off by half.
- **A framework known from one source** (Megatron-Bridge, Composer, KempnerForge's FSDP): held out, its own overhead and overlap are not
  known, and a third to a half of its rows fall outside the interval. The same holds for a new stack: calibrate it with its own first runs.
- **Small untuned stacks** (KempnerForge on H200): eager overheads vary from model to model; half of the rows are outside the interval.
- **Micro-batch ladders of 2021 Megatron-DeepSpeed.** GEMMs of 2,048 rows split over eight ranks were up to 15 % slower there than the
  wave model says; which micro-batch is best on such a stack is close to a coin toss.
- **Flat ladders.** Weak scaling whose measured rates lie within 3 % of each other is ordered by noise as much as by physics.
- **Latent attention and experts in serving.** Whether speculative decoding, attention data parallelism and which expert kernel ran is
  often not published; the rows then disagree with any one assumption by up to a factor of two.
- **Time to first token** is a queueing figure: expect errors of 20 to 60 %.
- **Accelerators without rows** (TPU, Gaudi, MI2xx, MI35x in serving, T4, A10, consumer parts) use assumed coefficients and get a wider
  interval.
- **Unseen sources** fall outside the interval more often than one time in five (the columns above): the interval is set between the
  residuals of new rows of known sources and those of sources never seen.
- Network contention, slow nodes, thermal limits and input pipelines of one cluster are not in the model: they are what the observed MFU
  is compared with it for.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One kind of job, row by row. Residuals are logarithms of measured over predicted; `held_out` has those of fits that had not seen the
    row, by what was held out."""

    measured: tuple[Measurement, ...]
    predicted: tuple[float, ...]
    in_sample: tuple[float, ...]
    held_out: dict[str, tuple[float, ...]]
    half_widths: tuple[float, ...]
    kinds: tuple[str, ...]
    output_token_seconds: tuple[float, ...]
    ladders: tuple[Ladder, ...]

    def outside(self, residuals: Sequence[float], indices: Iterable[int]) -> float:
        """Share of measured values outside the 80 % interval."""
        chosen = list(indices)
        return sum(abs(residuals[index]) > self.half_widths[index] for index in chosen) / len(chosen)


def page(training: Scored, inference: Scored) -> str:
    """The whole page as Markdown."""
    return "\n".join(
        [
            *_head(training, inference),
            "## Training",
            "",
            "![predicted against measured training throughput](accuracy/training.svg)",
            "",
            *_totals(training),
            *_groups("accelerator", training, "source", lambda each: each.accelerator),
            *_groups("precision", training, "source", lambda each: each.precision),
            *_groups("framework", training, "source", lambda each: each.stack),
            *_groups("source", training, "source", lambda each: each.source),
            *_coverage(training),
            *_ordering(training),
            *_worst(training),
            "## Inference",
            "",
            "![predicted against measured inference throughput](accuracy/inference.svg)",
            "",
            *_totals(inference),
            *_groups("accelerator", inference, "deployment", lambda each: each.accelerator),
            *_groups("precision", inference, "deployment", lambda each: each.precision),
            *_groups("engine", inference, "deployment", lambda each: each.software),
            *_groups("model", inference, "deployment", lambda each: each.model),
            *_coverage(inference),
            *_ordering(inference),
            *_worst(inference),
            _WEAK_SPOTS,
        ]
    )


def _head(training: Scored, inference: Scored) -> list[str]:
    counts = f"{len(training.measured)} training and {len(inference.measured)} inference"
    return [
        "# Accuracy of the expectation",
        "",
        "Written by `python -m tools.accuracy`; do not edit by hand. `python -m tools.calibrate` fits the coefficients.",
        "",
        f"Scored on {counts} throughputs that others published (`tools/calibration/*.jsonl`, each row with its source). An error is",
        "symmetric: twice too fast and twice too slow are both 100 %. *In-sample* is the shipped fit on the rows it was fitted to;",
        "*held out* is a fit that had not seen the source (training) or the combination of model, accelerator and engine (inference)",
        "that it is scored on. Believe the held-out column for a stack that is not listed here.",
        "",
        "There are few coefficients, named and bounded by physics, keyed by accelerator architecture, precision, framework, engine or",
        "kernel kind; none is keyed by a model or by a source. **No measurement of ours on a GPU is in the model yet**: the kernel terms",
        "rest on published end-to-end rates. `tools/measure_gpu.py` takes kernel measurements (GEMM, attention, a training step) where",
        "there is a GPU.",
        "",
        "To do it again:",
        "",
        "```sh",
        "python -m tools.calibrate training --hold-out source --hold-out accelerator   # fit; errors on what it had not seen",
        "python -m tools.calibrate inference --hold-out deployment --write             # and rewrite the coefficient file",
        "python -m tools.accuracy                                                      # this page and its plots",
        "```",
        "",
    ]


def _totals(scored: Scored) -> list[str]:
    lines = ["| scored on | rows | median | mean | p90 | outside the 80 % interval |", "|---|---|---|---|---|---|"]
    everything = range(len(scored.measured))
    rows: list[tuple[str, Sequence[float], list[int]]] = [("in-sample, all rows", scored.in_sample, list(everything))]
    core = [index for index in everything if scored.measured[index].core]
    if core:
        rows.append(("in-sample, balanced subset (at most 40 rows a source)", scored.in_sample, core))
    rows += [(_WAY_NAMES[way], residuals, list(everything)) for way, residuals in scored.held_out.items()]
    for name, residuals, chosen in rows:
        errors = Errors.of([residuals[index] for index in chosen])
        lines.append(f"| {name} | {errors.count} | {_figures(errors)} | {scored.outside(residuals, chosen):.0%} |")
    per_token = [
        max(each.seconds_per_output_token / seconds, seconds / each.seconds_per_output_token) - 1
        for each, seconds in zip(scored.measured, scored.output_token_seconds, strict=True)
        if each.seconds_per_output_token and seconds
    ]
    lines.append("")
    if per_token:
        lines += [f"Time per output token, in-sample: median error {statistics.median(per_token):.1%} on {len(per_token)} rows.", ""]
    return lines


def _groups(title: str, scored: Scored, way: str, key: Callable[[Measurement], Hashable]) -> list[str]:
    chosen: dict[str, list[int]] = defaultdict(list)
    for index, each in enumerate(scored.measured):
        chosen[str(key(each))].append(index)
    lines = [
        f"By {title}:",
        "",
        f"| {title} | rows | in-sample median | mean | p90 | held-out median | mean | p90 | outside, in-sample | outside, held out |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    unseen = scored.held_out[way]
    for name, indices in sorted(chosen.items(), key=lambda item: (-len(item[1]), item[0])):
        seen = Errors.of([scored.in_sample[index] for index in indices])
        held = Errors.of([unseen[index] for index in indices])
        coverage = f"{scored.outside(scored.in_sample, indices):.0%} | {scored.outside(unseen, indices):.0%}"
        lines.append(f"| {name} | {len(indices)} | {_figures(seen)} | {_figures(held)} | {coverage} |")
    return [*lines, ""]


def _figures(errors: Errors) -> str:
    return f"{errors.median:.1%} | {errors.mean:.1%} | {errors.p90:.1%}"


def _coverage(scored: Scored) -> list[str]:
    lines = [
        "Share of measured values outside the 80 % interval (20 % is right), by kind of workload:",
        "",
        "| kind | rows | half-width | in-sample | " + " | ".join(f"held out by {way}" for way in scored.held_out) + " |",
        "|---|---|---|---|" + "---|" * len(scored.held_out),
    ]
    for kind in sorted(set(scored.kinds)):
        indices = [index for index, other in enumerate(scored.kinds) if other == kind]
        shares = " | ".join(f"{scored.outside(residuals, indices):.0%}" for residuals in (scored.in_sample, *scored.held_out.values()))
        lines.append(f"| {kind} | {len(indices)} | ±{scored.half_widths[indices[0]]:.3f} (ln) | {shares} |")
    return [*lines, ""]


def _ordering(scored: Scored) -> list[str]:
    taus = [each.tau for each in scored.ladders]
    if not taus:
        return []
    lines = [
        f"Ordering: in a ladder one thing varies and the rest of the workload stays. Kendall's tau over {len(taus)} ladders of three",
        f"or more distinct workloads: mean **{statistics.mean(taus):.2f}**. Repeated runs of one workload are one step (their median), and",
        "steps whose measured rates are within 1 % are ties that do not count.",
        "",
        "| what varies | ladders | mean tau |",
        "|---|---|---|",
    ]
    knobs: dict[str, list[float]] = defaultdict(list)
    for each in scored.ladders:
        knobs[each.knob].append(each.tau)
    lines += [f"| {_KNOBS[knob]} | {len(found)} | {statistics.mean(found):.2f} |" for knob, found in knobs.items()]
    lines += ["", "The worst of them (measured → predicted tokens/s and accelerator):", ""]
    for each in sorted(scored.ladders, key=lambda one: one.tau)[:_WORST_LADDERS]:
        steps = ", ".join(f"{rate:,.0f} → {guess:,.0f}" for rate, guess in sorted(each.steps))
        lines.append(f"- tau {each.tau:.2f}, {_KNOBS[each.knob]}, {each.model} on {each.accelerator} ({each.source}): {steps}")
    return [*lines, ""]


def _worst(scored: Scored) -> list[str]:
    lines = ["The rows furthest off, in-sample:", "", "| row | accelerator | measured | predicted | error |", "|---|---|---|---|---|"]
    for index in sorted(range(len(scored.measured)), key=lambda one: -abs(scored.in_sample[one]))[:_WORST_ROWS]:
        each, predicted = scored.measured[index], scored.predicted[index]
        error = max(each.rate / predicted, predicted / each.rate) - 1
        lines.append(f"| {each.model}, {each.software} | {each.accelerator} | {each.rate:,.0f} | {predicted:,.0f} | {error:.0%} |")
    return [*lines, ""]
