"""What a workload runs with, and what changed between two such states: the suspects when it becomes slower than it was."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["UNKNOWN_SETUP", "Setup", "changes", "fold", "intent_leaves", "is_comparable", "leaves_digest"]

_NAMED = 8
_LONGEST = 200
_SHOWN = 3
# Parts of the intent that say what is computed and on what: after a change of these the earlier level says nothing.
_IDENTITY = ("model.", "precision.", "accelerators.class")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One line each, empty where it is not known: an unknown part is no change.

    `spec`: a digest of the declared intent; `leaves`: its fields as (path, value), as far as they are known. `accepted`: what the tenant
    wrote to say that the present level is the normal one from now on.
    """

    image: str = ""
    driver: str = ""
    nodes: str = ""
    spec: str = ""
    accepted: str = ""
    leaves: tuple[tuple[str, str], ...] = ()

    def is_same(self, other: "Setup") -> bool:
        """Whether no part that both know differs."""
        return not any(_differ(one, two) for one, two in zip(self._parts(), other._parts(), strict=True)) and not self.accepts(other)

    def declares_as(self, other: "Setup") -> bool:
        """Whether the declared intent is the same, as far as both are known."""
        return not _differ(self.spec, other.spec)

    def accepts(self, earlier: "Setup") -> bool:
        """Whether the tenant has accepted the present level since."""
        return bool(self.accepted) and self.accepted != earlier.accepted

    def _parts(self) -> tuple[str, str, str, str]:
        return self.image, self.driver, self.nodes, self.spec


UNKNOWN_SETUP = Setup()


def fold(names: Iterable[str]) -> str:
    """Distinct names in one line; of many their number and a digest, so that another set reads differently."""
    distinct = sorted(set(names) - {""})
    text = ", ".join(distinct)
    if len(distinct) <= _NAMED and len(text) <= _LONGEST:
        return text
    return f"{len(distinct)} ({hashlib.sha256(text.encode()).hexdigest()[:8]})"


def intent_leaves(spec: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """The fields of a declared intent, sorted by path. Where the pods and the telemetry are found is no part of it."""
    kept = {name: value for name, value in spec.items() if name not in ("target", "telemetry")}
    return tuple(sorted(_leaves("", kept)))


def leaves_digest(leaves: tuple[tuple[str, str], ...]) -> str:
    return hashlib.sha256(json.dumps(leaves).encode()).hexdigest()[:12]


def changes(before: Setup, after: Setup) -> tuple[str, ...]:
    """`image a:1 → a:2`, `nodes gpu-1 → gpu-7`, `training.globalBatchSize 1024 → 512`; empty where nothing known changed."""
    found = [
        f"{name} {old} → {new}"
        for name, old, new in (
            ("image", before.image, after.image),
            ("driver", before.driver, after.driver),
            ("nodes", before.nodes, after.nodes),
        )
        if _differ(old, new)
    ]
    if not after.declares_as(before):
        found += _changed_leaves(before, after)
    return tuple(found)


def is_comparable(before: Setup, after: Setup) -> bool:
    """Whether the level from before says anything about now: not after another model, precision or class of accelerators."""
    if after.declares_as(before):
        return True
    if not before.leaves or not after.leaves:
        return False
    return not any(path.startswith(_IDENTITY) for path in _paths_that_differ(before, after))


def _differ(old: str, new: str) -> bool:
    return bool(old) and bool(new) and old != new


def _changed_leaves(before: Setup, after: Setup) -> list[str]:
    if not before.leaves or not after.leaves:
        return ["the declared intent"]
    old, new = dict(before.leaves), dict(after.leaves)
    paths = _paths_that_differ(before, after)
    found = [f"{path} {old.get(path, 'unset')} → {new.get(path, 'unset')}" for path in paths[:_SHOWN]]
    return found + ([f"{len(paths) - _SHOWN} more fields"] if len(paths) > _SHOWN else [])


def _paths_that_differ(before: Setup, after: Setup) -> list[str]:
    return sorted({path for path, _ in set(before.leaves) ^ set(after.leaves)})


def _leaves(path: str, value: object) -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(f"{path}.{name}" if path else str(name), inner)
    else:
        text = json.dumps(value, sort_keys=True) if isinstance(value, (list, bool)) or value is None else str(value)
        yield path, text if len(text) <= _LONGEST else hashlib.sha256(text.encode()).hexdigest()[:12]
