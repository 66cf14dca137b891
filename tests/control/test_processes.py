"""Several controllers, restarts, and a Prometheus that does not help: real processes against the real API server."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from sandbox.ports import free_ports
from tests.control.conftest import SOURCES, Operator, Process, eventually, held_job, held_pod, policy, workload

pytestmark = pytest.mark.cluster


@pytest.fixture
def start(operator: Operator) -> Iterator[Callable[..., Process]]:
    """Starts controllers that compete for one lease of this test's own, and ends them."""
    processes: list[Process] = []
    lease = f"lease-{time.monotonic_ns()}"

    def begin(name: str, *arguments: str) -> Process:
        process = operator.start_controller(name, *arguments, lease=lease)
        processes.append(process)
        return process

    yield begin
    for process in processes:
        operator.end(process)


def leads(process: Process) -> bool:
    return process.metric("mfu_operator_leader") == 1


def leaders(*processes: Process) -> list[str]:
    return [process.running.name for process in processes if process.running.exit_status() is None and leads(process)]


def test_a_restart_writes_nothing_when_nothing_changed(operator: Operator, start: Callable[..., Process], clean: str) -> None:
    first = start("restart-1")
    operator.apply(policy("floor", clean, mode="Warn", floors=[{"expectedMfu": "90%"}]))
    operator.apply(workload("steady", clean), held_job("steady", clean), workload("idle", clean))
    eventually(
        "observed as silent",
        lambda: (
            [c["reason"] for c in operator.status("steady", clean).get("conditions", ()) if c["type"] == "Observed"]
            == ["PrometheusUnavailable"]
        ),
    )
    before = settled(operator, clean, first)
    events = sorted(operator.reasons(clean, "steady"))
    operator.end(first)
    second = start("restart-2")
    eventually("the second one leads", lambda: leads(second))
    ticks = "mfu_operator_tick_duration_seconds_count"
    eventually("some ticks have passed", lambda: second.metric(ticks) >= 4)
    assert versions(operator, clean) == before
    assert sorted(operator.reasons(clean, "steady")) == events


def versions(operator: Operator, namespace: str) -> dict[str, str]:
    objects = [*operator.items("modelworkloads", namespace), operator.get("mfupolicy", "floor")]
    return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in objects}


def settled(operator: Operator, namespace: str, process: Process) -> dict[str, str]:
    """The versions once two more ticks have changed none of them."""
    ticks = "mfu_operator_tick_duration_seconds_count"

    def unchanged() -> dict[str, str] | None:
        before, count = versions(operator, namespace), process.metric(ticks)
        eventually("two ticks", lambda: process.metric(ticks) >= count + 2)
        return before if versions(operator, namespace) == before else None

    return dict(eventually("nothing changes any more", unchanged))


def test_of_two_controllers_one_leads_and_the_other_takes_over_from_a_killed_one(
    operator: Operator, start: Callable[..., Process], clean: str
) -> None:
    pair = (start("pair-1", "--lease-seconds=4"), start("pair-2", "--lease-seconds=4"))
    eventually("one leads", lambda: len(leaders(*pair)) == 1)
    operator.apply(workload("before", clean))
    operator.judged("before", clean)
    assert len(leaders(*pair)) == 1
    first = next(process for process in pair if leads(process))
    second = next(process for process in pair if process is not first)
    assert second.answers("/readyz")
    first.running.send_signal(signal.SIGKILL)
    eventually("the other leads", lambda: leads(second))
    operator.apply(workload("after", clean), held_job("after", clean))
    eventually("it works", lambda: operator.get("job", "after", clean)["spec"]["suspend"] is False)


def test_a_stopped_leader_hands_over_and_exits_cleanly(operator: Operator, start: Callable[..., Process], clean: str) -> None:
    first = start("hand-1")
    eventually("the first leads", lambda: leads(first))
    second = start("hand-2")
    first.running.send_signal(signal.SIGTERM)
    # A lease that is not released would be taken over after 15 s only.
    eventually("the second leads", lambda: leads(second), seconds=10)
    assert eventually("the first has ended", lambda: first.running.exit_status() is not None, seconds=10)
    assert first.running.exit_status() == 0


def test_a_leader_that_cannot_renew_stops_working_before_it_is_replaced(
    operator: Operator, start: Callable[..., Process], clean: str
) -> None:
    frozen, other = start("frozen-1", "--lease-seconds=4"), start("frozen-2", "--lease-seconds=4")
    eventually("one leads", lambda: len(leaders(frozen, other)) == 1)
    if leads(other):
        frozen, other = other, frozen
    frozen.running.send_signal(signal.SIGSTOP)
    try:
        eventually("the other leads", lambda: leads(other))
    finally:
        frozen.running.send_signal(signal.SIGCONT)
    eventually("the old leader follows or has ended", lambda: leaders(frozen, other) == [other.running.name])


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """A server that is no Prometheus."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_request(self, code: object = "-", size: object = "-") -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def nobody() -> Iterator[str]:
    (port,) = free_ports(1)
    yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    "place",
    [pytest.param(nobody, id="down"), pytest.param(lambda: answering(b"<html><title>Log in</title></html>"), id="answers HTML")],
)
def test_a_useless_prometheus_is_told_and_stops_nothing(
    operator: Operator, start: Callable[..., Process], clean: str, place: Callable[[], object]
) -> None:
    with place() as url:  # type: ignore[attr-defined]  # both are context managers
        process = start("blind", f"--prometheus-url={url}", "--query-timeout-seconds=2")
        operator.apply(workload("blind", clean), held_job("blind", clean))
        eventually("the gate does not need Prometheus", lambda: operator.get("job", "blind", clean)["spec"]["suspend"] is False)

        def told() -> str:
            found = [c for c in operator.status("blind", clean).get("conditions", ()) if c["type"] == "Observed"]
            return str(found[0]["message"]) if found and found[0]["reason"] == "PrometheusUnavailable" else ""

        message = eventually("the status says it", told)
        assert "\n" not in message
        assert process.metric("mfu_operator_prometheus_up") == 0
        assert process.answers("/healthz")


def test_release_holds_opens_every_gate_of_ours(operator: Operator, clean: str) -> None:
    operator.apply(held_job("held", clean), held_pod("held-pod", clean, of="held", gates=("example.com/other", "mfu.dev/admission")))
    done = subprocess.run(
        [sys.executable, "-m", "mfu", "run", "release-holds"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**operator.plane.environment, "PYTHONPATH": str(SOURCES)},
    )
    assert "released 2 held objects" in done.stdout
    job = operator.get("job", "held", clean)
    assert job["spec"]["suspend"] is False
    assert job["metadata"]["annotations"]["mfu.dev/admitted"] == "Uninstalled"
    assert operator.get("pod", "held-pod", clean)["spec"]["schedulingGates"] == [{"name": "example.com/other"}]


def test_top_and_fleet_print_what_the_operator_wrote(operator: Operator, start: Callable[..., Process], clean: str) -> None:
    start("printed")
    operator.apply(workload("printed", clean))
    operator.judged("printed", clean)
    eventually("a report", lambda: operator.get("fleetreport", "fleet").get("status"))
    top = mfu(operator, "top", "--namespace", clean)
    assert "printed" in top and "llama" not in top.splitlines()[0] and "Admitted" in top
    assert json.loads(mfu(operator, "top", "-n", clean, "-o", "json"))[0]["name"] == "printed"
    assert "h100-sxm-80gb" in mfu(operator, "fleet")
    assert mfu(operator, "fleet", "-o", "csv").startswith("group,name,accelerators")
    assert json.loads(mfu(operator, "fleet", "-o", "json"))["accelerators"]["total"] == 64


def mfu(operator: Operator, *arguments: str) -> str:
    environment = {**operator.plane.environment, "PYTHONPATH": str(SOURCES), "COLUMNS": "200", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "mfu", *arguments], check=True, capture_output=True, text=True, timeout=60, env=environment
    )
    return done.stdout
