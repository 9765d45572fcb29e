"""Python functions whose keywords are the fields of an option group, so that no option is listed a second time."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import textwrap
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast, get_type_hints

from prenorm.options import Options, option_fields, option_of

_P = ParamSpec("_P")
_A = TypeVar("_A")
_B = TypeVar("_B")
_Group = TypeVar("_Group", bound=Options)
_Result = TypeVar("_Result")


def takes_keywords(
    group: Callable[_P, _Group],
) -> Callable[[Callable[[_A, _B, _Group], _Result]], Callable[Concatenate[_A, _B, _P], _Result]]:
    """Let a function of two arguments and an option group be called with the group's fields as keywords.

    Args:
        group: a subclass of `Options`.

    Returns:
        A decorator. The decorated function shows the keywords in its signature and documents each of them.
    """

    def decorate(function: Callable[[_A, _B, _Group], _Result]) -> Callable[Concatenate[_A, _B, _P], _Result]:
        return cast(Callable[Concatenate[_A, _B, _P], _Result], _with_keywords(function, group))

    return decorate


def takes_keywords_alone(
    group: Callable[_P, _Group],
) -> Callable[[Callable[[_A, _Group], _Result]], Callable[Concatenate[_A, _P], _Result]]:
    """Do what `takes_keywords` does, for a function of one argument and an option group.

    Args:
        group: a subclass of `Options`.

    Returns:
        A decorator.
    """

    def decorate(function: Callable[[_A, _Group], _Result]) -> Callable[Concatenate[_A, _P], _Result]:
        return cast(Callable[Concatenate[_A, _P], _Result], _with_keywords(function, group))

    return decorate


def _with_keywords(function: Callable[..., Any], group: Callable[..., Options]) -> Callable[..., Any]:
    """Return `function` with its last parameter replaced by the group's fields."""
    assert isinstance(group, type)
    *leading, last = inspect.signature(function).parameters.values()
    assert last.name == "options"
    hints = get_type_hints(group)
    shown = [
        inspect.Parameter(
            item.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if item.default is dataclasses.MISSING else item.default,
            annotation=hints[item.name],
        )
        for item in dataclasses.fields(group)
    ]
    signature = inspect.Signature([*leading, *shown], return_annotation=inspect.signature(function).return_annotation)

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        bound = signature.bind(*arguments, **keywords)
        positional = [bound.arguments[parameter.name] for parameter in leading]
        chosen = {name: value for name, value in bound.arguments.items() if name not in {p.name for p in leading}}
        if chosen.get("progress", ...) is None:
            del chosen["progress"]
        return function(*positional, group(**chosen))

    call.__signature__ = signature  # type: ignore[attr-defined]
    call.__doc__ = _documented(function.__doc__ or "", group)
    return call


def _documented(text: str, group: type[Options]) -> str:
    """Return the docstring with the options in place of the argument `options`."""
    lines = []
    for item in option_fields(group):
        facts = option_of(item)
        choices = f" One of {', '.join(facts.choices)}." if facts.choices else ""
        default = facts.unset if item.default in (None, ()) and facts.unset else repr(item.default)
        lines.append(f"{item.name}: {facts.help}{choices} Default: {default}.")
    lines.append("progress: told of the work while it goes on. Default: nothing is.")
    described = textwrap.indent("\n".join(lines), " " * 8)
    return "\n".join(described if line.strip().startswith("options:") else line for line in text.split("\n"))
