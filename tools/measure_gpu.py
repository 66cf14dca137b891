"""Time GEMMs, attention and a small training step on the GPU of this machine, and write the facts as JSON lines.

    python -m tools.measure_gpu --output h100.jsonl [--kinds gemm,attention,step] [--precisions bf16,fp8] [--largest 16384]

Needs PyTorch with CUDA or ROCm; fp8 needs matrix units for it. Every run is timed between device events, after warm-up, with the caches
flushed before each; a case that the device cannot run is reported and left out.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.gpu_cases import Case, Kind, Timing, attention_cases, gemm_cases, record, step_cases

__all__ = ["main"]

_PRECISIONS = ("bf16", "fp8")
_WARM_UP = 5
_FLUSH_BYTES = 256 << 20


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; 0 when done, 2 where there is nothing to measure with."""
    parser = argparse.ArgumentParser(prog="measure_gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--kinds", default=",".join(Kind), help="gemm, attention, step")
    parser.add_argument("--precisions", default=",".join(_PRECISIONS))
    parser.add_argument("--largest", type=int, default=16384, help="largest dimension (256 to 16384)")
    parser.add_argument("--runs", type=int, default=20)
    args = parser.parse_args(argv)
    kinds, precisions = args.kinds.split(","), args.precisions.split(",")
    if not set(kinds) <= set(Kind) or not set(precisions) <= set(_PRECISIONS) or args.runs < 3:
        print(f"measure_gpu: kinds are {', '.join(Kind)}, precisions {', '.join(_PRECISIONS)}, runs at least 3", file=sys.stderr)
        return 2
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        print("measure_gpu: PyTorch is not installed; install it where the GPU is", file=sys.stderr)
        return 2
    if not torch.cuda.is_available():
        print("measure_gpu: PyTorch sees no GPU", file=sys.stderr)
        return 2
    device = _device(torch)
    flush = torch.empty(_FLUSH_BYTES, dtype=torch.int8, device="cuda")
    with args.output.open("w", encoding="utf-8") as out:
        for case in _cases(kinds, precisions, args.largest):
            try:
                timing = _timed(torch, _runner(torch, case), args.runs, flush)
            except (RuntimeError, AttributeError, TypeError) as error:
                print(f"  {case.kind} {case.precision} {dict(case.shape)}: left out: {str(error).splitlines()[0]}", file=sys.stderr)
                torch.cuda.empty_cache()
                continue
            out.write(json.dumps(record(case, timing, device)) + "\n")
            print(f"  {case.kind} {case.precision} {dict(case.shape)}: {case.flops / timing.median / 1e12:.0f} TFLOP/s")
    return 0


def _cases(kinds: Sequence[str], precisions: Sequence[str], largest: int) -> Iterator[Case]:
    if Kind.GEMM in kinds:
        yield from gemm_cases(precisions, largest)
    if Kind.ATTENTION in kinds:
        yield from attention_cases(largest)
    if Kind.STEP in kinds:
        yield from step_cases(precisions, largest)


def _device(torch: Any) -> dict[str, str]:
    return {
        "name": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "runtime": str(torch.version.cuda or torch.version.hip),
        "multiprocessors": str(torch.cuda.get_device_properties(0).multi_processor_count),
    }


def _timed(torch: Any, run: Callable[[], object], runs: int, flush: Any) -> Timing:
    for _ in range(_WARM_UP):
        run()
    samples = []
    for _ in range(runs):
        flush.zero_()
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        run()
        end.record()
        end.synchronize()
        samples.append(start.elapsed_time(end) / 1e3)
    return Timing.of(samples)


def _runner(torch: Any, case: Case) -> Callable[[], object]:
    match case.kind:
        case Kind.GEMM:
            return _gemm(torch, case)
        case Kind.ATTENTION:
            return _attention(torch, case)
        case Kind.STEP:
            return _step(torch, case)


def _gemm(torch: Any, case: Case) -> Callable[[], object]:
    left = torch.randn(case["m"], case["k"], device="cuda", dtype=torch.bfloat16)
    right = torch.randn(case["n"], case["k"], device="cuda", dtype=torch.bfloat16)
    if case.precision == "bf16":
        return lambda: left @ right.t()
    scale = torch.ones((), device="cuda", dtype=torch.float32)
    narrow = [each.to(torch.float8_e4m3fn) for each in (left, right)]
    return lambda: torch._scaled_mm(narrow[0], narrow[1].t(), scale_a=scale, scale_b=scale, out_dtype=torch.bfloat16)


def _attention(torch: Any, case: Case) -> Callable[[], object]:
    def tensor(heads: int) -> Any:
        shape = (case["batch"], heads, case["sequence"], case["width"])
        return torch.randn(shape, device="cuda", dtype=torch.bfloat16, requires_grad=bool(case["backward"]))

    query, keys, values = tensor(case["heads"]), tensor(case["heads"]), tensor(case["heads"])
    attend = torch.nn.functional.scaled_dot_product_attention
    if not case["backward"]:
        return lambda: attend(query, keys, values, is_causal=True)
    result = attend(query, keys, values, is_causal=True)
    gradient = torch.randn_like(result)
    return lambda: torch.autograd.grad(result, (query, keys, values), gradient, retain_graph=True)


def _step(torch: Any, case: Case) -> Callable[[], object]:
    """Plain pre-norm transformer layers, gated feed-forward, compiled, Adam; the linear layers in the precision of the case."""
    functional, nn = torch.nn.functional, torch.nn
    linear = functional.linear if case.precision == "bf16" else _narrow_linear(torch)
    hidden, heads, width = case["hidden"], case["heads"], case["feedForward"]
    parameters: list[list[Any]] = [
        [
            nn.Parameter(torch.randn(rows, columns, device="cuda", dtype=torch.bfloat16) * 0.02)
            for rows, columns in ((3 * hidden, hidden), (hidden, hidden), (2 * width, hidden), (hidden, width))
        ]
        for _ in range(case["layers"])
    ]
    tokens = torch.randn(case["batch"], case["sequence"], hidden, device="cuda", dtype=torch.bfloat16)
    optimizer = torch.optim.Adam([each for layer in parameters for each in layer], fused=True)

    def forward(state: Any) -> Any:
        for qkv, out, up, down in parameters:
            normed = functional.rms_norm(state, (hidden,))
            query, keys, values = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in linear(normed, qkv).chunk(3, dim=-1))
            attended = functional.scaled_dot_product_attention(query, keys, values, is_causal=True)
            state = state + linear(attended.transpose(1, 2).flatten(2), out)
            gate, value = linear(functional.rms_norm(state, (hidden,)), up).chunk(2, dim=-1)
            state = state + linear(functional.silu(gate) * value, down)
        return state.float().square().mean()

    compiled = torch.compile(forward)

    def run() -> None:
        compiled(tokens).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return run


def _narrow_linear(torch: Any) -> Callable[[Any, Any], Any]:
    """A linear layer whose three products run in fp8 with one scale a tensor (e4m3 forward, e5m2 gradients)."""

    def product(left: Any, right: Any, left_type: Any, right_type: Any) -> Any:
        """left [m, k] × right [n, k] transposed."""
        scales, narrow = [], []
        for each, kind in ((left, left_type), (right, right_type)):
            scale = each.abs().amax().float().clamp(min=1e-12) / torch.finfo(kind).max
            scales.append(scale)
            narrow.append((each / scale.to(each.dtype)).to(kind).contiguous())
        return torch._scaled_mm(narrow[0], narrow[1].t(), scale_a=scales[0], scale_b=scales[1], out_dtype=torch.bfloat16)

    def forward(context: Any, inputs: Any, weight: Any) -> Any:
        flat = inputs.flatten(0, -2)
        context.save_for_backward(flat, weight)
        return product(flat, weight, torch.float8_e4m3fn, torch.float8_e4m3fn).unflatten(0, inputs.shape[:-1])

    def backward(context: Any, gradient: Any) -> tuple[Any, Any]:
        flat, weight = context.saved_tensors
        wide = gradient.flatten(0, -2)
        to_inputs = product(wide, weight.t(), torch.float8_e5m2, torch.float8_e4m3fn).unflatten(0, gradient.shape[:-1])
        return to_inputs, product(wide.t(), flat.t(), torch.float8_e5m2, torch.float8_e4m3fn)

    narrow = type("NarrowLinear", (torch.autograd.Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)})
    apply: Callable[[Any, Any], Any] = narrow.apply  # type: ignore[attr-defined]  # torch is loaded at run time
    return apply


if __name__ == "__main__":
    sys.exit(main())
