"""`mfu tail` from end to end, with a real file, a real pipe and real HTTP."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from urllib.request import urlopen

import pytest

from mfu.__main__ import main

OPERATOR = Path(__file__).parents[2] / "operator"
LINE = (
    " iteration {step}/ 100 | consumed samples: {samples} | elapsed time per iteration (ms): {ms} | global batch size: 8 | lm loss: 1.0 |\n"
)


def log_of(*steps: int, ms: float = 10.0) -> str:
    return "".join(LINE.format(step=step, samples=8 * step, ms=ms) for step in steps)


def values(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^(mfu_\w+)(?:\{[^}]*\})? (\S+)$", text, re.MULTILINE)}


def test_once_prints_what_a_log_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "train.log"
    log.write_text(log_of(1, 2, 2, 3))
    assert main(["tail", str(log), "--once", "--sequence-length", "100"]) == 0
    found = values(capsys.readouterr().out)
    assert found["mfu_training_tokens_total"] == 2400.0
    assert found["mfu_training_steps_total"] == found["mfu_training_log_records_total"] == 3.0
    assert found["mfu_training_log_step_seconds"] == 0.01


def test_what_the_log_does_not_say_is_asked_for_and_not_guessed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "train.log"
    log.write_text(log_of(1, 2, 3))
    assert main(["tail", str(log), "--once"]) == 0
    told = capsys.readouterr()
    assert values(told.out)["mfu_training_tokens_total"] == 0.0
    assert told.err.count("--sequence-length") == 1


def test_a_file_without_records_is_an_answer_no(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "train.log"
    log.write_text("nothing of interest\n")
    assert main(["tail", str(log), "--once"]) == 1
    assert "torchtitan" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["no-such-file", "--once"], "no-such-file", id="file"),
        pytest.param(["x", "--port", "99999"], "65535", id="port"),
        pytest.param(["x", "--accelerators", "0"], "positive", id="accelerators"),
        pytest.param(["x", "--framework", "mine"], "megatron", id="framework"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", *arguments]) == 2
    err = capsys.readouterr().err
    assert complaint in err and err.count("\n") == 1


@contextmanager
def tailing(*arguments: str, source: int | None = None) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The running sidecar and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mfu", "tail", *arguments, "--port", "0", "--address", "127.0.0.1"],
        stdin=source,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(OPERATOR), "PATH": os.environ["PATH"]},
    )
    try:
        assert process.stderr is not None
        found = re.search(r":(\d+)/metrics", process.stderr.readline())
        assert found is not None
        yield process, int(found[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        assert process.stderr is not None
        process.stderr.close()


def scraped_until(port: int, name: str, value: float) -> dict[str, float]:
    ends = monotonic() + 60.0
    while True:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            found = values(answer.read().decode())
        if found.get(name, 0.0) >= value:
            return found
        assert monotonic() < ends, found
        select.select([], [], [], 0.05)


def test_the_sidecar_counts_what_is_written_after_it_came_and_survives_rotation(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("  seq_length ............ 100\n" + log_of(*range(1, 50)))
    with tailing(str(log)) as (process, port):
        assert scraped_until(port, "mfu_training_log_step", 49.0)["mfu_training_tokens_total"] == 0.0
        with log.open("a") as stream:
            stream.write(log_of(50, 51))
        found = scraped_until(port, "mfu_training_steps_total", 2.0)
        assert found["mfu_training_tokens_total"] == 1600.0
        log.rename(tmp_path / "train.log.1")
        log.write_text(log_of(52))
        found = scraped_until(port, "mfu_training_steps_total", 3.0)
        assert found["mfu_training_tokens_total"] == 2400.0
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_pipe_is_counted_as_it_comes_and_ends_with_its_writer() -> None:
    reading, writing = os.pipe()
    with tailing("-", "--sequence-length", "100", source=reading) as (process, port):
        os.close(reading)
        os.write(writing, log_of(1, 2).encode())
        assert scraped_until(port, "mfu_training_steps_total", 2.0)["mfu_training_tokens_total"] == 1600.0
        os.close(writing)
        assert process.wait(30) == 0


FOUND = os.environ.get("MFU_FOUND_LOGS", "")


def test_found_logs_give_what_their_facts_say(capsys: pytest.CaptureFixture[str]) -> None:
    """Logs of real systems, where the environment names a folder of them beside its INDEX.json."""
    if not FOUND:
        return
    index = json.loads((Path(FOUND).parent / "INDEX.json").read_text())
    wrong = []
    for entry in index:
        facts = entry.get("facts") or {}
        if entry["kind"] != "logs":
            continue
        path = Path(FOUND).parent / entry["file"]
        main(["tail", str(path), "--once", "--sequence-length", "2048", "--accelerators", "8"])
        found = values(capsys.readouterr().out)
        wrong += [
            f"{entry['file']}: {name} is {found.get(key)}" for name, key, value in _expected(facts) if not _same(found.get(key), value)
        ]
    assert wrong == []


def _expected(facts: dict[str, object]) -> Iterator[tuple[str, str, float]]:
    """The last value of each fact, under the metric that shows it."""
    for name, metric, scale in (
        ("iter_ms", "step_seconds", 1e-3),
        ("step_s", "step_seconds", 1.0),
        ("tps", "accelerator_tokens_per_second", 1.0),
        ("tokens_per_s_gpu", "accelerator_tokens_per_second", 1.0),
        ("tokens_per_s_device", "accelerator_tokens_per_second", 1.0),
        ("tokens_per_s", "tokens_per_second", 1.0),
        ("samples_per_s", "sequences_per_second", 1.0),
        ("tflops_per_gpu", "accelerator_flops_per_second", 1e12),
        ("mfu", "mfu_ratio", 1.0),
    ):
        value = facts.get(name)
        if isinstance(value, list):
            value = value[-1]
        if isinstance(value, int | float):
            yield name, f"mfu_training_log_{metric}", value * scale


def _same(found: float | None, value: float) -> bool:
    return found is not None and found == pytest.approx(value, rel=0.005)
