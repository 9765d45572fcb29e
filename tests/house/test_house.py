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
        if module.startswith("prenorm_model.") and module.split(".")[1] not in ("torch", "keras", "flax")
    ]
    assert common
    frameworks = {"torch", "tensorflow", "keras", "jax", "flax"}
    for module in common:
        wrong = {name for name in graph.find_upstream_modules(module) if name.split(".")[0] in frameworks}
        assert not wrong, (module, wrong)


def test_few_files_are_loose() -> None:
    loose = [path.name for path in PRENORM.glob("*.py") if not path.name.startswith("__")]
    assert len(loose) <= MOST_LOOSE_FILES, loose
