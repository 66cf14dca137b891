"""The flags of `mfu run` and their environment variables."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from mfu.cli import run
from mfu.errors import DataError


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mfu run")
    run.add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine that runs the tests."""
    for name in ("POD_NAME", "POD_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)


def test_the_controllers_defaults_are_those_of_the_contract() -> None:
    found = vars(parsed("controller"))
    expected = {
        "prometheus_url": "",
        "query_timeout_seconds": 10.0,
        "tick_seconds": 30.0,
        "rate_window_seconds": 120.0,
        "metrics_port": 8080,
        "bind_address": "0.0.0.0",
        "lease_name": "mfu-operator",
        "lease_namespace": "default",
        "lease_seconds": 15.0,
        "max_hold_seconds": 3600.0,
        "writers": 8,
        "log_format": "json",
    }
    assert {name: found[name] for name in expected} == expected


def test_the_webhooks_defaults_are_those_of_the_contract() -> None:
    found = parsed("webhook")
    assert (found.port, found.metrics_port) == (9443, 8081)
    assert (found.certificate_file, found.key_file) == (Path("/tls/tls.crt"), Path("/tls/tls.key"))


def test_the_pod_names_the_candidate_and_the_namespace_of_its_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAME", "controller-7")
    monkeypatch.setenv("POD_NAMESPACE", "mfu-system")
    found = parsed("controller")
    assert (found.identity, found.lease_namespace) == ("controller-7", "mfu-system")


def test_a_variable_stands_for_a_flag_and_a_flag_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MFU_TICK_SECONDS", "5")
    monkeypatch.setenv("MFU_PROMETHEUS_HEADER", "X-Scope-OrgID=team\nA=b=c")
    assert parsed("controller").tick_seconds == 5.0
    assert parsed("controller", "--tick-seconds", "7").tick_seconds == 7.0
    assert parsed("controller").prometheus_header == [("X-Scope-OrgID", "team"), ("A", "b=c")]


def test_headers_may_be_repeated() -> None:
    assert parsed("controller", "--prometheus-header=A=1", "--prometheus-header=B=2").prometheus_header == [("A", "1"), ("B", "2")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("controller", "--tick-seconds", "0"),
        ("controller", "--tick-seconds", "nan"),
        ("controller", "--writers", "100"),
        ("controller", "--lease-seconds", "1"),
        ("controller", "--metrics-port", "70000"),
        ("controller", "--prometheus-header", "novalue"),
        ("webhook", "--log-format", "xml"),
        ("somebody",),
        (),
    ],
    ids=lambda arguments: " ".join(arguments) or "nothing",
)
def test_a_bad_flag_is_refused_with_status_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments)
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_bad_variable_is_refused_like_a_bad_flag(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MFU_TICK_SECONDS", "soon")
    with pytest.raises(SystemExit) as ended:
        parsed("controller")
    assert ended.value.code == 2
    assert "--tick-seconds" in capsys.readouterr().err


def settings(*arguments: str) -> Any:
    return run.controller_settings(parsed("controller", *arguments))


def test_the_providers_topology_labels_are_asked_first(tmp_path: Path) -> None:
    path = tmp_path / "levels.yaml"
    path.write_text("leaf: [example.com/leaf]\n")
    assert settings("--topology-levels-file", str(path)).levels.leaf[0] == "example.com/leaf"


@pytest.mark.parametrize("text", ["{", "leaf: x", "attic: [a]", "- 1"], ids=["not YAML", "no list", "no level", "no mapping"])
def test_a_wrong_topology_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "levels.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=str(path)):
        settings("--topology-levels-file", str(path))
