"""What `mfu flops` found, as JSON for programs and as a table for people."""

from dataclasses import dataclass

from mfu.model.architecture import Architecture
from mfu.model.conventions import Counting
from mfu.model.operations import ExpertLinear, Linear, Module, Operation, Pass
from mfu.model.speculation import Speculation
from mfu.model.totals import Count, Flops, Parameters
from mfu.model.traffic import Storage, moved_bytes

__all__ = ["Report", "as_json", "as_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One model, one pass; the parts that were not asked for are empty. Bytes are those of 16-bit storage."""

    architecture: Architecture
    work: Pass
    counted: Count
    warnings: tuple[str, ...]
    modules: tuple[tuple[Module, Parameters, Flops], ...] = ()
    operations: tuple[Operation, ...] = ()
    countings: tuple[Counting, ...] = ()
    speculation: Speculation | None = None


def as_json(report: Report) -> dict[str, object]:
    """The JSON object of the CLI's contract, with further keys for what else was asked for."""
    found: dict[str, object] = {
        "modelType": report.architecture.family,
        "nativePrecision": report.architecture.native_precision,
        "parameters": _parameters(report.counted.parameters),
        "forward": _flops(report.counted.forward),
        "training": _flops(report.counted.training),
        "assumptions": list(report.architecture.assumptions),
        "warnings": list(report.warnings),
    }
    if report.modules:
        found["modules"] = [
            {"module": str(module), "parameters": held.total, "forward": _flops(flops)} for module, held, flops in report.modules
        ]
    if report.operations:
        found["operations"] = [_operation(operation, report.work) for operation in report.operations]
    if report.countings:
        found["conventions"] = [
            {
                "name": counting.name,
                "forward": counting.forward,
                "training": counting.training,
                "differencePercent": round(_percent(counting, report), 2),
                "note": counting.note,
            }
            for counting in report.countings
        ]
    if report.speculation is not None:
        found["speculative"] = {
            "tokensPerStep": report.speculation.tokens_per_step,
            "usefulFlopsPerToken": round(report.speculation.useful_flops),
            "rejectedFlopsPerToken": round(report.speculation.rejected_flops),
            "draftFlopsPerToken": round(report.speculation.draft_flops),
        }
    return found


def as_table(report: Report) -> str:
    """The same for a person."""
    lines = _heading(report)
    if report.modules:
        lines += ["", f"{'module':20s}{'parameters':>20s}{'forward':>14s}"]
        lines += [f"{module:20s}{held.total:>20,}{_scaled(flops.total_visible):>14s}" for module, held, flops in report.modules]
    if report.operations:
        lines += [
            "",
            f"{'operation':24s}{'layers':>7s}  {'m × n × k':26s}{'parameters':>20s}{'forward':>14s}{'bytes':>12s}{'FLOP/byte':>11s}",
        ]
        lines += [_operation_line(operation, report.work) for operation in report.operations]
    if report.countings:
        lines += ["", f"{'counted as':20s}{'forward':>14s}{'training':>14s}{'difference':>12s}"]
        for counting in report.countings:
            both = f"{_scaled(counting.forward):>14s}{_scaled(counting.training):>14s}"
            lines.append(f"{counting.name:20s}{both}{_percent(counting, report):>+11.1f}%  {counting.note}")
    if (speculation := report.speculation) is not None:
        lines += ["", f"speculative decoding keeps {speculation.tokens_per_step:.2f} tokens a step; FLOP for each token kept:"]
        lines.append(f"{'useful':20s}{_scaled(speculation.useful_flops):>14s}")
        lines.append(f"{'rejected':20s}{_scaled(speculation.rejected_flops):>14s}")
        lines.append(f"{'draft':20s}{_scaled(speculation.draft_flops):>14s}")
    lines += [f"assumed: {text}" for text in report.architecture.assumptions]
    lines += [f"warning: {text}" for text in report.warnings]
    return "\n".join(lines)


def _heading(report: Report) -> list[str]:
    model, held, work = report.architecture, report.counted.parameters, report.work
    adapter = f", {held.adapter:,} in the adapter" if held.adapter else ""
    past = f" after {work.past_tokens} cached" if work.past_tokens else ""
    lines = [
        f"{model.family}: {model.layer_count} layers, hidden {model.hidden}, vocabulary {model.vocabulary}",
        f"parameters   {held.total:,} in all, {held.active_per_token:,} active for a token, {held.embedding:,} in the embedding{adapter}",
        f"pass         {work.batch} × {work.new_tokens} new tokens{past}",
        "",
        f"{'FLOP':20s}{'forward':>14s}{'training':>14s}",
    ]
    training = _flops(report.counted.training)
    return lines + [
        f"{name:20s}{_scaled(forward):>14s}{_scaled(training[name]):>14s}" for name, forward in _flops(report.counted.forward).items()
    ]


def _operation(operation: Operation, work: Pass) -> dict[str, object]:
    """One operation over all its layers; the shape is that of one layer's matrix product."""
    shape = _shape(operation, work)
    return {
        "name": operation.name,
        "module": str(operation.module),
        "layers": operation.count,
        "parameters": operation.parameters * operation.count,
        "forward": operation.flops(work) * operation.count,
        "bytes": round(moved_bytes(operation, work, Storage()) * operation.count),
    } | ({"m": shape[0], "n": shape[1], "k": shape[2]} if shape is not None else {})


def _operation_line(operation: Operation, work: Pass) -> str:
    shape = _shape(operation, work)
    flops, moved = operation.flops(work) * operation.count, moved_bytes(operation, work, Storage()) * operation.count
    product = " × ".join(map(str, shape)) if shape is not None else ""
    intensity = f"{flops / moved:.3g}" if moved and flops else ""
    return (
        f"{operation.name:24s}{operation.count:>7d}  {product:26s}{operation.parameters * operation.count:>20,}"
        f"{_scaled(flops):>14s}{_scaled(moved, 'B'):>12s}{intensity:>11s}"
    )


def _shape(operation: Operation, work: Pass) -> tuple[int, int, int] | None:
    match operation:
        case Linear() | ExpertLinear():
            return operation.rows(work), operation.outputs, operation.inputs
        case _:
            return None


def _percent(counting: Counting, report: Report) -> float:
    return 100.0 * counting.difference_to(report.countings[0])


def _parameters(parameters: Parameters) -> dict[str, int]:
    found = {"total": parameters.total, "activePerToken": parameters.active_per_token, "embedding": parameters.embedding}
    return {**found, "adapter": parameters.adapter} if parameters.adapter else found


def _flops(flops: Flops) -> dict[str, int]:
    return {
        "linear": flops.linear,
        "lmHead": flops.lm_head,
        "attentionFull": flops.attention_full,
        "attentionVisible": flops.attention_visible,
        "scan": flops.scan,
        "totalFull": flops.total_full,
        "totalVisible": flops.total_visible,
    }


def _scaled(amount: float, unit: str = "FLOP") -> str:
    value, prefixes = float(amount), ["", "K", "M", "G", "T", "P", "E", "Z", "Y"]
    while value >= 1000.0 and len(prefixes) > 1:
        value /= 1000.0
        prefixes.pop(0)
    return f"{value:.4g} {prefixes[0]}{unit}"
