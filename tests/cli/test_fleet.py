"""`mfu fleet`: the same figures as table, JSON and CSV, of the cluster or of one tenant."""

import argparse
import csv
import io
import json
from typing import Any

import pytest

from mfu.cli import fleet
from mfu.errors import ClusterError
from tests.cli.fleet_objects import REPORT


def rendered(output: str, by: str | None = None, status: dict[str, Any] = REPORT) -> str:
    return fleet._rendered(status, argparse.Namespace(by=by, output=output))


def test_the_headline_says_the_figures_of_the_fields_and_no_second_value() -> None:
    contradicting = {**REPORT, "summary": "99.9% observed"}
    first = rendered("table", status=contradicting).split("\n\n")[0].splitlines()
    assert first == [
        "GPUs: 64 total, 24 allocated, 20 declared, 11 productive; at 2026-03-01T12:30:00Z",
        "allocated 37.5%  busy 88.4%  hardware 26.9%  MFU observed 21.7%  MFU expected 40.3%",
        "cost $61.80/h  lost $33.10/h",
    ]


def test_what_is_not_known_is_called_unknown() -> None:
    text = rendered("table", status={"accelerators": {"total": 8, "allocated": 0}, "at": "now"})
    assert "busy unknown  hardware unknown  MFU observed unknown" in text
    assert "cost unknown  lost unknown" in text


@pytest.mark.parametrize(
    ("by", "field", "title"),
    [("tenant", "byTenant", "TENANT"), ("class", "byClass", "GPU TYPE"), ("model", "byModel", "MODEL CLASS"), ("node", "byNode", "NODE")],
)
def test_by_shows_these_lines_only(by: str, field: str, title: str) -> None:
    head, *lines = rendered("table", by).splitlines()
    assert head.startswith(title)
    assert [line.split()[0] for line in lines] == [group["name"] for group in REPORT[field]]
    assert json.loads(rendered("json", by)) == REPORT[field]
    assert [line["name"] for line in csv.DictReader(io.StringIO(rendered("csv", by)))] == [group["name"] for group in REPORT[field]]


def test_the_csv_has_every_column_whatever_is_known() -> None:
    lines = list(csv.DictReader(io.StringIO(rendered("csv"))))
    assert lines[0] == {
        "group": "fleet",
        "name": "all",
        "accelerators": "64",
        "allocated": "24",
        "utilisation": "88.4%",
        "hardware": "26.9%",
        "observed": "21.7%",
        "expected": "40.3%",
        "unknown": "",
        "gapPerHour": "$33.10",
        "costPerHour": "$61.80",
    }
    assert {line["group"] for line in lines} == {"fleet", "byTenant", "byClass", "byModel", "byNode"}


def test_the_json_is_the_status() -> None:
    assert json.loads(rendered("json")) == REPORT


def test_a_watch_prints_a_report_once_and_goes_on_when_the_cluster_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    later = {**REPORT, "at": "2026-03-01T12:40:00Z"}
    answers: list[dict[str, Any] | Exception] = [REPORT, REPORT, ClusterError("GET /x: no answer"), later]

    def read(namespace: str | None) -> dict[str, Any]:
        if not answers:
            raise KeyboardInterrupt
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(fleet, "_read", read)
    monkeypatch.setattr(fleet, "REFRESH_SECONDS", 0.0)
    assert fleet.run(argparse.Namespace(by=None, output="table", namespace=None, watch=True)) == 0
    printed = capsys.readouterr()
    assert printed.out.count("GPUs: 64 total") == 2
    assert printed.out.count("12:40:00Z") == 1
    assert "no answer" in printed.err
