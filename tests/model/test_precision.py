"""The precision that a config states."""

from typing import Any

import pytest

from mfu.model.keys import Keys
from mfu.model.precision import native_precision


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param({}, None, id="nothing stated"),
        pytest.param({"torch_dtype": "bfloat16"}, "bf16", id="old name"),
        pytest.param({"dtype": "torch.float16"}, "fp16", id="new name with its module"),
        pytest.param({"torch_dtype": "auto"}, None, id="no dtype at all"),
        pytest.param({"quantization_config": {"quant_method": "fp8", "fmt": "e4m3"}}, "fp8", id="blocks of FP8"),
        pytest.param({"quantization_config": {"quant_method": "mxfp4"}, "dtype": "bfloat16"}, "mxfp4", id="quantisation before dtype"),
        pytest.param({"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}, "nvfp4", id="ModelOpt"),
        pytest.param({"quantization": {"quant_algo": "FP8"}}, "fp8", id="ModelOpt's own file merged in"),
        pytest.param(
            {"quantization_config": {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4"}}}}, "mxfp4", id="Quark"
        ),
        pytest.param(
            {
                "quantization_config": {
                    "quant_method": "compressed-tensors",
                    "config_groups": {
                        "group_0": {"weights": {"num_bits": 8, "type": "int"}, "input_activations": {"num_bits": 8, "type": "int"}}
                    },
                }
            },
            "int8",
            id="compressed-tensors",
        ),
        pytest.param(
            {
                "quantization_config": {
                    "quant_method": "compressed-tensors",
                    "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int"}, "input_activations": None}},
                },
                "torch_dtype": "bfloat16",
            },
            "bf16",
            id="narrow weights that are multiplied in 16 bits",
        ),
        pytest.param({"quantization_config": {"quant_method": "gptq", "bits": 4}, "torch_dtype": "float16"}, "fp16", id="GPTQ"),
        pytest.param({"quantization_config": "fp8", "torch_dtype": "float16"}, "fp16", id="a word for an object"),
    ],
)
def test_the_precision_is_what_products_run_in(config: dict[str, Any], expected: str | None) -> None:
    assert native_precision(Keys(values=config)) == expected


def test_a_nested_model_falls_back_to_what_the_top_states() -> None:
    assert native_precision(Keys(values={"dtype": "bfloat16"}), Keys(values={"quantization_config": {"quant_method": "fp8"}})) == "fp8"
