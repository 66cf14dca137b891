"""A workload's record as a few points in its status, and back again after a restart."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import exp, log
from statistics import median
from typing import Any

from mfu.api.expectation import clipped
from mfu.api.figures import instant, percent, ratio_of, signed_percent
from mfu.api.settle import settled
from mfu.judge.change import Setup
from mfu.judge.detector import Band, Levels
from mfu.judge.deviation import DriftState
from mfu.judge.history import UNRECORDED, Epoch, Record
from mfu.judge.peers import Peer

__all__ = ["history_status", "record_of"]

_LOADS = ("full", "half", "quarter", "eighth", "sixteenth")  # names of the octaves of load
_TIMES = ("at", "since")


def history_status(record: Record, peers: Sequence[Peer], written: object) -> dict[str, Any]:
    """Bounded: at most seven days, five levels and four peers. Times stay while what they belong to does."""
    before = written if isinstance(written, Mapping) else {}
    rendered: dict[str, Any] = {
        "best": _best(record),
        "lastWeek": _last_week(record),
        "sinceChange": _since_change(record),
        "levels": [
            f"{name} load: {signed_percent(exp(band.level) - 1.0)}"
            for name, band in zip(_LOADS, record.levels.bands, strict=True)
            if band.level is not None
        ],
        "setup": _setup(record.setup),
        "levelSpec": record.level_setup.spec if record.level_setup.spec != record.setup.spec else None,
        "peers": [
            f"{percent(peer.observed_ratio)} on {peer.count} × {peer.accelerator} ({_workloads(peer.workloads)})" for peer in peers[:4]
        ],
    }
    known = {name: value for name, value in rendered.items() if value not in (None, {}, [])}
    return {name: _timed(settled(value, before.get(name)), before.get(name)) for name, value in known.items()}


def record_of(status: Mapping[str, Any]) -> Record:
    """What `history_status` wrote; levels are anchored. Nothing where nothing, or nothing of sense, is written."""
    history = status.get("history")
    if not isinstance(history, Mapping):
        return UNRECORDED
    try:
        return _read(history, status.get("drift") or {})
    except (TypeError, ValueError, KeyError, AttributeError):
        return UNRECORDED


def _best(record: Record) -> dict[str, Any] | None:
    top = record.levels.top
    if top is None or record.level_expected_ratio is None:
        return None
    best = {"mfu": percent(record.level_expected_ratio * exp(top)), "ratio": signed_percent(exp(top) - 1.0)}
    return best | ({} if record.level_seconds is None else {"at": _moment(record.level_seconds)})


def _last_week(record: Record) -> dict[str, Any] | None:
    return {"mfu": percent(median(record.days)), "days": [percent(day) for day in record.days]} if record.days else None


def _since_change(record: Record) -> dict[str, Any] | None:
    if record.epoch is None:
        return None
    since: dict[str, Any] = {"since": _moment(record.epoch.first_seconds)}
    if record.epoch.change:
        since["change"] = clipped(record.epoch.change)
    level = record.levels.top if record.recent is None else record.recent.top
    if level is not None and record.last is not None:
        since["mfu"] = percent(record.last.declared_ratio * exp(level))
    return since


def _setup(setup: Setup) -> dict[str, Any]:
    parts = {"image": setup.image, "driver": setup.driver, "nodes": setup.nodes, "spec": setup.spec, "accepted": setup.accepted}
    return {name: clipped(value) for name, value in parts.items() if value}


def _timed(new: Any, written: object) -> Any:
    """A point whose words and figures are what is written keeps its time; one that was written with a figure keeps it in a silence."""
    if not isinstance(new, Mapping) or not isinstance(written, Mapping) or "mfu" not in {*new, *written}:
        return new
    if "since" in new and new["since"] == written.get("since") and "mfu" not in new:
        return {**written, **new}
    same = {name: value for name, value in new.items() if name not in _TIMES} == {
        name: value for name, value in written.items() if name not in _TIMES
    }
    return {**new, "at": written["at"]} if same and "at" in new and "at" in written else new


def _read(history: Mapping[str, Any], drift: Mapping[str, Any]) -> Record:
    best, since, setup = history.get("best") or {}, history.get("sinceChange") or {}, history.get("setup") or {}
    told = dict(line.split(" load: ", 1) for line in history.get("levels") or ())
    levels = Levels(bands=tuple(_band(told.get(name)) for name in _LOADS))
    top, mfu = levels.top, ratio_of(best.get("mfu"))
    image, driver, nodes, spec, accepted = (str(setup.get(name) or "") for name in ("image", "driver", "nodes", "spec", "accepted"))
    now = Setup(image=image, driver=driver, nodes=nodes, spec=spec, accepted=accepted)
    level_spec = str(history.get("levelSpec") or now.spec)
    drifting = drift.get("baseline") == "OwnLevel" and bool(drift.get("since"))
    return Record(
        setup=now,
        epoch=None if "since" not in since else Epoch(first_seconds=_seconds(since["since"]), change=str(since.get("change") or "")),
        levels=levels,
        level_setup=now if level_spec == now.spec else Setup(spec=level_spec),
        level_expected_ratio=None if top is None or not mfu else mfu / exp(top),
        level_seconds=_seconds(best["at"]) if "at" in best else None,
        recent=Levels() if since.get("change") else None,
        deviation=DriftState(drifting=True, since_seconds=_seconds(drift["since"])) if drifting else DriftState(),
        days=tuple(day for text in (history.get("lastWeek") or {}).get("days") or () if (day := ratio_of(text)) is not None),
    )


def _band(text: str | None) -> Band:
    ratio = ratio_of(text)
    return Band() if ratio is None or ratio <= -1.0 else Band(level=log(1.0 + ratio), settled=True)


def _moment(seconds: float) -> str:
    return instant(datetime.fromtimestamp(seconds, UTC))


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _workloads(number: int) -> str:
    return "1 workload" if number == 1 else f"{number} workloads"
