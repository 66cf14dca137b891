"""The record of started programs: `processes.json` in a state folder, one entry per program, in the order of starting."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox.errors import SandboxError

__all__ = ["Record", "is_alive", "read", "record", "session_of", "write"]

FILE_NAME = "processes.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A started program. pid, start time and boot together name one process for ever."""

    name: str
    pid: int
    started_ticks: int
    boot: str
    argv: tuple[str, ...]
    log: str


def record(*, name: str, pid: int, argv: Sequence[str], log: Path) -> Record:
    """The record of a process that was just started and not yet reaped."""
    stat = _stat(pid)
    if stat is None:
        raise SandboxError(f"{name}: process {pid} is gone already")
    return Record(name=name, pid=pid, started_ticks=stat.started_ticks, boot=_boot(), argv=tuple(argv), log=str(log))


def is_alive(entry: Record) -> bool:
    """Whether that very process runs: not another one with its pid, not a zombie."""
    stat = _stat(entry.pid)
    return stat is not None and stat.runs and stat.started_ticks == entry.started_ticks and entry.boot == _boot()


def session_of(leader: int) -> set[int]:
    """The running processes of the session that this pid leads: a started program and what it started itself."""
    pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return {pid for pid in pids if (stat := _stat(pid)) is not None and stat.runs and stat.session == leader}


def read(state_dir: Path) -> list[Record]:
    """The records of a state folder, none when it has no file; SandboxError when the file is not ours."""
    path = state_dir / FILE_NAME
    try:
        entries = json.loads(path.read_text())
        return [Record(**{**entry, "argv": tuple(entry["argv"])}) for entry in entries]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError) as error:
        raise SandboxError(f"{path} is not a record of started programs ({error}): remove it after checking what still runs") from error


def write(state_dir: Path, entries: Sequence[Record]) -> None:
    """Replaces the records in one step."""
    path = state_dir / FILE_NAME
    if not entries and not path.exists():
        return
    draft = path.with_suffix(".json.new")
    draft.write_text(json.dumps([asdict(entry) for entry in entries], indent=1) + "\n")
    draft.replace(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stat:
    runs: bool
    session: int
    started_ticks: int


def _stat(pid: int) -> _Stat | None:
    """State, session and start time since boot (fields 3, 6 and 22 of /proc/PID/stat), or None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name, in parentheses, may itself hold spaces and parentheses.
    fields = text.rpartition(")")[2].split()
    return _Stat(runs=fields[0] not in "ZX", session=int(fields[3]), started_ticks=int(fields[19]))


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
