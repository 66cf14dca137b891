"""The past in the status: written in few points, read again after a restart, and left alone where nothing changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mfu.api.history import history_status, record_of
from mfu.api.workloadstatus import HistoryStatus
from mfu.judge.change import Setup
from mfu.judge.deviation import DriftState
from mfu.judge.history import UNRECORDED, Look, Record, advance, frozen
from mfu.judge.peers import Peer
from mfu.judge.policy import DriftRule

RULE = DriftRule()
SETUP = Setup(image="train:1", driver="550.90", nodes="gpu-1", spec="abc", accepted="yes", leaves=(("training.globalBatchSize", "8"),))
PEERS = (Peer(accelerator="h200-sxm-141gb", count=8, observed_ratio=0.44, workloads=2),)
START = 1_800_000_000.0


def run(record: Record, hours: float, observed: float, setup: Setup = SETUP, load: float = 1.0) -> Record:
    start = START if record.seen_seconds is None else record.seen_seconds + 30.0
    for number in range(round(hours * 120)):
        look = Look(at_seconds=start + 30.0 * number, observed_ratio=observed, expected_ratio=0.4, declared_ratio=0.4, load_ratio=load)
        record = advance(record, look, setup, RULE)
    return record


STABLE = run(run(UNRECORDED, 13, 0.38), 13, 0.36, load=0.5)


def test_it_reads_like_an_answer() -> None:
    written = history_status(STABLE, PEERS, None)
    assert (written["best"]["mfu"], written["best"]["ratio"]) == ("38.0%", "-5.0%")
    assert written["best"]["at"].startswith("2027-01-15T")
    assert written["levels"] == ["full load: -5.0%", "half load: -10.0%"]
    assert written["setup"] == {"image": "train:1", "driver": "550.90", "nodes": "gpu-1", "spec": "abc", "accepted": "yes"}
    assert written["peers"] == ["44.0% on 8 × h200-sxm-141gb (2 workloads)"]
    HistoryStatus.model_validate(written)


def test_nothing_is_written_of_a_workload_that_never_ran() -> None:
    assert history_status(UNRECORDED, (), None) == {}


def test_a_restart_goes_on_where_the_status_ended() -> None:
    written = history_status(STABLE, (), None)
    again = record_of({"history": written})
    assert again.levels.top == pytest.approx(STABLE.levels.top, abs=1e-3)
    assert [band.settled for band in again.levels.bands] == [True, True, False, False, False]
    assert again.setup == replace(SETUP, leaves=()) and again.epoch == STABLE.epoch
    assert again.level_expected_ratio == pytest.approx(0.4, abs=1e-3)
    assert run(again, 0.3, 0.33).deviation.drifting


def test_a_restart_writes_nothing() -> None:
    written = history_status(STABLE, PEERS, None)
    again = record_of({"history": written})
    assert history_status(again, PEERS, written) == written
    assert history_status(frozen(again), PEERS, written) == written
    assert history_status(run(again, 0.2, 0.381), PEERS, written) == written


def test_drift_from_the_own_level_goes_on_and_other_drift_is_not_taken_for_it() -> None:
    written = history_status(STABLE, (), None)
    own = record_of({"history": written, "drift": {"baseline": "OwnLevel", "since": "2027-01-15T08:00:00Z"}})
    other = record_of({"history": written, "drift": {"baseline": "Expected", "since": "2027-01-15T08:00:00Z"}})
    assert own.deviation.drifting and own.deviation.since_seconds is not None
    assert other.deviation == DriftState()


def test_a_change_during_the_restart_is_named() -> None:
    again = record_of({"history": history_status(STABLE, (), None)})
    changed = run(again, 0.3, 0.33, setup=replace(SETUP, image="train:2"))
    assert changed.epoch is not None and changed.epoch.change == "image train:1 → train:2"
    assert history_status(changed, (), None)["sinceChange"]["change"] == "image train:1 → train:2"


@pytest.mark.parametrize(
    "history",
    [
        None,
        "text",
        {"levels": [1]},
        {"levels": ["full load -5%"]},
        {"best": {"at": "yesterday"}},
        {"sinceChange": {"since": 3}},
        {"setup": []},
    ],
)
def test_what_makes_no_sense_is_not_believed(history: object) -> None:
    record_of({"history": history})
