"""The best layouts of a model on given accelerators, and in given precisions, for an objective."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from mfu.estimate.estimator import estimate
from mfu.estimate.layouts import layouts, summary
from mfu.estimate.result import Estimate
from mfu.estimate.search import rate
from mfu.estimate.workload import Fabric, Inference, Workload
from mfu.hardware.accelerator import Accelerator
from mfu.hardware.precision import Precision
from mfu.missing import Missing, Reason

__all__ = ["Candidate", "Objective", "plan"]


class Objective(StrEnum):
    """What `plan` maximises (mfu; throughput: tokens/s and accelerator) or minimises (cost: dollars a token; time: to a token budget)."""

    MFU = "mfu"
    THROUGHPUT = "throughput"
    COST = "cost"
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A whole layout. `tokens_per_second` is of all accelerators of `workload` (training: trained tokens; inference: output tokens of a
    replica); `fleet_tokens_per_second` of as many replicas as the accelerators given hold; `reason` says why it beats the next."""

    workload: Workload
    estimate: Estimate
    tokens_per_second: float
    fleet_tokens_per_second: float
    dollars_per_million_tokens: float | Missing
    summary: str
    reason: str = ""

    def seconds_to(self, tokens: float) -> float:
        """Time until all accelerators given have trained on, or put out, `tokens`."""
        return tokens / self.fleet_tokens_per_second


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    workload: Workload
    estimate: Estimate
    given: int  # accelerators there are

    @property
    def fleet_tokens_per_second(self) -> float:
        count = self.workload.fabric.count
        return rate(self.estimate) * count * max(1, self.given // count)

    @property
    def dollars_per_million_tokens(self) -> float | None:
        price = self.workload.fabric.accelerator.price_per_hour
        return None if price is None else price / 3600 / rate(self.estimate) * 1e6

    def rank(self, objective: Objective) -> tuple[float, ...]:
        """Sorts worse before better. What the objective leaves equal is decided by the other figures, so that a layout never stands before
        one that is at least as good in all of them and better in one."""
        dollars = self.dollars_per_million_tokens
        saving = -dollars if dollars is not None else float("-inf")
        figures = {
            Objective.MFU: self.estimate.mfu_ratio,
            Objective.THROUGHPUT: rate(self.estimate),
            Objective.COST: saving,
            Objective.TIME: self.fleet_tokens_per_second,
        }
        return (figures[objective], *figures.values(), -self.estimate.memory.required_bytes)


def plan(
    workload: Workload,
    *,
    objective: Objective = Objective.MFU,
    accelerators: Sequence[Accelerator] = (),
    precisions: Sequence[Precision] = (),
    limit: int = 5,
) -> tuple[Candidate, ...]:
    """The best layouts of `workload` on its own accelerators, or on the same number of each of `accelerators`; in its own precision, or in
    each of `precisions` that an accelerator has.

    Tries tensor, pipeline, expert and (serving) attention-data parallelism, interleaving, micro-batch and the least recomputation that
    fits; a layout that does not fit in memory is never returned. Best first; empty where nothing fits. For cost, accelerators without a
    price are left out. MFU is a share of the peak of its own precision: compare precisions by throughput, cost or time.
    """
    given = workload.fabric.count
    places = [_on(workload, accelerator) for accelerator in accelerators] or [workload]
    tried = [_in(place, precision) for place in places for precision in precisions] or places
    trials = [
        _Trial(workload=layout, estimate=found, given=given)
        for start in tried
        for layout in layouts(start)
        if isinstance(found := estimate(layout), Estimate) and found.memory.fits
    ]
    if objective is Objective.COST:
        trials = [trial for trial in trials if trial.dollars_per_million_tokens is not None]
    trials.sort(key=lambda trial: trial.rank(objective), reverse=True)
    best = trials[: limit + 1]
    return tuple(_candidate(first, second) for first, second in zip(best, [*best[1:], None], strict=False))[:limit]


def _on(workload: Workload, accelerator: Accelerator) -> Workload:
    declared = workload.fabric
    if accelerator.name == declared.accelerator.name:
        return workload
    fabric = Fabric(
        accelerator=accelerator,
        count=declared.count,
        per_node=declared.per_node,
        link_domain=accelerator.link_domain(declared.per_node),
        network_bytes_per_second=accelerator.network_bytes_per_second,
    )
    return replace(workload, fabric=fabric)


def _in(workload: Workload, precision: Precision) -> Workload:
    """Computed in `precision`: attention stays in 16 bits beside a narrow one; a server stores its weights in it too."""
    now = workload.precisions
    attention = precision
    if precision.is_narrow:
        attention = Precision.BF16 if now.attention.is_narrow else now.attention
    weights = precision if isinstance(workload.job, Inference) else now.weights
    return replace(workload, precisions=replace(now, compute=precision, weights=weights, attention=attention))


def _candidate(first: _Trial, second: _Trial | None) -> Candidate:
    dollars = first.dollars_per_million_tokens
    name = first.workload.fabric.accelerator.name
    return Candidate(
        workload=first.workload,
        estimate=first.estimate,
        tokens_per_second=rate(first.estimate) * first.workload.fabric.count,
        fleet_tokens_per_second=first.fleet_tokens_per_second,
        dollars_per_million_tokens=Missing(
            reason=Reason.UNKNOWN_PRICE, message=f"{name} has no price; set pricePerHour in its AcceleratorClass"
        )
        if dollars is None
        else dollars,
        summary=summary(first.workload),
        reason=_reason(first, second),
    )


def _reason(first: _Trial, second: _Trial | None) -> str:
    """The term that saves most time for each token against the next best."""
    if second is None:
        return "nothing else fits"
    mine, theirs = _per_token(first), _per_token(second)
    saved = {name: theirs.get(name, 0.0) - mine.get(name, 0.0) for name in mine.keys() | theirs.keys()}
    name = max(sorted(saved), key=lambda key: saved[key])
    total = sum(theirs.values())
    if saved[name] <= 0.002 * total:
        return "on a par with the next"
    return f"saves {saved[name] / total:.1%} of the time in {name} against the next"


def _per_token(candidate: _Trial) -> dict[str, float]:
    """Accelerator-seconds of each term for one token."""
    terms = candidate.estimate.terms
    whole = sum(term.seconds for term in terms)
    return {term.name: term.seconds / whole / rate(candidate.estimate) for term in terms}
