"""Everything the operator thinks of one workload at one moment; the status, metrics, events and roll-up are rendered from this."""

from dataclasses import dataclass
from enum import StrEnum

from mfu.estimate.result import Estimate
from mfu.estimate.search import Change
from mfu.estimate.workload import Workload
from mfu.judge.question import Answer
from mfu.judge.verdict import Verdict
from mfu.missing import Missing
from mfu.observe.observation import Observation

__all__ = ["Assessment", "Cause", "CauseShare", "Cost", "Drift", "DriftState", "Recommendation"]


class Cause(StrEnum):
    """Why a workload is below its peak or its expectation; stable tokens."""

    SMALL_BATCH = "SmallBatch"
    COMMUNICATION = "Communication"  # of tensor, pipeline, data, expert or context parallelism
    SLOW_INTERCONNECT = "SlowInterconnect"  # the links give less than they should
    TOPOLOGY = "Topology"  # the placement
    PIPELINE_BUBBLE = "PipelineBubble"
    DATA_STARVATION = "DataStarvation"
    MEMORY_BOUND = "MemoryBound"
    CACHE_PRESSURE = "CachePressure"
    HOST_BOUND = "HostBound"
    PRECISION_MISMATCH = "PrecisionMismatch"
    KERNEL_MISMATCH = "KernelMismatch"
    ROUTING_IMBALANCE = "RoutingImbalance"
    PADDING = "Padding"
    STRAGGLER = "Straggler"
    THROTTLING = "Throttling"
    SHARING = "Sharing"  # MIG slices and time-slicing
    LOW_DEMAND = "LowDemand"
    WRONG_DECLARATION = "WrongDeclaration"
    UNEXPLAINED = "Unexplained"


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseShare:
    """`share_ratio`: part of the gap (between the expected and the observed, or between peak and expected when nothing is observed)."""

    cause: Cause
    share_ratio: float
    evidence: str  # one line with the figures that speak for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One change, tried through the estimator."""

    field_path: str  # "training.parallelism.tensor"
    old: str
    new: str
    expected_mfu_ratio: float
    saves_dollars_per_hour: float | Missing
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """`ratio`: observed ÷ expected − 1. `since_seconds`: when the deviation began; `drifting`: it has lasted as long as the policy says."""

    ratio: float
    drifting: bool
    since_seconds: float | None
    baseline: str  # "Expected", or "ExpectedAtLoad": what is expected at the number of requests that really ran


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftState:
    """What drift detection carries from one look to the next. `below_seconds` and `above_seconds` count only time that was observed."""

    drifting: bool = False
    since_seconds: float | None = None
    below_seconds: float = 0.0
    above_seconds: float = 0.0
    last_seconds: float | None = None  # the last look with an observation; None: the clock stands still until the next


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Dollars. `gap_per_hour`: what the difference between expected and observed costs."""

    per_hour: float | Missing
    per_million_tokens: float | Missing
    gap_per_hour: float | Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    workload: Workload | Missing
    estimate: Estimate | Missing
    verdict: Verdict
    observation: Observation | Missing
    drift: Drift | Missing
    diagnosis: tuple[CauseShare, ...]
    recommendations: tuple[Recommendation, ...]
    cost: Cost
    summary: str  # one line for a person
    drift_state: DriftState = DriftState()
    changes: tuple[Change, ...] = ()  # every change that was found worthwhile, best first
    answer: Answer | None = None  # the policies' own, kept so that the next look need not ask again
