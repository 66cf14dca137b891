"""The README tells the truth: its commands run, its files exist, its workload is the example's."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
CONSOLE = [line for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL) for line in block.replace("\\\n", " ").splitlines()]
CLI = [line.split("#")[0].strip() for line in CONSOLE if line.startswith("mfu ")]


def test_the_readme_shows_the_cli() -> None:
    assert {shlex.split(line)[1] for line in CLI} >= {"estimate", "explain", "plan", "check", "flops"}


@pytest.mark.parametrize("line", CLI)
def test_every_cli_command_of_the_readme_runs(line: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mfu", *shlex.split(line)[1:]], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_link_of_the_readme_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


@pytest.mark.parametrize("target", sorted({line.split()[1] for line in CONSOLE if line.startswith("make ")}))
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_workload_of_the_readme_is_the_example() -> None:
    (shown,) = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)]
    example = yaml.safe_load((ROOT / "examples" / "first-workload.yaml").read_text())
    example["spec"].pop("target")
    assert shown == example


def test_the_readme_names_the_ways_in() -> None:
    for way in ("make demo", "make test", "helm install", "kubectl apply", "kubectl describe mw"):
        assert way in README
