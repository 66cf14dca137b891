"""The examples of the documentation work as they stand."""

import json
from pathlib import Path

import pytest
import yaml

from mfu.__main__ import main
from mfu.api.validate import problems, warnings

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))
every_file = pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])


def documents(path: Path) -> list[dict]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


@every_file
def test_the_validator_has_nothing_to_say_about_an_example(path):
    for body in documents(path):
        if body["apiVersion"].startswith("mfu.dev/"):
            assert (problems(body), warnings(body)) == ([], [])


@pytest.mark.parametrize("name", ["first-workload", "inference-workload"])
def test_an_example_workload_fits_and_has_an_expectation(capsys, name):
    assert main(["estimate", "-f", str(EXAMPLES / f"{name}.yaml"), "-o", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert 0 < found["expected"]["mfuLow"] < found["expected"]["mfu"] < found["expected"]["mfuHigh"] < 1
    assert found["expected"]["memory"]["fits"] is True


def test_the_training_example_passes_the_example_policy():
    arguments = ["check", "-f", str(EXAMPLES / "first-workload.yaml"), "-f", str(EXAMPLES / "policy.yaml")]
    assert main(arguments) == 0


@pytest.mark.parametrize(("declaration", "runner"), [("first-workload", "first-job"), ("inference-workload", "inference-deployment")])
def test_what_runs_carries_the_label_of_its_declaration_and_asks_for_its_gpus(declaration, runner):
    (workload,) = documents(EXAMPLES / f"{declaration}.yaml")
    (body,) = documents(EXAMPLES / f"{runner}.yaml")
    template = body["spec"]["template"]
    assert template["metadata"]["labels"]["mfu.dev/workload"] == workload["metadata"]["name"]
    pods = body["spec"].get("parallelism", 1)
    gpus = template["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
    assert pods * gpus == workload["spec"]["accelerators"]["count"]


@pytest.mark.cluster
@every_file
def test_the_api_server_takes_an_example(own_cluster, path):
    if not own_cluster.kubectl("get", "crd", "-o", "name"):
        for crd in sorted((EXAMPLES.parent / "crds").glob("*.yaml")):
            own_cluster.apply(crd.read_text())
        own_cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    own_cluster.kubectl("create", "--dry-run=server", "--validate=strict", "-f", str(path))
