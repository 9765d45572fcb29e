"""Sentences for users name options through `prenorm.options.spoken`, so that Python's users are told keywords."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from helpers.paths import ROOT

PRENORM = ROOT / "converter" / "prenorm"
# The command line's own rooms, what is stored for readers of both kinds, and where names and helps are made.
ELSEWHERE = (
    "cli", "reports", "folder/card/command.py", "fitness/config_fields.py", "proof/checks/folder_tokenizer.py",
    "options/groups.py", "options/run_groups.py", "options/values.py", "tokenization/derived.py", "__init__.py",
    "commands/run/slurm/",  # which passes options to Slurm's commands
)  # fmt: skip
NAMES = re.compile(
    r"--[a-z][a-z]+|\bprenorm (convert(-run)?|inspect|verify|record|push)\b|\b(OUTPUT|CHECKPOINT|FOLDER|GOLDEN)\b"
)
# What is stored in a report, by how it begins.
STORED = ("nothing here says what the checkpoint computes", "the golden file holds nothing of a tokenizer")
# What options of other programs are called, which nobody passes to prenorm.
OF_OTHERS = re.compile(
    r"--(store-ema|save-dir|encoder-normalize-before|no-final-layer-norm|max-positions)\b|`hf download .*|--revision $"
    r"|--local-dir "
)


def sentences(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The texts of a module that are no docstrings."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def test_no_sentence_names_an_option_as_the_command_line_has_it() -> None:
    wrong = []
    for path in sorted(PRENORM.rglob("*.py")):
        name = path.relative_to(PRENORM).as_posix()
        if not name.startswith(ELSEWHERE):
            for line, text in sentences(ast.parse(path.read_text(encoding="utf-8"))):
                if not text.startswith(STORED) and NAMES.search(OF_OTHERS.sub("", text)):
                    wrong.append(f"{name}:{line} {text}")
    assert wrong == []
