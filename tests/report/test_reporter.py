"""The in-process reporter, scraped over real HTTP."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mfu.observe import training
from mfu.report import Reporter
from mfu.report.reporter import Scope

OPERATOR = Path(__file__).parents[2] / "operator"
LOOPBACK = "127.0.0.1"


def scraped(reporter: Reporter) -> dict[str, tuple[dict[str, str], float]]:
    with urlopen(f"http://{LOOPBACK}:{reporter.port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        sample.name: (dict(sample.labels), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("mfu_") and not sample.name.endswith("_created")
    }


def started(**settings: object) -> Reporter:
    return Reporter(port=0, address=LOOPBACK, environment={}, **settings)  # type: ignore[arg-type]  # keyword values of any kind


def test_the_names_that_are_served_are_those_the_observer_reads() -> None:
    with started() as reporter:
        reporter.step(tokens=1)
        names = scraped(reporter).keys()
    asked = " ".join(training.expressions(120.0))
    assert names == {"mfu_training_tokens_total", "mfu_training_steps_total", "mfu_training_data_wait_seconds_total"}
    assert all(name in asked for name in names)


def test_steps_tokens_and_waiting_add_up() -> None:
    with started() as reporter:
        reporter.step(tokens=4096, data_wait_seconds=0.5)
        reporter.step(tokens=4096, steps=0)
        reporter.step(tokens=4096, data_wait_seconds=0.25)
        found = scraped(reporter)
    assert found["mfu_training_tokens_total"] == ({"scope": "job", "rank": "0"}, 12288.0)
    assert found["mfu_training_steps_total"][1] == 2.0
    assert found["mfu_training_data_wait_seconds_total"][1] == 0.75


def test_figures_that_make_no_sense_stop_no_training() -> None:
    with started() as reporter:
        reporter.step(tokens=-5, data_wait_seconds=-1.0, steps=-1)
        assert {value for _, value in scraped(reporter).values()} == {0.0}


def test_of_a_whole_job_only_rank_0_serves_and_the_others_do_nothing() -> None:
    with Reporter(port=0, address=LOOPBACK, environment={"RANK": "3", "LOCAL_RANK": "3"}) as reporter:
        reporter.step(tokens=10)
        assert reporter.port is None and not reporter.serves


def test_ranks_that_count_their_own_each_serve_and_say_who_they_are() -> None:
    environment = {"RANK": "9", "LOCAL_RANK": "1"}
    with Reporter(port=0, address=LOOPBACK, scope="rank", environment=environment) as reporter:
        reporter.step(tokens=10)
        assert scraped(reporter)["mfu_training_tokens_total"] == ({"scope": "rank", "rank": "9"}, 10.0)


@pytest.mark.parametrize(
    ("scope", "expected"), [pytest.param(Scope.JOB, 0, id="the job"), pytest.param(Scope.RANK, 3, id="each rank, a port of its own")]
)
def test_processes_of_one_pod_do_not_want_the_same_port(scope: Scope, expected: int) -> None:
    free = _free_port()
    with Reporter(port=free - 3, address=LOOPBACK, scope=scope, rank=0, local_rank=3, environment={}) as reporter:
        assert reporter.port is None or reporter.port == free - 3 + expected


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        pytest.param({"RANK": "2", "SLURM_PROCID": "5"}, 2, id="torchrun first"),
        pytest.param({"SLURM_PROCID": "5"}, 5, id="Slurm"),
        pytest.param({"RANK": "x"}, 0, id="not a number"),
        pytest.param({}, 0, id="nothing"),
    ],
)
def test_the_rank_is_read_from_the_launcher(environment: dict[str, str], rank: int) -> None:
    assert Reporter(environment=environment).rank == rank


def test_a_port_that_is_taken_is_said_and_does_not_stop_the_training(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with caplog.at_level(logging.WARNING, logger="mfu.report"), Reporter(port=port, address=LOOPBACK, environment={}) as reporter:
            reporter.step(tokens=1)
            assert reporter.port is None
    assert f"{LOOPBACK}:{port}" in caplog.text and "another port" in caplog.text


def test_the_port_is_free_again_afterwards() -> None:
    with started() as reporter:
        port = reporter.port
        assert port is not None
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((LOOPBACK, port))


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_only_the_wait_for_a_batch_is_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock()
    monkeypatch.setattr("mfu.report.reporter.perf_counter", clock)

    def loader() -> Iterator[int]:
        for batch in range(3):
            clock.now += 2.0
            yield batch

    with started() as reporter:
        for _ in reporter.timed_data(loader()):
            clock.now += 10.0
        assert scraped(reporter)["mfu_training_data_wait_seconds_total"][1] == 6.0


def test_timed_data_is_as_long_as_what_it_wraps_and_can_be_read_again() -> None:
    with started() as reporter:
        batches = reporter.timed_data([1, 2, 3])
        assert len(batches) == 3
        assert list(batches) == list(batches) == [1, 2, 3]
        with pytest.raises(TypeError):
            len(reporter.timed_data(iter([1])))


def test_a_training_image_needs_no_framework_and_nothing_of_the_operator() -> None:
    program = "import sys, mfu.report; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(OPERATOR)})
    loaded = set(done.stdout.split())
    assert loaded.isdisjoint(
        {"torch", "transformers", "lightning", "pytorch_lightning", "kopf", "kubernetes", "pydantic", "yaml", "requests"}
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
