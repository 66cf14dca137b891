"""Files → documents. One that cannot be parsed is carried along with what is wrong with it, so that it does not stop the others."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mfu.errors import IntentError, MfuError

__all__ = ["Document", "read_documents"]

_MARKER = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_COMMENTS = re.compile(r"^\s*(#.*|%.*|\.\.\.)?$")
_MOST_BYTES = 64 * 2**20
_MOST_VALUES = 500_000
_DEEPEST = 100

_Base: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class _Loader(_Base):  # type: ignore[misc]  # one of two loaders, chosen at run time
    """Counts how deep it is: libyaml recurses on the C stack, and a file of brackets would end the process.

    Refuses a key that is given twice, as the API server does: the last one would silently win.
    """

    depth = 0
    checked: set[int]

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.checked = set()

    def flatten_mapping(self, node: Any) -> None:
        # Before the first merge of `<<`, which brings keys that may stand beside the mapping's own.
        if id(node) not in self.checked:
            self.checked.add(id(node))
            _refuse_twins(node)
        super().flatten_mapping(node)

    def descend_resolver(self, node: Any, index: Any) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise IntentError("", f"is nested more than {_DEEPEST} levels deep")

    def ascend_resolver(self) -> None:
        self.depth -= 1


def _refuse_twins(node: Any) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        if key.value in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key.value[:48]!r} is given twice", key.start_mark)
        seen.add(key.value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of a file. `index` counts from 1; `problem` says why there is no `body`."""

    source: str
    index: int
    kind: str | None = None
    body: Mapping[str, Any] | None = None
    problem: str | None = None

    @property
    def place(self) -> str:
        """Where the document is, for messages."""
        return f"{self.source}: document {self.index}"

    @property
    def name(self) -> str:
        return self._metadata("name", "")

    @property
    def namespace(self) -> str:
        return self._metadata("namespace", "default")

    @property
    def labels(self) -> Mapping[str, str]:
        return self._texts("labels")

    @property
    def annotations(self) -> Mapping[str, str]:
        return self._texts("annotations")

    def _metadata(self, key: str, default: str) -> str:
        metadata = self.body.get("metadata") if self.body else None
        value = metadata.get(key) if isinstance(metadata, Mapping) else None
        return value if isinstance(value, str) and value else default

    def _texts(self, key: str) -> Mapping[str, str]:
        metadata = self.body.get("metadata") if self.body else None
        value = metadata.get(key) if isinstance(metadata, Mapping) else None
        return {str(name): str(text) for name, text in value.items()} if isinstance(value, Mapping) else {}


def read_documents(paths: Sequence[str]) -> list[Document]:
    """All documents of the files in order; `-` is standard input. YAML and JSON, any number of documents a file, lists taken apart.

    Raises MfuError for a file that cannot be read, is no text, is too large, or holds no document.
    """
    documents: list[Document] = []
    for path in paths:
        found = list(_documents(path, _text(path)))
        if not found:
            raise MfuError(f"{_shown(path)}: holds no document; give a file with at least one object")
        documents.extend(found)
    return documents


def _shown(path: str) -> str:
    return "standard input" if path == "-" else path


def _text(path: str) -> str:
    try:
        if path == "-":
            raw = sys.stdin.buffer.read(_MOST_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                raw = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MfuError(f"{_shown(path)}: cannot be read: {reason}") from error
    if len(raw) > _MOST_BYTES:
        raise MfuError(f"{_shown(path)}: is larger than {_MOST_BYTES // 2**20} MiB; give a file of manifests")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MfuError(f"{_shown(path)}: is not a text file (UTF-8); give YAML or JSON") from error


def _documents(path: str, text: str) -> Iterator[Document]:
    source, index = _shown(path), 0
    for part in _MARKER.split(text):
        if all(_COMMENTS.match(line) for line in part.splitlines()):
            continue
        try:
            bodies = _bodies(_parsed(part))
        except IntentError as error:
            index += 1
            yield Document(source=source, index=index, problem=error.message)
            continue
        for body in bodies:
            index += 1
            if isinstance(body, Mapping):
                kind = body.get("kind")
                yield Document(source=source, index=index, kind=kind if isinstance(kind, str) else None, body=body)
            else:
                yield Document(source=source, index=index, problem=f"is not an object of Kubernetes but {type(body).__name__}")


def _bodies(value: Any) -> list[Any]:
    """What `kubectl get -o yaml` gives for several objects is taken apart."""
    if isinstance(value, Mapping) and value.get("kind") == "List" and isinstance(value.get("items"), list):
        return list(value["items"])
    return [value]


def _parsed(text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text, object_pairs_hook=_object)  # many times faster than YAML, which then says what is wrong
        except (ValueError, RecursionError):
            pass
    try:
        value = yaml.load(text, Loader=_Loader)
        if "&" in text:
            _count(value, 0)
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1} of the document" if error.problem_mark else ""
        raise IntentError("", f"is not YAML: {error.problem or error.context}{line}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise IntentError("", f"is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise IntentError("", "is nested too deeply") from error
    return value


def _count(value: Any, seen: int) -> int:
    """Values with aliases written out: a few lines of YAML can stand for billions."""
    seen += 1
    if seen > _MOST_VALUES:
        raise IntentError("", f"its YAML aliases stand for more than {_MOST_VALUES:,} values")
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        seen = _count(child, seen)
    return seen
