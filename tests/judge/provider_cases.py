"""Members of a fleet with round numbers."""

from __future__ import annotations

from fractions import Fraction

from mfu.estimate.result import Estimate
from mfu.estimate.workload import Workload
from mfu.judge.assessment import Assessment, Cause, CauseShare, Cost, Drift, Recommendation
from mfu.judge.fleet import Member, NodeShare
from mfu.judge.prices import Contract, Quote
from mfu.judge.verdict import Decision, Verdict, VerdictReason
from mfu.missing import Missing, Reason
from mfu.observe.observation import Evidence
from tests.judge.cases import estimate, fabric, observed, training, unknown

NONE = unknown(Reason.NOT_RUNNING)
NO_PRICE = unknown(Reason.UNKNOWN_PRICE)


def quote(price: int | None = 2_000_000, cost: int | None = 1_500_000) -> Quote:
    """By default $2.00 of revenue and $1.50 of cost."""
    return Quote(
        price_micros=NO_PRICE if price is None else price,
        cost_micros=NO_PRICE if cost is None else cost,
        contract=Contract.ON_DEMAND,
        currency="USD",
    )


def assessment(
    *,
    workload: Workload | Missing | None = None,
    expected: Estimate | Missing | None = None,
    seen: float | Missing = 0.3,
    accelerators: int = 8,
    hardware: float | None = None,
    tokens: float | None = None,
    evidence: Evidence | None = None,
    causes: dict[Cause, float] | None = None,
    drift: Drift | Missing = NONE,
    recommendations: tuple[Recommendation, ...] = (),
) -> Assessment:
    shares = {Cause.COMMUNICATION: 1.0} if causes is None else causes
    return Assessment(
        workload=training() if workload is None else workload,
        estimate=estimate(0.4) if expected is None else expected,
        verdict=Verdict(decision=Decision.ADMITTED, reason=VerdictReason.ADMITTED, message=""),
        observation=observed(seen, hardware=hardware, accelerators=accelerators, tokens=tokens, evidence=evidence),
        drift=drift,
        diagnosis=tuple(CauseShare(cause=cause, share_ratio=share, evidence="x") for cause, share in shares.items()),
        recommendations=recommendations,
        cost=Cost(per_hour=NONE, per_million_tokens=NONE, gap_per_hour=NONE),
        summary="slow",
    )


def member(
    name: str = "job",
    *,
    tenant: str = "research",
    accelerators: int = 8,
    kind: str = "h100-sxm-80gb",
    family: str = "llama",
    nodes: tuple[tuple[str, int], ...] = (),
    share: Fraction = Fraction(1),
    quoted: Quote | None = None,
    of: Assessment | None = None,
) -> Member:
    return Member(
        namespace=tenant,
        name=name,
        accelerators=accelerators,
        accelerator_class=kind,
        family=family,
        holdings=tuple(NodeShare(node=node, accelerators=count) for node, count in nodes),
        share=share,
        quote=quoted,
        assessment=of or assessment(workload=training(on=fabric(kind)), accelerators=accelerators),
    )
