"""How fast one workload does run: tokens turned into model FLOPs, beside what the hardware counters say."""

from dataclasses import dataclass

from mfu.missing import Missing
from mfu.observe.telemetry import Source

__all__ = ["Evidence", "Observation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Means over the workload's pods or devices; None where nothing reports the figure."""

    devices: int = 0
    busy_ratio: float | None = None
    tensor_active_ratio: float | None = None
    memory_active_ratio: float | None = None
    clock_ratio: float | None = None  # SM clock over its maximum
    link_bytes_per_second: float | None = None
    pcie_bytes_per_second: float | None = None
    power_watts: float | None = None
    data_wait_ratio: float | None = None
    running_requests: float | None = None  # a replica
    waiting_requests: float | None = None
    cache_usage_ratio: float | None = None
    preemptions_per_second: float | None = None
    mean_prompt_tokens: float | None = None
    mean_generation_tokens: float | None = None
    slowest_node: str | None = None  # a straggler: the node whose devices are clearly below the rest
    slowest_node_ratio: float | None = None  # its SM clock (or, clocks being alike, tensor activity) over the median node's
    mean_clock_hertz: float | None = None
    engine_flops_per_second: float | None = None  # the engine's own estimate, whole workload: a second opinion
    multiprocessor_active_ratio: float | None = None
    tokens_per_step: float | None = None  # training: what the counters of tokens and of steps say together
    prefix_hit_ratio: float | None = None  # share of prompt tokens that came from the cache
    hottest_device_ratio: float | None = None  # tensor activity of the busiest devices over their mean: uneven work
    shared_devices: int = 0  # time-sliced between pods; their figures are left out of all means
    sharers: int = 1  # most pods on one of these
    partitions: tuple[str, ...] = ()  # MIG profiles that the pods hold
    products: tuple[str, ...] = ()  # what the devices call themselves
    throttle_reasons: tuple[str, ...] = ()  # what lowers the clocks of at least half of the devices, faults only
    slowest_node_reasons: tuple[str, ...] = ()  # the same on the slowest node, its link errors and driver errors
    link_errors_per_second: float | None = None  # a device
    link_error_node: str | None = None  # the only node with link errors among several


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One workload at one moment.

    `mfu_ratio`: model FLOP/s from application tokens over the peak at the declared compute precision; never read off hardware counters.
    `hardware_ratio`: tensor activity × SM clock ÷ maximum clock (overall FLOP utilisation, arXiv:2605.20799), mean over the devices;
    includes recomputed and wasted work.
    """

    at_seconds: float
    mfu_ratio: float | Missing
    hardware_ratio: float | Missing
    source: Source | None = None
    tokens_per_second: float | None = None  # training: all tokens; inference: generated tokens; whole workload
    accelerators: int = 0  # devices that the workload's pods hold
    evidence: Evidence = Evidence()
    faults: tuple[str, ...] = ()  # accounting faults: application MFU above what the hardware figure allows, …
