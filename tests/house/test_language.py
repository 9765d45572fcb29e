"""The language of docstrings and names, as far as a program can read it; `make check` lints the rest."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from helpers.paths import ROOT

FILES = sorted([*(ROOT / "converter").rglob("*.py"), *(ROOT / "model").rglob("*.py")])
# Names of data that say nothing of what it is.
VAGUE = {"found", "told", "again", "watch", "own", "about", "here", "beside", "given", "asking", "said", "shown"}
RIDDLES = re.compile(r"^As above\b|\bThe same, in one piece\b|\ba path that is none\b", re.IGNORECASE)
# Verbs in the third person, with which no docstring begins: it says "Return ...", not "Returns ...".
THIRD_PERSON = re.compile(
    r"(Adds|Answers|Applies|Asks|Brings|Builds|Calls|Checks|Clears|Closes|Collects|Compares|Computes|Converts|Copies|Counts|"
    r"Decides|Decodes|Describes|Does|Downloads|Draws|Encodes|Ends|Fills|Finds|Follows|Forgets|Gets|Gives|Goes|Has|Holds|"
    r"Initiali[sz]es|Joins|Judges|Keeps|Lets|Loads|Looks|Makes|Measures|Merges|Notes|Opens|Parses|Picks|Prints|Proves|Puts|"
    r"Raises|Reads|Records|Refuses|Removes|Renders|Replaces|Returns|Runs|Saves|Says|Sees|Sends|Sets|Shows|Shuts|Splits|Starts|"
    r"Stops|Takes|Tells|Tries|Turns|Understands|Uses|Verifies|Waits|Walks|Warns|Writes|Yields)\b"
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def module(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def public_functions(node: ast.AST, public: bool = True) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from public_functions(child, public and not child.name.startswith("_"))
        elif isinstance(child, Function) and public and not child.name.startswith("_") and not repeats(child):
            yield child


def repeats(function: Function) -> bool:
    """Whether another function has its docstring."""
    return bool({"overload", "override"} & {ast.unparse(item) for item in function.decorator_list})


def parameters(function: Function) -> list[str]:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    names = [item.arg for item in named if item is not None]
    return [name for name in names if name not in ("self", "cls") and not name.startswith("_")]


def raised(function: Function) -> set[str]:
    """The classes that the function raises by name."""
    return {
        node.exc.func.id
        for node in ast.walk(function)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and node.exc.func.id[:1].isupper()
    }


def shown(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def test_public_functions_tell_their_arguments_and_errors() -> None:
    missing = []
    for path in FILES:
        for function in public_functions(module(path)):
            text = ast.get_docstring(function) or ""
            section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", text, re.DOTALL | re.MULTILINE)
            listed = re.findall(r"^    \*{0,2}(\w+)(?: \([^)]*\))?:", section[1], re.MULTILINE) if section else []
            lacks = [name for name in parameters(function) if name not in listed]
            lacks += sorted(name for name in raised(function) if name not in text)
            if lacks or not text:
                missing.append(f"{shown(path, function)} {function.name}: {', '.join(lacks) or 'no docstring'}")
    assert missing == []


def test_functions_tell_what_they_return() -> None:
    """Properties are described as data."""
    silent = [
        f"{shown(path, function)} {function.name}"
        for path in FILES
        for function in public_functions(module(path))
        if function.returns is not None
        and ast.unparse(function.returns) != "None"
        and not any("property" in ast.unparse(decorator) for decorator in function.decorator_list)
        and not re.search(r"^(Returns|Yields):$", ast.get_docstring(function) or "", re.MULTILINE)
    ]
    assert silent == []


def test_docstrings_are_imperative_and_no_riddles() -> None:
    wrong = []
    for path in FILES:
        for node in ast.walk(module(path)):
            if isinstance(node, Function | ast.ClassDef | ast.Module):
                text = ast.get_docstring(node) or ""
                if RIDDLES.search(text) or (isinstance(node, Function) and THIRD_PERSON.match(text)):
                    wrong.append(f"{shown(path, node)} {text.splitlines()[0]}")
    assert wrong == []


def test_comments_are_no_riddles() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{token.start[0]} {token.string}"
        for path in FILES
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
        if token.type == tokenize.COMMENT and RIDDLES.search(token.string.lstrip("# "))
    ]
    assert wrong == []


def test_names_of_data_say_what_it_is() -> None:
    wrong = [
        f"{shown(path, node)} {name}"
        for path in FILES
        for node in ast.walk(module(path))
        for name in bound(node)
        if name in VAGUE
    ]
    assert wrong == []


def bound(node: ast.AST) -> list[str]:
    """The names that a node gives to data: variables, arguments, fields."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return [node.attr]
    return []
