"""Number formats: how many bytes an element takes and which peak of the data sheet it runs at."""

from enum import StrEnum

__all__ = ["Precision"]


class Precision(StrEnum):
    FP32 = "fp32"
    TF32 = "tf32"
    FP16 = "fp16"
    BF16 = "bf16"
    FP8 = "fp8"
    MXFP8 = "mxfp8"
    INT8 = "int8"
    FP4 = "fp4"
    NVFP4 = "nvfp4"
    MXFP4 = "mxfp4"

    @property
    def bytes_per_element(self) -> float:
        """Storage of one element with its share of block scales (OCP MX v1.0: one scale byte for 32 elements; NVFP4: one for 16)."""
        return _BYTES[self]

    @property
    def peak_key(self) -> str:
        """The data-sheet line this format runs at: block-scaled formats run at the plain format's rate."""
        return _PEAK.get(self, self.value)

    @property
    def is_narrow(self) -> bool:
        """8 bits or fewer: attention then usually stays in bf16."""
        return _BYTES[self] < 2.0


_BYTES = {
    Precision.FP32: 4.0,
    Precision.TF32: 4.0,
    Precision.FP16: 2.0,
    Precision.BF16: 2.0,
    Precision.FP8: 1.0,
    Precision.MXFP8: 1.0 + 1.0 / 32.0,
    Precision.INT8: 1.0,
    Precision.FP4: 0.5,
    Precision.NVFP4: 0.5 + 1.0 / 16.0,
    Precision.MXFP4: 0.5 + 1.0 / 32.0,
}
_PEAK = {Precision.MXFP8: "fp8", Precision.NVFP4: "fp4", Precision.MXFP4: "fp4"}
