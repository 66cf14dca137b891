"""Everything the operator thinks of one workload at one moment; the status, metrics, events and roll-up are rendered from this."""

from dataclasses import dataclass
from enum import StrEnum

from mfu.estimate.result import Estimate
from mfu.estimate.search import Change
from mfu.estimate.workload import Workload
from mfu.judge.calibration import Calibrated
from mfu.judge.deviation import UNTRACKED, DriftState
from mfu.judge.history import UNRECORDED, Record
from mfu.judge.peers import Peer
from mfu.judge.question import Answer
from mfu.judge.verdict import Verdict
from mfu.missing import Missing
from mfu.observe.observation import Observation

__all__ = ["Assessment", "Cause", "CauseShare", "Cost", "Drift", "DriftState", "Recommendation", "Rung"]


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
    expected: bool = False  # part of what the declaration leads to, not of what happens beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step on the way down from the peak: MFU lost at it, and MFU left after it."""

    name: str
    lost_ratio: float
    left_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One change, tried through the estimator."""

    field_path: str  # "training.parallelism.tensor"
    old: str
    new: str
    expected_mfu_ratio: float
    saves_dollars_per_hour: float | Missing
    note: str = ""
    speed_ratio: float = 1.0  # tokens per second and accelerator, over those that are expected today
    low_mfu_ratio: float | None = None  # the interval around the expected MFU; None: not estimated
    high_mfu_ratio: float | None = None
    tokens_per_second: float | None = None  # of all accelerators
    dollars_per_hour: float | None = None
    dollars_per_million_tokens: float | None = None
    price: str = ""  # what it costs: a restart, memory, latency
    peak_ratio: float = 1.0  # the peak that the expected MFU is of, over today's
    confidence: str = ""  # high, medium or low: how wide the interval is beside the gain


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """`ratio`: observed ÷ expected − 1. `since_seconds`: when the deviation began; `drifting`: it has lasted as long as the policy says."""

    ratio: float
    drifting: bool
    since_seconds: float | None
    baseline: str  # "Expected", "ExpectedAtLoad" (at the number of requests that really ran), or "OwnLevel" (its own best stable level)
    change: str = ""  # what changed when the deviation began, as far as known
    level_ratio: float | None = None  # MFU of the own level at the load of the look; None: there is none yet


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
    drift_state: DriftState = UNTRACKED
    waterfall: tuple[Rung, ...] = ()  # from the peak over the expected to the observed MFU
    changes: tuple[Change, ...] = ()  # every change that was found worthwhile, best first
    answer: Answer | None = None  # the policies' own, kept so that the next look need not ask again
    record: Record = UNRECORDED  # its past
    calibrated: Calibrated | None = None  # the expectation with what this cluster has taught; None: nothing yet
    peers: tuple[Peer, ...] = ()  # the same intent on other accelerators
