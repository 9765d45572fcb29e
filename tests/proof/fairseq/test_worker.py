"""What fairseq is told, and what the worker may do."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.checkpoints import save_edited
from helpers.fairseq import IDS, WORKER
from helpers.paths import MLM, ROOT
from prenorm.mapping.understood import prepare
from prenorm.options import SourceOptions
from prenorm.parts import open_checkpoint
from prenorm.proof.references.fairseq.model import fairseq_model
from prenorm.proof.references.fairseq.process import FairseqWorker
from prenorm.proof.references.fairseq.reference import FairseqReference
from prenorm.source.arguments import find_arguments

pytestmark = pytest.mark.slow


def test_text_that_fairseq_would_evaluate_never_reaches_it(tmp_path: Path, worker: FairseqWorker) -> None:
    proof = tmp_path / "it-ran"
    code = f"open({str(proof)!r}, 'w')"

    def attack(content: dict[str, Any]) -> None:
        content["cfg"]["model"].encoder_xformers_att_config = code
        content["cfg"]["model"].activation_dropout = [code]

    path = save_edited(tmp_path / "c.pt", attack)
    prepared = prepare(open_checkpoint(MLM), SourceOptions(task="encoder"))
    arguments = find_arguments(open_checkpoint(path).content)
    assert arguments.find("encoder_xformers_att_config") == code
    model = fairseq_model(prepared.description, arguments, prepared.canonical, prepared.tensors)
    assert code not in str(model.arguments)
    dict(FairseqReference(worker, model).stages(IDS))
    assert not proof.exists()


SCRIPTS = sorted(WORKER.glob("*.py"))


def parsed(script: Path) -> ast.Module:
    return ast.parse(script.read_text(), feature_version=(3, 8))


def test_the_worker_has_its_files() -> None:
    assert {"__init__.py", "__main__.py"} < {script.name for script in SCRIPTS}
    assert all(script.parent == WORKER for script in WORKER.rglob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_worker_needs_nothing_of_ours_and_unpickles_nothing(script: Path) -> None:
    tree = parsed(script)
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert all((WORKER / f"{node.module}.py").exists() for node in nodes if node.level)
    assert {node.level for node in nodes} <= {0, 1}
    named = {node.module for node in nodes if not node.level}
    named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {str(name).split(".")[0] for name in named} <= {*sys.stdlib_module_names, "numpy", "torch"}
    assert "pickle" not in named
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & {"torch.load", "np.load", "eval", "exec", "open", "torch.jit.load"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_worker_is_python_3_8(script: Path) -> None:
    """Types of the standard library can be subscribed in annotations only there, which nobody evaluates."""
    tree = parsed(script)
    annotations = {
        id(inner)
        for node in ast.walk(tree)
        for place in ("annotation", "returns")
        if (note := getattr(node, place, None)) is not None
        for inner in ast.walk(note)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            annotations |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.Subscript) and id(node) not in annotations:
            assert ast.unparse(node.value) not in {"Callable", "Iterator", "dict", "list", "tuple", "set", "type"}
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not called & {"removeprefix", "removesuffix", "with_stem"}


def test_the_converter_never_imports_fairseq() -> None:
    for path in (ROOT / "converter").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        named = {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
        named |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        assert not any(name.split(".")[0] == "fairseq" for name in named), path
