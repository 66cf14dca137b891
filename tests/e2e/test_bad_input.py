"""Whatever is declared or breaks, the answer is a clear message at apply or in the status, and nobody else is harmed."""

import http.server
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
import yaml

from sandbox.cluster import CommandFailed
from sandbox.demo import Stage, raise_stage
from sandbox.fleet import Pool, read_pools
from sandbox.monitoring import ScrapeJob, start_prometheus
from sandbox.ports import LOOPBACK
from sandbox.processes import Supervisor
from sandbox.toolchain import Tools

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

SECONDS = 60.0
HEALTHY: dict[str, Any] = {
    "apiVersion": "mfu.dev/v1alpha1",
    "kind": "ModelWorkload",
    "metadata": {"name": "healthy", "namespace": "default"},
    "spec": {
        "model": {"catalog": "llama-3.1-8b"},
        "precision": {"compute": "bf16"},
        "accelerators": {"class": "h100-sxm-80gb", "count": 8, "perNode": 8},
        "training": {"sequenceLength": 8192, "globalBatchSize": 64, "microBatchSize": 1, "parallelism": {"data": 8}, "sharding": "zero3"},
    },
}
LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
UNLABELLED = Pool(name="bare", nodes=1, resources={"nvidia.com/gpu": 8}, labels={"pool": "bare"}, groups={})


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, tools: Tools) -> Iterator[Stage]:
    pools = {pool.name: pool for pool in read_pools()}
    with Supervisor(tmp_path_factory.mktemp("bad-input")) as supervisor:
        raised = raise_stage(supervisor, tools, (pools["h100"], pools["cpu"], UNLABELLED))
        _apply(raised, HEALTHY)
        _until(raised, "healthy", lambda status: "mfu" in status.get("expected", {}))
        yield raised


def _workload(name: str, **changes: Any) -> dict[str, Any]:
    """The healthy workload with `a__b=value` set in its spec (None removes)."""
    body = deepcopy(HEALTHY)
    body["metadata"]["name"] = name
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = body["spec"]
        for parent in parents:
            node = node[parent]
        if value is None:
            del node[last]
        else:
            node[last] = value
    return body


def _apply(stage: Stage, body: dict[str, Any]) -> str:
    return stage.plane.apply(yaml.safe_dump(body))


def _status(stage: Stage, name: str) -> dict[str, Any]:
    status: dict[str, Any] = stage.plane.get("mw", name).get("status", {})
    return status


def _until(stage: Stage, name: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    stage.plane.supervisor.wait_until(f"the status of {name}", lambda: holds(_status(stage, name)), seconds=SECONDS, interval_seconds=0.5)
    return _status(stage, name)


def _condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((condition for condition in status.get("conditions", []) if condition["type"] == kind), {})


def _operator_is_well(stage: Stage) -> None:
    for running in (stage.operator.controller, stage.operator.webhook):
        assert running.exit_status() is None, running.log_tail()
        assert "Traceback" not in running.log.read_text()


BAD = [
    pytest.param(_workload("bad", model={"config": {"model_type": "llama"}}), ["hidden_size"], id="a config without its sizes"),
    pytest.param(
        _workload("bad", model={"config": {**LLAMA, "hidden_size": -4}}),
        ["hidden_size"],
        id="a negative hidden size",
    ),
    pytest.param(
        _workload("bad", model={"config": {**LLAMA, "num_hidden_layers": 10**12}}),
        ["num_hidden_layers"],
        id="10^12 layers",
    ),
    pytest.param(
        _workload("bad", training__parallelism={"tensor": 2, "data": 8}), ["count"], id="degrees that do not multiply to the count"
    ),
    pytest.param(_workload("bad", precision__compute="bf17"), ["bf17"], id="an unknown precision"),
    pytest.param(_workload("bad", training=None), ["training", "inference"], id="neither training nor inference"),
    pytest.param(
        {
            "apiVersion": "mfu.dev/v1alpha1",
            "kind": "MFUPolicy",
            "metadata": {"name": "bad"},
            "spec": {"mode": "Gate", "floors": [{"expectedMfu": "140%"}]},
        },
        ["expectedMfu", "100"],
        id="a floor of 140 %",
    ),
]


@pytest.mark.parametrize(("body", "named"), BAD)
def test_bad_objects_are_refused_at_apply_and_the_message_names_the_fault(stage: Stage, body: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(CommandFailed) as refused:
        _apply(stage, body)
    for word in named:
        assert word in refused.value.stderr
    assert "Traceback" not in refused.value.stderr
    _operator_is_well(stage)


@pytest.mark.parametrize(
    ("body", "reason", "nearest"),
    [
        pytest.param(_workload("misspelt-class", accelerators__class="h100-sxm-80g"), "UnknownAccelerator", "h100-sxm-80gb", id="class"),
        pytest.param(_workload("misspelt-model", model={"catalog": "llama-3.1-80b"}), "UnknownModel", "llama-3.1-8b", id="model"),
    ],
)
def test_a_misspelt_name_gives_no_expectation_and_the_nearest_known(stage: Stage, body: dict[str, Any], reason: str, nearest: str) -> None:
    _apply(stage, body)
    status = _until(stage, body["metadata"]["name"], lambda status: reason in str(status.get("conditions")))
    assert nearest in str(status["conditions"])
    assert not str(status.get("expected", {}).get("mfu", "unknown")).endswith("%")
    _operator_is_well(stage)


def test_what_slips_past_a_dead_webhook_is_caught_in_the_status(stage: Stage) -> None:
    stage.plane.supervisor.end(stage.operator.webhook)
    _apply(stage, _workload("slipped", model={"config": {"model_type": "llama"}}))
    status = _until(stage, "slipped", lambda status: _condition(status, "Accepted").get("status") == "False")
    assert "hidden_size" in _condition(status, "Accepted")["message"]
    assert _condition(_status(stage, "healthy"), "Accepted")["status"] == "True"
    assert stage.operator.controller.exit_status() is None
    assert "Traceback" not in stage.operator.controller.log.read_text()


def test_a_pod_on_a_node_without_accelerator_labels_gives_unknown_accelerator(stage: Stage) -> None:
    _apply(stage, _workload("on-bare-metal", accelerators={"count": 8, "perNode": 8}))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "trainer", "namespace": "default", "labels": {"mfu.dev/workload": "on-bare-metal"}},
        "spec": {
            "nodeSelector": {"pool": "bare"},
            "containers": [{"name": "main", "image": "trainer", "resources": {"limits": {"nvidia.com/gpu": 8}}}],
        },
    }
    _apply(stage, pod)
    stage.plane.kubectl("wait", "pod/trainer", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")
    status = _until(stage, "on-bare-metal", lambda status: "UnknownAccelerator" in str(status.get("conditions")))
    assert "mfu" not in status.get("expected", {}) or status["expected"]["mfu"].startswith("unknown")


def test_a_dead_prometheus_is_said_and_forgiven(stage: Stage, tools: Tools) -> None:
    port = int(stage.prometheus.url.rsplit(":", 1)[1])
    _run_training_pod(stage)
    stage.plane.supervisor.end(stage.prometheus.running)
    status = _until(stage, "healthy", lambda status: _condition(status, "Observed").get("reason") == "PrometheusUnavailable")
    assert "mfu" in status["expected"], "the expectation does not need Prometheus"

    with _html_server(port):
        status = _until(stage, "healthy", lambda status: "HTML" in _condition(status, "Observed").get("message", ""))
    assert _condition(status, "Observed")["reason"] == "PrometheusUnavailable"
    assert stage.operator.controller.exit_status() is None

    start_prometheus(stage.plane.supervisor, tools, [ScrapeJob(name="none")], name="prometheus-again", port=port)
    _until(stage, "healthy", lambda status: _condition(status, "Observed").get("reason") not in ("PrometheusUnavailable", None))


def _run_training_pod(stage: Stage) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "healthy", "namespace": "default", "labels": {"mfu.dev/workload": "healthy"}},
        "spec": {"containers": [{"name": "main", "image": "trainer", "resources": {"limits": {"nvidia.com/gpu": 8}}}]},
    }
    _apply(stage, pod)
    stage.plane.kubectl("wait", "pod/healthy", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")


class _html_server:
    """Something on Prometheus' port that answers every query with a login page."""

    def __init__(self, port: int) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = b"<!DOCTYPE html><html><body>Please log in</body></html>"
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class names it so
                """Nobody reads it."""

        self._server = http.server.ThreadingHTTPServer((LOOPBACK, port), Handler)

    def __enter__(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
