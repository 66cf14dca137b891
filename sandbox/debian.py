"""Programs out of Debian packages, without installing anything: `apt-get download`, `dpkg -x`, run from the folder."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError

__all__ = ["PackagedBinary", "release_key", "unpack"]

DOWNLOAD_SECONDS = 600
ALERTMANAGER = "prometheus-alertmanager"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedBinary:
    """A binary and the package that carries it; these packages need the C library only."""

    package: str
    path: str


def release_key() -> str:
    """Names the distribution release and the architecture, so that a shared cache never mixes them."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    name = release.get("VERSION_CODENAME") or release.get("VERSION_ID") or "unknown"
    return f"{release.get('ID', 'linux')}-{name}-{platform.machine()}"


def unpack(packages: Sequence[str], folder: Path, *, report: Callable[[str], None]) -> None:
    """Downloads the packages and unpacks each into `folder/<package>`, each in one step so that a half-unpacked one is never seen."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise SandboxError(
                f"{', '.join(packages)}: {program} is not on PATH, so the Debian packages cannot be fetched; "
                "set MFU_TOOLS_DIR to a folder with etcd, prometheus, promtool, alertmanager and amtool"
            )
    folder.mkdir(parents=True, exist_ok=True)
    report(f"fetching Debian packages {', '.join(packages)} (seconds)")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpack-") as scratch:
        downloads = Path(scratch) / "packages"
        downloads.mkdir()
        _download(packages, downloads, Path(scratch), report)
        for archive in sorted(downloads.glob("*.deb")):
            name = archive.name.partition("_")[0]
            target = Path(scratch) / name
            _run(["dpkg-deb", "-x", str(archive), str(target)], scratch)
            if name == ALERTMANAGER:
                _make_movable(target, "usr/bin/prometheus-alertmanager", "usr/share/prometheus/alertmanager")
            shutil.rmtree(folder / name, ignore_errors=True)
            target.rename(folder / name)


def _make_movable(root: Path, binary: str, data: str) -> None:
    """Lets a program that reads its data from a fixed folder under /usr run from where it was unpacked.

    The folder's name inside the binary is replaced by one of the same length that means the current directory, and a small script
    beside it, `usr/bin/alertmanager`, starts it there.
    """
    path, fixed = root / binary, f"/{data}".encode()
    path.write_bytes(path.read_bytes().replace(fixed, b".".ljust(len(fixed), b"/")))
    script = root / "usr/bin/alertmanager"
    script.write_text(f'#!/bin/sh\nroot="$(cd "$(dirname "$0")/../.." && pwd)" && cd "$root/{data}" && exec "$root/{binary}" "$@"\n')
    script.chmod(0o755)


def _download(packages: Sequence[str], into: Path, scratch: Path, report: Callable[[str], None]) -> None:
    options = _apt_options(scratch)
    download = ["apt-get", *options, "download", *packages]
    try:
        _run(download, str(into))
    except SandboxError:
        # No package lists yet, or lists so old that their packages are gone from the archive.
        report("refreshing the Debian package lists (seconds)")
        _run(["apt-get", *options, "-q", "update"], str(into))
        _run(download, str(into))


def _apt_options(scratch: Path) -> list[str]:
    if os.geteuid() == 0:
        return ["-o", "APT::Sandbox::User=root"]
    # Anybody may read the archive; only the system's own list folder needs root, so use lists of our own.
    for part in ("lists/partial", "cache/archives/partial"):
        (scratch / part).mkdir(parents=True, exist_ok=True)
    return ["-o", f"Dir::State::lists={scratch / 'lists'}", "-o", f"Dir::Cache={scratch / 'cache'}", "-o", "Debug::NoLocking=1"]


def _run(command: Sequence[str], cwd: str) -> None:
    try:
        done = subprocess.run(
            command, check=False, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise SandboxError(f"`{' '.join(command)}` took longer than {DOWNLOAD_SECONDS} s: check the network and the apt sources") from error
    if done.returncode != 0:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith(("E:", "dpkg"))]
        raise SandboxError(
            f"`{' '.join(command)}` failed: {'; '.join(said) or 'exit status ' + str(done.returncode)}; "
            "check the apt sources, or set MFU_TOOLS_DIR to a folder with the programs"
        )
