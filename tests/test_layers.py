"""Imports go downwards only: the map of the house, held."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

OPERATOR = Path(__file__).parents[1] / "operator"
PACKAGE = OPERATOR / "mfu"
LOWEST = frozenset({"missing", "errors", ""})

# Layer → the layers it may import besides itself and the lowest level.
BELOW = {
    "model": set(),
    "hardware": set(),
    "estimate": {"model", "hardware"},
    "observe": {"model", "hardware", "estimate"},
    "place": {"model", "hardware", "estimate"},
    "judge": {"model", "hardware", "estimate", "observe", "place"},
    "api": {"model", "hardware", "estimate", "observe", "place", "judge"},
    "report": set(),  # runs in training images
    "control": {"model", "hardware", "estimate", "observe", "place", "judge", "api"},
    "cli": {"model", "hardware", "estimate", "observe", "place", "judge", "api", "control", "report"},
    "__main__": {"cli"},
    "missing": set(),
    "errors": set(),
    "": set(),
}
# Layer → what it may import from outside the standard library.
OUTSIDE = {
    "hardware": {"yaml", "pydantic"},
    "api": {"yaml", "pydantic", "pydantic_core"},
    "cli": {"yaml", "rich"},
    "report": {"prometheus_client"},
    "control": {"kopf", "kubernetes", "prometheus_client", "aiohttp", "yaml"},
}
ONLY_CONTROL = {"kopf", "kubernetes", "prometheus_client", "asyncio", "threading", "concurrent", "multiprocessing"}
PROMETHEUS_CLIENT = {"prometheus_api_client", "requests", "urllib3"}
SERVES = {"control": ONLY_CONTROL, "cli": {"asyncio"}, "report": {"prometheus_client"}}
# What a training script imports from: names of its modules, no more.
PUBLIC = PACKAGE / "report" / "__init__.py"
PROMETHEUS_MODULE = PACKAGE / "observe" / "prometheus.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    module: str
    line: int


def _imports(path: Path) -> Iterator[Import]:
    """All of them: also those inside functions, and those for type checking."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module=alias.name, line=node.lineno)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            module = node.module or ""
            yield Import(module=module, line=node.lineno)
            if module == "mfu":
                yield from (Import(module=f"mfu.{alias.name}", line=node.lineno) for alias in node.names if alias.name != "__version__")


def _layer(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


MODULES = pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))


@MODULES
def test_a_module_imports_only_from_the_layers_below(path: Path) -> None:
    layer = _layer(path)
    assert layer in BELOW, f"{layer} is not a layer of the house"
    for found in _imports(path):
        first, _, rest = found.module.partition(".")
        if first == "mfu":
            wanted = rest.partition(".")[0]
            assert wanted == layer or wanted in LOWEST or wanted in BELOW[layer], (
                f"{path}:{found.line}: {layer} may not import {found.module}"
            )


@MODULES
def test_a_module_imports_only_the_packages_of_its_layer(path: Path) -> None:
    allowed = OUTSIDE.get(_layer(path), set()) | (PROMETHEUS_CLIENT if path == PROMETHEUS_MODULE else set())
    for found in _imports(path):
        first = found.module.partition(".")[0]
        if first != "mfu" and first not in sys.stdlib_module_names:
            assert first in allowed, f"{path}:{found.line}: {first} does not belong into {_layer(path) or 'mfu'}"


@MODULES
def test_only_control_runs_things_at_the_same_time(path: Path) -> None:
    forbidden = ONLY_CONTROL - SERVES.get(_layer(path), set())
    for found in _imports(path):
        assert found.module.partition(".")[0] not in forbidden, f"{path}:{found.line}: {found.module} belongs into control"


def test_a_verb_starts_an_event_loop_and_does_nothing_else_with_it() -> None:
    used = set()
    for path in (PACKAGE / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "asyncio":
                used.add(node.attr)
            assert not (isinstance(node, ast.ImportFrom) and node.module == "asyncio"), path
    assert used <= {"run"}


@MODULES
def test_a_module_has_a_docstring_and_a_size_that_can_be_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), f"{path}: no docstring"
    assert len(text.splitlines()) <= 400, f"{path}: {len(text.splitlines())} lines"


def test_a_package_file_holds_a_docstring_and_all_and_nothing_else() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        kinds = [type(node).__name__ for node in ast.parse(path.read_text(encoding="utf-8")).body]
        allowed = {"Assign", "AnnAssign"} | ({"ImportFrom"} if path == PUBLIC else set())
        assert kinds[0] == "Expr" and set(kinds[1:]) <= allowed, path


def test_nothing_in_operator_shadows_the_standard_library() -> None:
    assert [path.name for path in OPERATOR.glob("*.py")] == []


def test_no_module_is_a_drawer_for_anything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
    assert [path for path in _modules() if path.stem in drawers or path.parent.name in drawers] == []
