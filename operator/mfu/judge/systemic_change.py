"""One cause behind many drifts: workloads that fell at the same time and have something in common that the others do not have.

An image or a driver is blamed when most of its workloads drift and few of the others do: the rate among those that have the attribute is
compared with the rate among those that have another value of it.
"""

from collections.abc import Mapping, Sequence

from mfu.estimate.workload import Inference
from mfu.judge.assessment import Drift
from mfu.judge.fleet import Member
from mfu.judge.money_bills import label_of
from mfu.judge.systemic_finding import Finding, FindingKind, finding, gap_micros
from mfu.judge.wording import percent
from mfu.missing import Missing

__all__ = ["configuration_drifts"]

_TOGETHER_SECONDS = 3600.0  # a rollout takes its time
_FEWEST = 3
_MOST_OF_THEM = 0.6
_LIFT = 2.0


def configuration_drifts(members: Sequence[Member], attributes: Mapping[str, Mapping[str, str]]) -> list[Finding]:
    """`attributes`: what runs under each workload (`image`, `driver`, …) by `namespace/name`; class and framework release are added.

    One finding for each set of workloads: of several attributes that name the same set, the first by the best explanation, then by name.
    """
    shown = {label_of(member): {**_declared(member), **attributes.get(label_of(member), {})} for member in members if member.accelerators}
    running = [member for member in members if label_of(member) in shown]
    drifting = [member for member in running if _since(member) is not None]
    explained: set[str] = set()
    found: list[Finding] = []
    while True:
        rest = [member for member in drifting if label_of(member) not in explained]
        best = _best(running, rest, shown)
        if best is None:
            return found
        (name, value), affected, carriers, others, strays = best
        explained.update(label_of(member) for member in affected)
        outside = f", and {strays} of {others} others do" if others else ""
        found.append(
            finding(
                FindingKind.CONFIGURATION_DRIFT,
                f"{name}={value}",
                affected,
                gap_micros,
                evidence=f"{len(affected)} of {carriers} workloads with {name} {value} began to drift within an hour{outside}; "
                f"mean drift {_mean_drift(affected)}",
                remedy=f"compare with the {name} before, and roll it back",
            )
        )


_Best = tuple[tuple[str, str], list[Member], int, int, int]


def _best(running: Sequence[Member], drifting: Sequence[Member], shown: Mapping[str, Mapping[str, str]]) -> _Best | None:
    carriers: dict[tuple[str, str], int] = {}
    having: dict[str, int] = {}  # workloads of which the attribute is known
    for member in running:
        for item in shown[label_of(member)].items():
            carriers[item] = carriers.get(item, 0) + 1
            having[item[0]] = having.get(item[0], 0) + 1
    fallen: dict[tuple[str, str], list[Member]] = {}
    known: dict[str, int] = {}
    for member in drifting:
        for item in shown[label_of(member)].items():
            fallen.setdefault(item, []).append(member)
            known[item[0]] = known.get(item[0], 0) + 1
    ranked = []
    for item, all_fallen in fallen.items():
        affected = _together(all_fallen)
        others, strays = having[item[0]] - carriers[item], known[item[0]] - len(all_fallen)
        rate, outside = len(affected) / carriers[item], strays / others if others else 0.0
        if len(affected) >= _FEWEST and rate >= _MOST_OF_THEM and rate >= _LIFT * outside:
            # Without others to compare with an attribute explains nothing by itself; it is only named when nothing better is.
            ranked.append(((others == 0, -(rate - outside), -len(affected), item), (item, affected, carriers[item], others, strays)))
    return min(ranked, key=lambda entry: entry[0])[1] if ranked else None


def _together(members: Sequence[Member]) -> list[Member]:
    """The most members whose drifts began within an hour of each other."""
    ordered = sorted((since, label_of(member), member) for member in members if (since := _since(member)) is not None)
    best: list[Member] = []
    first = 0
    for last in range(len(ordered)):
        while ordered[last][0] - ordered[first][0] > _TOGETHER_SECONDS:
            first += 1
        if last - first + 1 > len(best):
            best = [member for _, _, member in ordered[first : last + 1]]
    return best


def _since(member: Member) -> float | None:
    drift = member.assessment.drift
    return drift.since_seconds if isinstance(drift, Drift) and drift.drifting else None


def _declared(member: Member) -> dict[str, str]:
    workload = member.assessment.workload
    found = {"class": member.accelerator_class}
    if not isinstance(workload, Missing):
        job = workload.job
        name, version = (job.engine, job.engine_version) if isinstance(job, Inference) else (job.framework, job.framework_version)
        found["release"] = f"{name} {version}" if version else str(name)
    return found


def _mean_drift(members: Sequence[Member]) -> str:
    drifts = [member.assessment.drift.ratio for member in members if isinstance(member.assessment.drift, Drift)]
    return percent(sum(drifts) / len(drifts)) if drifts else "unknown"
