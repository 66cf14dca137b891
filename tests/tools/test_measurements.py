"""The committed measurements."""

import json
from pathlib import Path

import pytest

from mfu.errors import MfuError
from mfu.estimate.workload import Inference, Training
from tools.measurements import DIRECTORY, published, read


@pytest.mark.parametrize(("what", "count", "job"), [("training", 486, Training), ("inference", 891, Inference)])
def test_every_row_names_its_source_and_resolves(what: str, count: int, job: type) -> None:
    measured = published(what)
    assert len(measured) == count == len({each.identifier for each in measured})
    for each in measured:
        assert each.source and each.model and each.software and each.rate > 0
        assert isinstance(each.workload.job, job)


@pytest.mark.parametrize("what", ["training", "inference"])
def test_rows_hold_facts_and_nothing_else(what: str) -> None:
    allowed = {"id", "source", "path", "model", "software", "rate", "core", "secondsPerOutputToken", "secondsToFirstToken", "spec"}
    path = DIRECTORY / f"measurements_{what}.jsonl"
    assert path.stat().st_size < 1_000_000
    for line in path.read_text(encoding="utf-8").splitlines():
        assert json.loads(line).keys() <= allowed


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="not JSON"),
        pytest.param('{"id": "a", "source": "s", "model": "m", "software": "x", "rate": "fast", "spec": {}}', id="no number"),
        pytest.param('{"id": "a", "source": "s", "model": "m", "software": "x", "rate": 1, "spec": {}}', id="no workload"),
    ],
)
def test_a_faulty_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((ValueError, MfuError)):
        read(path)
