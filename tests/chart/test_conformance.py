"""Every rendered object against the schemas of a real API server, checked by kubeconform without a network."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.controlplane import ControlPlane
from sandbox.toolchain import Program, Tools

pytestmark = pytest.mark.cluster

HERE = Path(__file__).resolve().parent
CHART = HERE.parent.parent / "charts" / "mfu-operator"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))


def closed(node: Any) -> Any:
    """The schema with every object refusing the fields it does not name."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    result = {key: closed(value) for key, value in node.items()}
    if (
        isinstance(result.get("properties"), dict)
        and "additionalProperties" not in result
        and "x-kubernetes-preserve-unknown-fields" not in result
    ):
        result["additionalProperties"] = False
    return result


def write_schemas(plane: ControlPlane, folder: Path) -> None:
    """One JSON schema a kind, as `kind-group-version.json`, from the server's own OpenAPI documents."""
    paths = json.loads(plane.kubectl("get", "--raw", "/openapi/v3"))["paths"]
    for path, entry in paths.items():
        if not path.startswith(("api/", "apis/")):
            continue
        components = closed(json.loads(plane.kubectl("get", "--raw", entry["serverRelativeURL"]))["components"])
        for name, schema in components["schemas"].items():
            for kind in schema.get("x-kubernetes-group-version-kind", []):
                parts = [kind["kind"], kind["group"].partition(".")[0], kind["version"]]
                file = folder / ("-".join(part for part in parts if part).lower() + ".json")
                file.write_text(json.dumps({"allOf": [{"$ref": f"#/components/schemas/{name}"}], "components": components}))


@pytest.fixture(scope="module")
def schemas(own_cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schemas")
    for path in sorted((CHART / "crd-files").glob("*.yaml")):
        own_cluster.apply(path.read_text())
    own_cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    served = "/apis/mfu.dev/v1alpha1"
    own_cluster.supervisor.wait_until(
        "the API server publishes the schemas of the CRDs", lambda: served in own_cluster.kubectl("get", "--raw", "/openapi/v3"), seconds=30
    )
    write_schemas(own_cluster, folder)
    return folder


def conform(tools: Tools, schemas: Path, manifests: str) -> Iterator[dict[str, Any]]:
    """What kubeconform holds against the manifests."""
    command = [str(tools.path(Program.KUBECONFORM)), "-strict", "-output", "json"]
    for folder in (schemas, HERE / "schemas"):
        command += ["-schema-location", f"{folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"]
    done = subprocess.run([*command, "-"], check=False, input=manifests, capture_output=True, text=True, timeout=60)
    yield from json.loads(done.stdout)["resources"]


@pytest.mark.parametrize("values", VALUES, ids=[path.name for path in VALUES])
def test_every_rendered_object_has_the_shape_that_the_api_server_takes(tools, schemas, chart, values):
    assert list(conform(tools, schemas, chart.text(values))) == []


def test_a_field_that_no_schema_knows_is_found(tools, schemas, chart):
    wrong = chart.text().replace("terminationGracePeriodSeconds", "terminationGraceSeconds", 1)
    (found,) = conform(tools, schemas, wrong)
    assert found["kind"] == "Deployment"
    assert "terminationGraceSeconds" in found["msg"]
