"""The webhook process behind the API server: reviews as kubectl meets them."""

import ssl
import subprocess
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from sandbox.cluster import CommandFailed
from sandbox.ports import free_ports
from sandbox.toolchain import Program
from tests.control.conftest import Operator, Process, eventually, policy, workload

pytestmark = pytest.mark.cluster

PATHS = {"modelworkloads": "/validate-modelworkload", "mfupolicies": "/validate-mfupolicy"}


def configuration(operator: Operator, url: str) -> dict[str, Any]:
    authority = b64encode(operator.plane.ca_certificate.read_bytes()).decode()
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "control-tests"},
        "webhooks": [
            {
                "name": f"{plural}.mfu.dev",
                "clientConfig": {"url": url + path, "caBundle": authority},
                "rules": [
                    {"apiGroups": ["mfu.dev"], "apiVersions": ["v1alpha1"], "resources": [plural], "operations": ["CREATE", "UPDATE"]}
                ],
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "timeoutSeconds": 5,
                "admissionReviewVersions": ["v1"],
            }
            for plural, path in PATHS.items()
        ],
    }


@pytest.fixture(scope="module")
def webhook(operator: Operator) -> Iterator[Process]:
    pair = operator.plane.authority.issue_server_certificate("control-tests", dns=["localhost"], ips=["127.0.0.1"])
    (port,) = free_ports(1)
    process = operator.start("webhook", "webhook", f"--port={port}", f"--certificate-file={pair.certificate}", f"--key-file={pair.key}")
    eventually("the webhook is ready", lambda: process.answers("/readyz"))
    operator.apply(configuration(operator, f"https://127.0.0.1:{port}"))
    yield process
    operator.plane.kubectl("delete", "validatingwebhookconfiguration", "control-tests")
    operator.end(process)


def applied(operator: Operator, body: dict[str, Any]) -> str:
    """What kubectl says on standard error."""
    done = subprocess.run(
        [str(operator.plane.tools.path(Program.KUBECTL)), "apply", "-f", "-"],
        check=False,
        input=yaml.safe_dump(body),
        capture_output=True,
        text=True,
        timeout=60,
        env=operator.plane.environment,
    )
    return done.stderr.strip()


UNFIT = {
    "model": {"catalog": "llama-3.1-70b"},
    "accelerators": {"class": "h100-sxm-80gb", "count": 8, "perNode": 8},
    "training": {
        "sequenceLength": 8192,
        "globalBatchSize": 64,
        "microBatchSize": 1,
        "parallelism": {"tensor": 1, "pipeline": 1, "data": 8},
        "sharding": "none",
    },
}


def known(operator: Operator, namespace: str, decision: str) -> None:
    """Waits until the webhook has seen the policy of this test: a probe that the policy decides shows it."""
    probe = workload("probe", namespace, **UNFIT)
    eventually("the webhook knows the policy", lambda: decision in applied_dry(operator, probe), seconds=10)


def applied_dry(operator: Operator, body: dict[str, Any]) -> str:
    try:
        operator.plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(body))
    except CommandFailed as refused:
        return refused.stderr
    return "allowed"


def test_a_healthy_intent_passes_without_a_word(operator: Operator, webhook: Process, clean: str) -> None:
    assert applied(operator, workload("healthy", clean)) == ""


def test_what_does_not_fit_in_memory_is_refused_in_one_line_that_says_what_would_fit(
    operator: Operator, webhook: Process, clean: str
) -> None:
    operator.apply(policy("fit", clean, mode="Gate"))
    known(operator, clean, "denied")
    said = applied(operator, workload("unfit", clean, **UNFIT))
    assert "DoesNotFitMemory" in said
    assert len(said.splitlines()) == 1
    assert operator.items("modelworkloads", clean) == []


def test_the_same_under_observe_is_let_in(operator: Operator, webhook: Process, clean: str) -> None:
    operator.apply(policy("fit", clean, mode="Observe"))
    assert "denied" not in applied(operator, workload("unfit", clean, **UNFIT))


def test_what_would_be_held_is_accepted_with_short_warnings(operator: Operator, webhook: Process, clean: str) -> None:
    operator.apply(policy("floor", clean, mode="Gate", floors=[{"expectedMfu": "90%"}]))
    known(operator, clean, "denied")
    lines = applied(operator, workload("slow", clean)).splitlines()
    assert lines
    assert all(line.startswith("Warning: ") and len(line) <= len("Warning: ") + 120 for line in lines)
    assert "BelowExpectedMFUFloor" in lines[0]
    assert [item["metadata"]["name"] for item in operator.items("modelworkloads", clean)] == ["slow"]


ODD_SPLIT = {
    "accelerators": {"class": "h100-sxm-80gb", "count": 12, "perNode": 4},
    "training": {"sequenceLength": 8192, "globalBatchSize": 64, "parallelism": {"tensor": 3, "pipeline": 1, "data": 4}},
}


@pytest.mark.parametrize(
    ("changes", "token"),
    [
        pytest.param(ODD_SPLIT, "tensor", id="heads that tensor parallelism does not divide"),
        pytest.param({"model": {"config": {"model_type": "llama"}}}, "hidden_size", id="config without dimensions"),
    ],
)
def test_an_invalid_intent_is_refused_with_the_field(
    operator: Operator, webhook: Process, clean: str, changes: dict[str, Any], token: str
) -> None:
    said = applied(operator, workload("invalid", clean, **changes))
    assert "denied the request" in said
    assert "spec." in said and token in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "token"),
    [
        pytest.param({"accelerators": {"class": "h1000-sxm", "count": 16, "perNode": 8}}, "h100-sxm-80gb", id="unknown class"),
        pytest.param({"model": {"catalog": "llama-3.1-8bb"}}, "llama-3.1-8b", id="unknown model"),
    ],
)
def test_an_unknown_name_is_warned_of_with_the_nearest_known_ones(
    operator: Operator, webhook: Process, clean: str, changes: dict[str, Any], token: str
) -> None:
    said = applied(operator, workload("unknown", clean, **changes))
    assert all(line.startswith("Warning: ") for line in said.splitlines())
    assert token in said


def test_an_existing_object_can_be_labelled_and_deleted_whatever_the_policy_says_now(
    operator: Operator, webhook: Process, clean: str
) -> None:
    assert "denied" not in applied(operator, workload("old", clean, **UNFIT))
    operator.apply(policy("fit", clean, mode="Gate"))
    known(operator, clean, "denied")
    operator.plane.kubectl("label", "modelworkload", "old", "team=a", "--namespace", clean)
    operator.plane.kubectl(
        "patch", "modelworkload", "old", "--namespace", clean, "--subresource=status", "--type=merge", "-p", '{"status":{"summary":"x"}}'
    )
    operator.plane.kubectl("delete", "modelworkload", "old", "--namespace", clean, "--timeout=20s")


def test_a_renewed_certificate_is_served_without_a_restart(operator: Operator, webhook: Process, clean: str, tmp_path: Any) -> None:
    (port,) = free_ports(1)
    files = (tmp_path / "tls.crt", tmp_path / "tls.key")

    def write(name: str) -> None:
        pair = operator.plane.authority.issue_server_certificate(name, dns=["localhost"], ips=["127.0.0.1"])
        files[0].write_bytes(pair.certificate.read_bytes())
        files[1].write_bytes(pair.key.read_bytes())

    write("first-certificate")
    process = operator.start("renewed", "webhook", f"--port={port}", f"--certificate-file={files[0]}", f"--key-file={files[1]}")
    try:
        before = ssl.get_server_certificate(("127.0.0.1", port))
        write("second-certificate")
        eventually("the new one is served", lambda: ssl.get_server_certificate(("127.0.0.1", port)) != before)
        assert process.running.exit_status() is None
    finally:
        operator.end(process)


def test_reviews_are_counted(operator: Operator, webhook: Process, clean: str) -> None:
    applied(operator, workload("counted", clean))
    assert webhook.metric('mfu_webhook_reviews_total{decision="allowed",kind="ModelWorkload"}') >= 1
    with urllib.request.urlopen(f"{webhook.url}/metrics", timeout=5) as answer:
        assert b"mfu_webhook_review_duration_seconds_bucket" in answer.read()
