"""AcceleratorClass, a provider's facts about an accelerator: a class of its own, or figures that go before those of a built-in one."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, Strict, model_validator

from mfu.api.conditions import Condition
from mfu.api.wire import AcceleratorName, Flag, Money, Wire, amount, cel
from mfu.hardware.accelerator import Vendor

__all__ = ["AcceleratorClassSpec", "AcceleratorClassStatus", "LabelsSpec", "LinkSpec", "PeakSpec"]

_Flops = Annotated[str, Strict(), amount("[GTP]FLOP/s", "989.4 TFLOP/s")]
_Bytes = Annotated[str, Strict(), amount("[MGT]i?B", "80GiB")]
_Bandwidth = Annotated[str, Strict(), amount("[MGT]i?B/s|[GT]bit/s", "3.35 TB/s")]
_Values = Annotated[list[Annotated[str, Strict(), Field(min_length=1, max_length=128)]], Field(min_length=1, max_length=32)]


class PeakSpec(Wire):
    """Dense peak rates of the matrix units by precision; a precision that is not named is not supported."""

    fp32: _Flops | None = Field(default=None, description='Peak at fp32, like "66.9 TFLOP/s".')
    tf32: _Flops | None = Field(default=None, description='Dense peak at tf32, like "494.7 TFLOP/s".')
    fp16: _Flops | None = Field(default=None, description='Dense peak at fp16, like "989.4 TFLOP/s".')
    bf16: _Flops | None = Field(default=None, description='Dense peak at bf16, like "989.4 TFLOP/s".')
    fp8: _Flops | None = Field(default=None, description='Dense peak at fp8 and mxfp8, like "1978.9 TFLOP/s".')
    int8: _Flops | None = Field(default=None, description='Dense peak at int8, like "1978.9 TFLOP/s" (operations count as FLOP).')
    fp4: _Flops | None = Field(default=None, description='Dense peak at fp4, nvfp4 and mxfp4, like "9000 TFLOP/s".')


class LinkSpec(Wire):
    """The fast links between accelerators: NVLink, xGMI, or PCIe where there is neither."""

    bandwidth: _Bandwidth | None = Field(default=None, description='Bandwidth of one accelerator, one way, like "450 GB/s".')
    switched: Flag | None = Field(default=None, description="True for NVLink or xGMI, false where there is only PCIe.")
    domain_size: Annotated[int, Strict(), Field(ge=1, le=9216)] | None = Field(
        default=None, description="Accelerators that share the links."
    )
    spans_nodes: Flag | None = Field(default=None, description="Whether the links reach over node borders (NVL72 racks).")


class LabelsSpec(Wire):
    """Values that identify the class on nodes and in telemetry, by where they are found."""

    product: _Values | None = Field(default=None, description="Values of nvidia.com/gpu.product or amd.com/gpu.product-name.")
    device_id: _Values | None = Field(default=None, description="PCI device ids, as AMD's node labeller sets them.")
    gke: _Values | None = Field(default=None, description="Values of cloud.google.com/gke-accelerator.")
    karpenter: _Values | None = Field(default=None, description="Values of karpenter.k8s.aws/instance-gpu-name.")
    coreweave: _Values | None = Field(default=None, description="Values of gpu.nvidia.com/class or gpu.nvidia.com/model.")
    instance_type: _Values | None = Field(default=None, description="Values of node.kubernetes.io/instance-type; * stands for anything.")


class AcceleratorClassSpec(Wire):
    """Facts about an accelerator class. With extends, what is omitted is taken from that class; without, all figures are needed."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    "has(self.extends) || (has(self.vendor) && has(self.architecture) && has(self.peak) && has(self.memory)"
                    " && has(self.memoryBandwidth))",
                    "give extends (a class to start from), or all of vendor, architecture, peak, memory, memoryBandwidth",
                )
            ]
        }
    )

    extends: AcceleratorName | None = Field(
        default=None, description="Class whose facts hold where this one says nothing, like h100-sxm-80gb."
    )
    vendor: Vendor | None = Field(default=None, description="Maker of the accelerator.")
    architecture: Annotated[str, Strict(), Field(min_length=1, max_length=32)] | None = Field(
        default=None, description="Generation, like hopper or cdna3: it picks the efficiencies that were measured for that generation."
    )
    peak: PeakSpec | None = Field(default=None, description="Dense peak rates by precision.")
    memory: _Bytes | None = Field(default=None, description='Memory of one accelerator, like "80GiB".')
    memory_bandwidth: _Bandwidth | None = Field(default=None, description='Memory bandwidth, like "3.35 TB/s".')
    l2: _Bytes | None = Field(default=None, description='Level-2 cache, like "50MiB".')
    multiprocessors: Annotated[int, Strict(), Field(ge=1, le=100_000)] | None = Field(
        default=None, description="Streaming multiprocessors or compute units."
    )
    max_clock_mhz: Annotated[int, Strict(), Field(ge=100, le=10_000)] | None = Field(
        default=None, description="Highest clock in MHz, as the driver reports it."
    )
    power_watts: Annotated[int, Strict(), Field(ge=1, le=10_000)] | None = Field(default=None, description="Power limit in watts.")
    link: LinkSpec | None = Field(default=None, description="The fast links between accelerators.")
    network: _Bandwidth | None = Field(default=None, description='Network bandwidth of one accelerator, one way, like "400 Gbit/s".')
    price_per_hour: Money | None = Field(default=None, description='Price of one accelerator for an hour, like "$4.10".')
    labels: LabelsSpec | None = Field(default=None, description="Values that identify the class on nodes and in telemetry.")

    @model_validator(mode="after")
    def _has_a_base(self) -> Self:
        if self.extends is None and None in (self.vendor, self.architecture, self.peak, self.memory, self.memory_bandwidth):
            raise ValueError("give extends (a class to start from), or all of vendor, architecture, peak, memory, memoryBandwidth")
        return self


class AcceleratorClassStatus(Wire):
    """Whether the class is used."""

    observed_generation: Annotated[int, Strict(), Field(ge=0)] | None = Field(
        default=None, description="Generation of the spec that this status is about."
    )
    conditions: Annotated[list[Condition], Field(max_length=8)] | None = Field(
        default=None,
        description="Accepted.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
