import copy
import json
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mfu.api.crds import KINDS, crd_files, custom_resource_definitions
from mfu.api.validate import problems
from sandbox.cluster import CommandFailed
from sandbox.controlplane import ControlPlane
from tests.api.objects import ABSENT, BROKEN, GOOD, Broken

CRDS = Path(__file__).parents[2] / "crds"
COLUMNS = ["MODE", "MODEL", "GPUS", "EXPECTED", "OBSERVED", "DRIFT", "BOUND", "VERDICT", "AGE"]


def _schemas(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from _schemas(part, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from _schemas(schema[key], f"{path}[]")


def _all_fields() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for manifest in custom_resource_definitions().values():
        root = manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        found += [item for item in _schemas(root, manifest["spec"]["names"]["kind"]) if not item[0].endswith(".metadata")]
    return found


def test_the_committed_files_are_the_generated_ones() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in CRDS.glob("*.yaml")} == crd_files(), "run `mfu crds --output-dir crds`"


def test_the_files_hold_the_manifests_without_yaml_anchors() -> None:
    for name, text in crd_files().items():
        assert yaml.safe_load(text) == custom_resource_definitions()[name]
        assert "&id" not in text


def test_every_field_is_described() -> None:
    undescribed = [path for path, schema in _all_fields() if not path.endswith("[]") and not schema.get("description")]
    assert undescribed == []


def test_every_list_map_and_string_is_bounded() -> None:
    unbounded = []
    for path, schema in _all_fields():
        bounded = {
            "array": "maxItems" in schema,
            "string": "maxLength" in schema or "enum" in schema or path.endswith((".apiVersion", ".kind")),
            "object": "properties" in schema or "maxProperties" in schema,
        }
        if not bounded.get(schema.get("type", ""), True):
            unbounded.append(path)
    assert unbounded == []


def test_only_shares_that_tenants_write_as_numbers_are_floats() -> None:
    floats = [path.partition(".")[2] for path, schema in _all_fields() if schema.get("type") == "number"]
    assert sorted(floats) == [
        "spec.inference.engine.memoryFraction",
        "spec.inference.prefixCacheHitRate",
        "spec.inference.speculative.acceptanceRate",
        "spec.training.tokenEfficiency",
    ]


def test_the_names_columns_and_categories_are_those_of_the_contract() -> None:
    assert {kind.name: (kind.short_names, kind.namespaced) for kind in KINDS.values()} == {
        "ModelWorkload": (("mw",), True),
        "MFUPolicy": (("mfup",), False),
        "AcceleratorClass": (("accel",), False),
        "FleetReport": (("mfufleet",), False),
    }
    columns = [column.name for column in KINDS["ModelWorkload"].columns if column.priority == 0]
    assert columns == COLUMNS
    assert all(manifest["spec"]["names"]["categories"] == ["mfu"] for manifest in custom_resource_definitions().values())


def test_conditions_are_maps_by_type() -> None:
    lists = [schema for path, schema in _all_fields() if path.endswith("status.conditions")]
    assert len(lists) == 4
    assert all(schema["x-kubernetes-list-type"] == "map" and schema["x-kubernetes-list-map-keys"] == ["type"] for schema in lists)


@pytest.fixture(scope="module")
def served(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with the CRDs, as the API server takes them."""
    control_plane.kubectl("apply", "--server-side", "-f", str(CRDS))
    for kind in KINDS.values():
        control_plane.kubectl("wait", "--for=condition=Established", f"crd/{kind.plural}.mfu.dev", "--timeout=30s")
    return control_plane


def _in(body: dict[str, Any], namespace: str) -> str:
    body = copy.deepcopy(body)
    if body["kind"] == "ModelWorkload":
        body["metadata"]["namespace"] = namespace
    return json.dumps(body)


@pytest.mark.cluster
@pytest.mark.parametrize("kind", GOOD)
def test_the_api_server_stores_a_good_object_whole(served: ControlPlane, namespace: str, kind: str) -> None:
    body = GOOD[kind]
    stored = json.loads(served.kubectl("create", "--validate=strict", "-o", "json", "-f", "-", stdin=_in(body, namespace)))
    try:
        assert stored["spec"] == body["spec"]
    finally:
        served.kubectl("delete", "--wait=false", "-f", "-", stdin=_in(body, namespace))


@pytest.mark.cluster
@pytest.mark.parametrize("case", [case for case in BROKEN if case.server_said is not None], ids=lambda case: case.id)
def test_the_api_server_refuses_a_broken_object_with_a_message_for_a_person(served: ControlPlane, namespace: str, case: Broken) -> None:
    with pytest.raises(CommandFailed) as refusal:
        served.kubectl("create", "--dry-run=server", "-f", "-", stdin=_in(case.body(), namespace))
    assert case.server_said is not None and case.server_said.casefold() in refusal.value.stderr.casefold()


@pytest.mark.cluster
@pytest.mark.parametrize(
    "case", [case for case in BROKEN if case.server_said is None and case.value is not ABSENT], ids=lambda case: case.id
)
def test_what_needs_the_model_is_left_to_the_validator(served: ControlPlane, namespace: str, case: Broken) -> None:
    served.kubectl("create", "--dry-run=server", "-f", "-", stdin=_in(case.body(), namespace))


def _drawn(draw: random.Random, number: int) -> dict[str, Any]:
    """A workload with degrees that fit together about as often as not; some are left out."""
    kind = draw.choice(["training", "inference"])
    body = copy.deepcopy(GOOD[kind])
    body["metadata"] = {"name": f"drawn-{number}"}
    body["spec"]["model"] = {"configMapRef": {"name": "llama"}}  # what a model allows is not the server's business
    names = (
        ["tensor", "pipeline", "data", "context", "expert", "expertTensor"]
        if kind == "training"
        else ["tensor", "pipeline", "data", "expert"]
    )
    degrees = {name: draw.choice([1, 1, 2, 3, 4, 8]) for name in names if draw.random() < 0.7}
    product = math.prod(value for name, value in degrees.items() if not name.startswith("expert"))
    body["spec"]["accelerators"] = {"count": product * draw.choice([1, 1, 1, 2, 3])} if draw.random() < 0.8 else {}
    body["spec"][kind] = {**body["spec"][kind], "parallelism": degrees}
    if kind == "training":
        body["spec"][kind] |= {"globalBatchSize": 10_000, "sequenceLength": 24 * 4096}
    return body


@pytest.mark.cluster
def test_the_rules_of_the_crd_and_the_validator_agree_on_what_fits_together(served: ControlPlane, namespace: str) -> None:
    draw = random.Random(7)
    bodies = [_drawn(draw, number) for number in range(200)]
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})
    try:
        accepted = served.kubectl("create", "--dry-run=server", "-n", namespace, "-o", "name", "-f", "-", stdin=manifest)
    except CommandFailed as refusal:
        said = refusal.stderr
    else:
        pytest.fail(f"the server takes all of them: {accepted[:200]}")
    refused = {int(number) for number in re.findall(r'"drawn-(\d+)" is invalid', said)}
    assert refused == {number for number, body in enumerate(bodies) if problems(body)}
    assert 40 < len(refused) < 160


@pytest.mark.cluster
def test_a_status_shows_in_the_columns_and_only_through_its_subresource(served: ControlPlane, namespace: str) -> None:
    served.kubectl("create", "-f", "-", stdin=_in(GOOD["training"], namespace))
    status = {
        "mode": "training",
        "model": "llama 8.03B",
        "accelerators": {"class": "h100-sxm-80gb", "count": 64},
        "expected": {"mfu": "43.1%", "boundBy": "Compute"},
        "observed": {"mfu": "31.0%"},
        "drift": {"ratio": "-28.1%"},
        "verdict": {"decision": "Admitted", "reason": "Admitted", "message": "expected MFU 43.1%"},
    }
    patch = json.dumps({"status": status})
    name = GOOD["training"]["metadata"]["name"]
    served.kubectl("patch", "mw", name, "-n", namespace, "--type=merge", "-p", patch)
    assert "43.1%" not in served.kubectl("get", "mw", name, "-n", namespace)
    served.kubectl("patch", "mw", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
    header, row = served.kubectl("get", "mw", name, "-n", namespace).splitlines()[:2]
    assert header.split()[1:] == COLUMNS
    assert row.split()[1:-1] == ["training", "llama", "8.03B", "64", "43.1%", "31.0%", "-28.1%", "Compute", "Admitted"]


@pytest.mark.cluster
def test_there_is_one_fleet_report(served: ControlPlane) -> None:
    report = {"apiVersion": "mfu.dev/v1alpha1", "kind": "FleetReport", "metadata": {"name": "fleet"}, "spec": {}}
    served.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(report))
    report["metadata"] = {"name": "other"}
    with pytest.raises(CommandFailed) as refusal:
        served.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(report))
    assert "there is one FleetReport, named fleet" in refusal.value.stderr
