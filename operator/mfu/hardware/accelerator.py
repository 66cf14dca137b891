"""What one accelerator and its links can do, in SI units, with the origin of every number."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mfu.hardware.precision import Precision
from mfu.missing import Missing, Reason

__all__ = ["Accelerator", "Basis", "Partition", "Vendor"]


class Vendor(StrEnum):
    NVIDIA = "nvidia"
    AMD = "amd"
    INTEL = "intel"
    GOOGLE = "google"


class Basis(StrEnum):
    """Where a number comes from."""

    DATASHEET = "datasheet"
    MEASURED = "measured"
    ASSUMED = "assumed"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A MIG profile or AMD partition: the share of the whole device that one instance owns."""

    name: str  # "1g.10gb"
    compute_ratio: float
    memory_bytes: float
    bandwidth_ratio: float
    count_per_device: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """One accelerator class. Peaks are **dense** FLOP/s at the boost clock; bandwidths are bytes/s, links one way."""

    name: str
    vendor: Vendor
    architecture: str  # volta turing ampere ada hopper blackwell cdna2 cdna3 cdna4 …; keys of calibrated coefficients
    peak_flops_per_second: Mapping[str, float]  # by Precision.peak_key
    memory_bytes: float
    memory_bytes_per_second: float
    l2_bytes: float
    multiprocessors: int
    max_clock_hertz: float  # as the driver reports it; may be above the clock that the peaks are stated at
    power_watts: float
    link_bytes_per_second: float  # NVLink, xGMI, or PCIe where there is neither
    link_is_switched: bool  # NVLink or xGMI; False: PCIe only
    domain_size: int  # accelerators that share the fast links
    network_bytes_per_second: float  # default for each accelerator, between domains
    price_per_hour: float | None = None  # default list price in dollars, overridden by the provider
    partitions: tuple[Partition, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)  # field → basis and source
    peak_clock_hertz: float | None = None  # the clock at which the peaks hold; None: not stated
    domain_spans_nodes: bool = False  # the fast links reach over node borders (NVLink switch racks, TPU slices)
    identifiers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # label source → values that name this class

    def link_domain(self, per_node: int) -> int:
        """Accelerators that share the fast links when `per_node` of them sit in one node."""
        return self.domain_size if self.domain_spans_nodes else max(1, min(self.domain_size, per_node))

    def peak_at(self, precision: Precision, clock_hertz: float) -> float | Missing:
        """Dense peak at a clock other than the stated one: matrix units do a fixed number of FLOPs a cycle."""
        stated = self.peak(precision)
        if isinstance(stated, Missing) or self.peak_clock_hertz is None:
            return stated
        return stated * clock_hertz / self.peak_clock_hertz

    def peak(self, precision: Precision) -> float | Missing:
        """Dense peak in FLOP/s at `precision`, or Missing where the device does not support it."""
        known = self.peak_flops_per_second.get(precision.peak_key)
        if known is None:
            return Missing(
                reason=Reason.UNSUPPORTED_PRECISION,
                message=f"{self.name} has no {precision} matrix units; it supports {', '.join(sorted(self.peak_flops_per_second))}",
            )
        return known

    def partition(self, name: str) -> "Accelerator | Missing":
        """The slice `name` of this device as an accelerator of its own: its peak is the slice's, and it has no fast links."""
        for part in self.partitions:
            if part.name == name:
                return replace(
                    self,
                    name=f"{self.name}/{part.name}",
                    peak_flops_per_second={key: flops * part.compute_ratio for key, flops in self.peak_flops_per_second.items()},
                    memory_bytes=part.memory_bytes,
                    memory_bytes_per_second=self.memory_bytes_per_second * part.bandwidth_ratio,
                    multiprocessors=max(1, round(self.multiprocessors * part.compute_ratio)),
                    domain_size=1,
                    domain_spans_nodes=False,
                    price_per_hour=None if self.price_per_hour is None else self.price_per_hour / part.count_per_device,
                    partitions=(),
                )
        known = ", ".join(part.name for part in self.partitions) or "none"
        return Missing(reason=Reason.UNKNOWN_ACCELERATOR, message=f"{self.name} has no partition {name!r}; known: {known}")
