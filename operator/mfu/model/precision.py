"""The precision that a config states for its weights, as this package names precisions."""

from collections.abc import Mapping

from mfu.model.keys import Keys

__all__ = ["native_precision"]

_DTYPES = {
    "float32": "fp32",
    "float": "fp32",
    "float16": "fp16",
    "half": "fp16",
    "bfloat16": "bf16",
    "float8_e4m3fn": "fp8",
    "float8_e5m2": "fp8",
    "fp32": "fp32",
    "fp16": "fp16",
    "bf16": "bf16",
}
# Weights stored narrower than any tensor core multiplies (GPTQ, AWQ): computed in 16 bits, so the algorithm names no GEMM precision.
_ALGORITHMS = {
    "fp8": "fp8",
    "fbgemm_fp8": "fp8",
    "fp8_pb_wo": "fp8",
    "fp8_per_channel_per_token": "fp8",
    "mxfp8": "mxfp8",
    "nvfp4": "nvfp4",
    "nvfp4_awq": "nvfp4",
    "w4a8_nvfp4_fp8": "nvfp4",
    "mxfp4": "mxfp4",
    "w8a8": "int8",
    "int8_sq": "int8",
    "modelopt_fp8": "fp8",
    "modelopt_fp4": "nvfp4",
}


def native_precision(*levels: Keys) -> str | None:
    """The quantisation if one is stated at any level, else the dtype, else None."""
    for keys in levels:
        for name in ("quantization_config", "quantization"):
            found = keys.raw(name)
            if isinstance(found, Mapping):
                precision = _quantised(found)
                if precision is not None:
                    return precision
    for keys in levels:
        for name in ("torch_dtype", "dtype"):
            stated = keys.raw(name)
            if isinstance(stated, str):
                return _DTYPES.get(stated.removeprefix("torch."))
    return None


def _quantised(found: Mapping[object, object]) -> str | None:
    for name in ("quant_algo", "quant_method", "fmt"):
        stated = found.get(name)
        if isinstance(stated, str) and stated.lower() in _ALGORITHMS:
            return _ALGORITHMS[stated.lower()]
    groups = found.get("config_groups")
    if isinstance(groups, Mapping):
        for group in groups.values():
            precision = _group(group)
            if precision is not None:
                return precision
    quark = found.get("global_quant_config")
    if isinstance(quark, Mapping):
        weight = quark.get("weight")
        if isinstance(weight, Mapping):
            stated = weight.get("dtype")
            return {"fp8_e4m3": "fp8", "fp4": "mxfp4", "int8": "int8"}.get(stated) if isinstance(stated, str) else None
    return None


def _group(group: object) -> str | None:
    """One scheme of compressed-tensors or ModelOpt: bits and kind of weights and activations."""
    if not isinstance(group, Mapping):
        return None
    weights, activations = group.get("weights"), group.get("input_activations")
    if not isinstance(weights, Mapping) or not isinstance(activations, Mapping):
        return None  # weights only: the product runs in 16 bits
    match weights.get("num_bits"), weights.get("type"):
        case 4, "float":
            return "nvfp4" if weights.get("group_size") == 16 else "mxfp4"
        case 8, "float":
            return "fp8"
        case 8, "int":
            return "int8"
        case _:
            return None
