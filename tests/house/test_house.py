"""The shape of the sources: rooms, files without circles, sizes, and names that stand for one thing."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

from helpers.paths import ROOT

PRENORM, MODEL = ROOT / "converter" / "prenorm", ROOT / "model" / "prenorm_model"
FILES = sorted([*PRENORM.rglob("*.py"), *MODEL.rglob("*.py")])
ROOMS = sorted(path.parent for path in PRENORM.glob("*/__init__.py"))
FRAMEWORKS = ("torch", "keras", "flax")  # each has a part of the model
LONGEST_FILE, LONGEST_FUNCTION, MOST_LOOSE_FILES = 350, 60, 6


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports() -> grimp.ImportGraph:
    """Every import of both packages, those in functions and for type checkers too."""
    return grimp.build_graph("prenorm", "prenorm_model", include_external_packages=True, cache_dir=None)


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def shown(path: Path, line: int = 0) -> str:
    return f"{path.relative_to(ROOT)}:{line}" if line else str(path.relative_to(ROOT))


def test_no_files_import_in_a_circle() -> None:
    graph = imports()
    edges = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(reversed(circle.args[1])))


def test_what_no_framework_owns_imports_no_framework() -> None:
    graph = imports()
    common = [
        module
        for module in graph.modules
        if module.startswith("prenorm_model.") and module.split(".")[1] not in FRAMEWORKS
    ]
    assert common
    frameworks = {"torch", "tensorflow", "keras", "jax", "flax"}
    for module in common:
        wrong = {name for name in graph.find_upstream_modules(module) if name.split(".")[0] in frameworks}
        assert not wrong, (module, wrong)


def test_few_files_are_loose() -> None:
    loose = [path.name for path in PRENORM.glob("*.py") if not path.name.startswith("__")]
    assert len(loose) <= MOST_LOOSE_FILES, loose


@pytest.mark.parametrize("room", [*ROOMS, PRENORM, MODEL], ids=lambda path: path.name)
def test_a_room_names_its_public_surface(room: Path) -> None:
    assigned = [
        target.id
        for node in parsed(room / "__init__.py").body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    ]
    assert "__all__" in assigned


def test_no_file_is_long() -> None:
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = function.body[0]
    documented = ast.get_docstring(function) is not None
    text = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - text


def test_no_function_is_long() -> None:
    lengths = {f"{shown(path, node.lineno)} {node.name}": length(node) for path, node in functions()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_one_name_one_class(framework: str) -> None:
    """Of the model in several frameworks, each has its own of the same parts."""
    others = [MODEL / other for other in FRAMEWORKS if other != framework]
    names: dict[str, list[str]] = {}
    for path in FILES:
        if any(path.is_relative_to(other) for other in others):
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                names.setdefault(node.name, []).append(shown(path, node.lineno))
    assert {name: places for name, places in names.items() if len(places) > 1} == {}
