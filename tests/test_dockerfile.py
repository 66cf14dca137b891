"""The image: what can be said of it without a container engine."""

import fnmatch
import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = ROOT / "Dockerfile"
VALUES = ROOT / "charts" / "mfu-operator" / "values.yaml"


def instructions() -> list[tuple[str, str]]:
    """Keyword and arguments, continued lines joined."""
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text())
    lines = (line.strip() for line in text.splitlines())
    return [(line.split(maxsplit=1)[0].upper(), line.split(maxsplit=1)[1]) for line in lines if line and not line.startswith("#")]


def final_stage() -> list[tuple[str, str]]:
    every = instructions()
    last = max(number for number, (keyword, _) in enumerate(every) if keyword == "FROM")
    return every[last:]


def test_hadolint_finds_nothing():
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [str(hadolint), "--failure-threshold", "info", str(DOCKERFILE)], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_is_built_in_stages_from_tagged_bases():
    bases = [arguments.split()[0] for keyword, arguments in instructions() if keyword == "FROM"]
    assert len(bases) == 2
    assert set(bases) == {"python:3.12-slim"}


def test_the_process_runs_as_the_numeric_user_that_the_chart_asks_for():
    (user,) = [arguments for keyword, arguments in final_stage() if keyword == "USER"]
    context = yaml.safe_load(VALUES.read_text())["podSecurityContext"]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert context["runAsUser"] > 0


def test_the_entry_point_is_the_cli_and_nothing_is_installed_in_the_final_stage():
    stage = final_stage()
    assert json.loads(dict(stage)["ENTRYPOINT"]) == ["mfu"]
    assert "RUN" not in {keyword for keyword, _ in stage}
    assert all(arguments.startswith("--from=build") for keyword, arguments in stage if keyword == "COPY")


def test_nothing_has_to_be_written_outside_of_the_mounted_tmp():
    environment = " ".join(arguments for keyword, arguments in final_stage() if keyword == "ENV")
    assert "PYTHONDONTWRITEBYTECODE=1" in environment
    assert "HOME=/tmp" in environment


def test_the_ports_are_those_of_the_chart():
    (exposed,) = [arguments for keyword, arguments in final_stage() if keyword == "EXPOSE"]
    values = yaml.safe_load(VALUES.read_text())
    ports = {values["controller"]["metricsPort"], values["webhook"]["metricsPort"], values["webhook"]["port"]}
    assert {int(port) for port in exposed.split()} == ports


def test_what_is_copied_exists_and_is_not_ignored():
    wanted = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for keyword, arguments in instructions():
        if keyword != "COPY" or arguments.startswith("--from="):
            continue
        *sources, _ = arguments.split()
        for source in sources:
            name = source.removeprefix("./")
            assert (ROOT / name).exists(), name
            assert any(fnmatch.fnmatch(name, pattern) for pattern in wanted), name
