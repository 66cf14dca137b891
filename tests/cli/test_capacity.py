"""`mfu capacity`: files in, a plan out, errors in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mfu.__main__ import main

FLEET = """
classes:
  h100-sxm-80gb: {count: 64, perNode: 8, price: "$2.50", cost: "$1.60"}
  a100-sxm-80gb: 16
prices: {currency: EUR, lines: [{class: a100-sxm-80gb, price: 1.5}]}
"""


def workload(name: str, accelerators: int = 32, *, catalog: str = "llama-3.1-8b", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "mfu.dev/v1alpha1",
        "kind": "ModelWorkload",
        "metadata": {"name": name, "namespace": "research", **metadata},
        "spec": {
            "model": {"catalog": catalog},
            "precision": {"compute": "bf16"},
            "accelerators": {"class": "h100-sxm-80gb", "count": accelerators, "perNode": 8},
            "training": {
                "sequenceLength": 8192,
                "globalBatchSize": 256,
                "microBatchSize": 1,
                "parallelism": {"tensor": 8, "data": accelerators // 8},
            },
        },
    }


def node(name: str, gpus: int = 8, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.count": str(gpus)}},
        "spec": spec,
        "status": {"allocatable": {"nvidia.com/gpu": str(gpus)}, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def save(folder: Path, name: str, *documents: Any) -> str:
    path = folder / name
    body = documents[0] if isinstance(documents[0], str) else json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
    path.write_text(body, encoding="utf-8")
    return str(path)


def plan(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[Any, str]:
    assert main(["capacity", *arguments, "-o", "json"]) == code
    captured = capsys.readouterr()
    return (json.loads(captured.out) if captured.out else None), captured.err


def test_a_forecast_says_what_fits_and_what_to_buy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    today = save(tmp_path, "w.json", workload("a"), workload("b"))
    found, _ = plan(capsys, "-f", today, "--fleet", save(tmp_path, "fleet.yaml", FLEET), "--growth", "llama=1.5", code=1)
    assert found["classes"][0] == {"class": "h100-sxm-80gb", "total": 64, "wanted": 96, "admitted": 64, "free": 0}
    assert found["currency"] == "EUR" and not found["fits"]
    assert [(short["origin"], short["accelerators"]) for short in found["shortfalls"]] == [("growth", 32)]
    assert [(buy["class"], buy["nodes"], buy["costPerHour"]) for buy in found["purchases"]] == [("h100-sxm-80gb", 4, 51.2)]
    assert all(0 < item["expectedMfu"] < 1 for item in found["admitted"])


def test_what_fits_is_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, _ = plan(capsys, "-f", save(tmp_path, "w.json", workload("a")), "--fleet", save(tmp_path, "fleet.yaml", FLEET))
    assert found["fits"] and found["shortfalls"] == found["purchases"] == []


def test_planned_workloads_come_from_a_file_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned = save(tmp_path, "p.json", workload("new", 64))
    found, _ = plan(
        capsys, "-f", save(tmp_path, "w.json", workload("a")), "--planned", planned, "--fleet", save(tmp_path, "f.yaml", FLEET), code=1
    )
    assert [(short["name"], short["origin"], short["reason"]) for short in found["shortfalls"]] == [
        ("new", "planned", "32 × h100-sxm-80gb are left, not enough whole nodes for 64")
    ]


def test_the_fleet_may_be_the_nodes_of_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = save(
        tmp_path, "nodes.json", node("n1"), node("n2"), node("cordoned", unschedulable=True), {"kind": "Node", "metadata": {"name": "cpu"}}
    )
    found, errors = plan(capsys, "-f", save(tmp_path, "w.json", workload("a", 16)), "--fleet", nodes)
    assert found["classes"][0]["total"] == 16
    assert "cordoned" in errors and "cpu" not in errors


@pytest.mark.parametrize(
    ("metadata", "status", "instances"),
    [
        pytest.param({}, None, 1, id="one unless said"),
        pytest.param({"annotations": {"mfu.dev/replicas": "2"}}, None, 2, id="the annotation"),
        pytest.param({}, {"observed": {"accelerators": 32}}, 4, id="what its pods hold"),
    ],
)
def test_instances_are_what_is_said_or_held(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metadata: dict[str, Any], status: dict[str, Any] | None, instances: int
) -> None:
    body = {**workload("a", 8, **metadata), **({"status": status} if status else {})}
    found, _ = plan(capsys, "-f", save(tmp_path, "w.json", body), "--fleet", save(tmp_path, "f.yaml", FLEET))
    assert found["admitted"][0]["instances"] == instances


def own_class(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "mfu.dev/v1alpha1", "kind": "AcceleratorClass", "metadata": {"name": "mine"}, "spec": spec}


def test_a_class_without_a_price_has_null_and_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = own_class(vendor="nvidia", architecture="hopper", peak={"bf16": "900 TFLOP/s"}, memory="80 GB", memoryBandwidth="3 TB/s")
    fleet = save(tmp_path, "f.yaml", "classes: {mine: 8, h100-sxm-80gb: {count: 32}}")
    found, _ = plan(capsys, "-f", save(tmp_path, "w.json", bare, workload("a")), "--fleet", fleet)
    value = next(each for each in found["classValues"] if each["class"] == "mine")
    assert value["costPerUsefulPetaflop"] is None and "mine has no price" in value["costPerUsefulPetaflopUnknown"]
    assert found["classValues"][-1] is value


def test_the_provider_s_own_classes_stand_beside_the_workloads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = own_class(extends="h100-sxm-80gb", pricePerHour="$0.50")
    fleet = save(tmp_path, "f.yaml", "classes: {mine: 8, h100-sxm-80gb: {count: 32}}")
    found, _ = plan(capsys, "-f", save(tmp_path, "w.json", own, workload("a")), "--fleet", fleet)
    assert found["classValues"][0]["class"] == "mine"


def test_one_bad_document_does_not_stop_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    today = save(tmp_path, "w.json", workload("good"), workload("bad", catalog="no-such-model"))
    found, errors = plan(capsys, "-f", today, "--fleet", save(tmp_path, "f.yaml", FLEET), code=1)
    assert [item["name"] for item in found["admitted"]] == ["good"]
    assert "(bad)" in errors and errors.count("\n") == 1


def test_the_table_has_the_same_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    today, fleet = save(tmp_path, "w.json", workload("a"), workload("b")), save(tmp_path, "f.yaml", FLEET)
    assert main(["capacity", "-f", today, "--fleet", fleet, "--growth", "*=2"]) == 1
    text = capsys.readouterr().out
    assert "h100-sxm-80gb    64     128        64     0" in text
    assert "€102.40" in text and "EUR/USEFUL PFLOP" in text


@pytest.mark.parametrize(
    ("fleet", "growth", "message"),
    [
        pytest.param(FLEET, "llama", "--growth llama: give a family", id="no factor"),
        pytest.param(FLEET, "llama=much", "--growth llama=much: give a family", id="no number"),
        pytest.param(FLEET, "gemma=2", "growth.gemma: no workload is of this family; there are llama", id="no such family"),
        pytest.param(FLEET, "llama=nan", "growth.llama: must be a factor", id="not a number"),
        pytest.param("classes: {h100: 8}", "llama=1", "classes.h100: accelerator class 'h100' is not known", id="no such class"),
        pytest.param("classes: {h100-sxm-80gb: -8}", "llama=1", "classes.h100-sxm-80gb.count: must be a whole number", id="less than none"),
        pytest.param("classes: {h100-sxm-80gb: {gpus: 8}}", "llama=1", "classes.h100-sxm-80gb.gpus: is not known", id="a misspelt field"),
        pytest.param("prices: {currency: euro}", "llama=1", "prices.currency: must be an ISO 4217 code", id="a wrong price section"),
        pytest.param("prices: {currency: EUR}", "llama=1", "the fleet has no accelerators", id="no accelerators"),
        pytest.param("pools: {}", "llama=1", "pools: is not known", id="another file"),
    ],
)
def test_input_that_cannot_be_used_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fleet: str, growth: str, message: str
) -> None:
    arguments = ["-f", save(tmp_path, "w.json", workload("a")), "--fleet", save(tmp_path, "f.yaml", fleet), "--growth", growth]
    assert main(["capacity", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and captured.out == ""


def test_five_thousand_workloads_of_a_few_shapes_are_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    today = save(tmp_path, "w.json", *(workload(f"w{index}", 8 * (1 + index % 4)) for index in range(5_000)))
    fleet = save(tmp_path, "f.yaml", "classes: {h100-sxm-80gb: {count: 200000}}")
    found, _ = plan(capsys, "-f", today, "--fleet", fleet, "--growth", "llama=1.2")
    assert found["classes"][0]["wanted"] == 100_000 + sum(item["accelerators"] for item in found["admitted"] if item["origin"] == "growth")
