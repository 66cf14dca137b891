import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from mfu import __main__ as command
from mfu import __version__
from mfu.__main__ import main

OPERATOR = Path(__file__).parents[2] / "operator"
VERBS = ("estimate", "flops", "explain", "plan", "check", "top", "fleet", "tail", "crds", "run")


def test_every_verb_has_a_line_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0
    assert all(f"\n    {verb} " in out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_of_its_own(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    assert f"usage: mfu {verb}" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"mfu {__version__}\n"


def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(name: str) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupted)
    assert command.main(["crds"]) == 130


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    environment = {"PYTHONPATH": str(OPERATOR)}
    process = subprocess.Popen(
        [sys.executable, "-m", "mfu", "crds"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, bufsize=0
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    complaints = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 141
    assert complaints == b""


def test_only_the_module_of_the_verb_is_loaded() -> None:
    heavy = {"kopf", "rich", "mfu.cli.run"}
    program = (
        f"import sys; from mfu.__main__ import main; main(['crds', '--output-dir', '/dev/null/x']); print({heavy} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": str(OPERATOR)}, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("redirection", "status", "complaint"),
    [
        pytest.param("flops --catalog llama-3.1-8b >&-", 0, "", id="closed output"),
        pytest.param("estimate -f - <&-", 2, "standard input: holds no document", id="closed input"),
        pytest.param("flops --config - <&-", 2, "is not JSON", id="closed input of a config"),
        pytest.param("estimate -f /nowhere 2>&-", 2, "", id="closed errors"),
        pytest.param("crds >/dev/full", 2, "the output cannot be written: No space left on device", id="a full disk"),
    ],
)
def test_streams_that_are_closed_or_full_are_no_traceback(redirection: str, status: int, complaint: str) -> None:
    command = ["/bin/sh", "-c", f'"{sys.executable}" -m mfu {redirection}']
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(OPERATOR)}, check=False)
    assert done.returncode == status, done.stderr
    assert complaint in done.stderr
    assert done.stderr.count("\n") == bool(complaint)


def test_a_locale_without_the_characters_is_no_traceback() -> None:
    environment = {"PYTHONPATH": str(OPERATOR), "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "mfu", "flops", "--catalog", "llama-3.1-8b"]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
