import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfu.__main__ import main
from tests.api.objects import POLICY, TRAINING


def _policy(**spec: Any) -> dict[str, Any]:
    return {**POLICY, "spec": spec}


def _check(tmp_path: Path, *bodies: object) -> list[str]:
    path = tmp_path / "all.yaml"
    path.write_text("---\n".join(yaml.safe_dump(body) for body in bodies), encoding="utf-8")
    return ["check", "-f", str(path)]


FLOOR = {"floors": [{"expectedMfu": "95%"}]}


@pytest.mark.parametrize(
    ("policy", "status", "decision", "reason"),
    [
        ({"mode": "Gate", "floors": [{"expectedMfu": "1%"}]}, 0, "Admitted", "Admitted"),
        ({"mode": "Gate", **FLOOR}, 1, "Held", "BelowExpectedMFUFloor"),
        ({"mode": "Warn", **FLOOR}, 0, "Warned", "BelowExpectedMFUFloor"),
        ({"mode": "Gate", **FLOOR, "workloadSelector": {"matchLabels": {"other": "team"}}}, 0, "Admitted", "Admitted"),
        ({"mode": "Gate", **FLOOR, "namespaceSelector": {"matchLabels": {"tier": "gold"}}}, 1, "Held", "BelowExpectedMFUFloor"),
    ],
    ids=["above", "below", "only warned", "other workloads", "by the labels of the namespace"],
)
def test_the_verdict_is_that_of_the_webhook(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], policy: dict[str, Any], status: int, decision: str, reason: str
) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "research", "labels": {"tier": "gold"}}}
    arguments = _check(tmp_path, TRAINING, namespace, _policy(**policy))
    assert main([*arguments, "-o", "json"]) == status
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["name"], entry["namespace"], entry["decision"], entry["reason"]) == (
        "llama-8b-pretrain",
        "research",
        decision,
        reason,
    )
    assert entry["message"]
    assert main(arguments) == status
    assert decision in capsys.readouterr().out


def test_the_break_glass_annotation_admits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = copy.deepcopy(TRAINING)
    body["metadata"]["annotations"] = {"mfu.dev/skip-gate": "deadline"}
    assert main(_check(tmp_path, body, _policy(mode="Gate", **FLOOR))) == 0
    assert "BreakGlass" in capsys.readouterr().out


def test_an_invalid_intent_is_turned_away_with_its_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = copy.deepcopy(TRAINING)
    body["spec"]["training"]["parallelism"]["tensor"] = 8
    assert main([*_check(tmp_path, body, _policy(mode="Gate")), "-o", "json"]) == 1
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["reason"] == "IntentInvalid"
    assert "tensor × pipeline × data × context is 128, but accelerators.count is 64" in entry["message"]


def test_a_workload_that_does_not_fit_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = copy.deepcopy(TRAINING)
    body["spec"]["model"] = {"catalog": "llama-3.1-405b"}
    body["spec"]["training"] = {"sequenceLength": 8192, "parallelism": {"tensor": 8, "data": 1}}
    body["spec"]["accelerators"] = {"class": "h100-sxm-80gb", "count": 8}
    assert main([*_check(tmp_path, body, _policy(mode="Gate")), "-o", "json"]) == 1
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["decision"], entry["reason"]) == ("Refused", "DoesNotFitMemory")


@pytest.mark.parametrize(
    ("bodies", "said"),
    [
        (
            [TRAINING, _policy(floors=[{"expectedMfu": "140%"}])],
            "document 2: spec.floors[0].expectedMfu: must be a percentage from 0% to 100%",
        ),
        ([POLICY], "no ModelWorkload to check"),
        ([["a list"], POLICY], "document 1: is not an object of Kubernetes"),
    ],
    ids=["a floor of 140 %", "no workload", "no object"],
)
def test_what_cannot_be_checked_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], bodies: list[object], said: str) -> None:
    assert main(_check(tmp_path, *bodies)) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and said in err and "all.yaml" in err
