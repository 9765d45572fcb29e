"""Python functions whose parameters are the fields of an option group, so that no option is listed a second time."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar, cast, get_type_hints, overload

from prenorm.options import (
    Kind,
    Modes,
    Options,
    argument_fields,
    check_call,
    field_of,
    option_fields,
    option_of,
)
from prenorm.progress import NotebookProgress, in_notebook

_P = ParamSpec("_P")
_P2 = ParamSpec("_P2")
_P3 = ParamSpec("_P3")
_Group = TypeVar("_Group", bound=Options)
_Result = TypeVar("_Result")
_GroupIn = TypeVar("_GroupIn", bound=Options, contravariant=True)
_ResultOut = TypeVar("_ResultOut", covariant=True)


class KeywordFunction(Protocol[_P, _GroupIn, _ResultOut]):
    """A function of arguments and keywords, which can also be called with an option group."""

    def __call__(self, *arguments: _P.args, **keywords: _P.kwargs) -> _ResultOut:
        """Call it as its signature says."""

    def with_options(self, options: _GroupIn, /) -> _ResultOut:
        """Call it with arguments and keywords as one group.

        Args:
            options: the group.

        Returns:
            What the function returns.
        """


def with_keywords(
    group: Callable[_P, _Group],
) -> Callable[[Callable[[_Group], _Result]], KeywordFunction[_P, _Group, _Result]]:
    """Let a function of an option group be called with the group's fields: its arguments, and its options as keywords.

    Args:
        group: a subclass of `Options`.

    Returns:
        A decorator. The decorated function shows every keyword in its signature and documents it. A keyword that there is
        none of is a TypeError, a value that does not fit a UsageProblem; both name it.
    """

    def decorate(function: Callable[[_Group], _Result]) -> KeywordFunction[_P, _Group, _Result]:
        return cast("KeywordFunction[_P, _Group, _Result]", _keyword_function(function, Modes((group,))))

    return decorate


class ThreeModes(Protocol[_P, _P2, _P3, _GroupIn, _ResultOut]):
    """A function that can be called in three ways, each with arguments and keywords of its own."""

    @overload
    def __call__(self, *arguments: _P.args, **keywords: _P.kwargs) -> _ResultOut: ...
    @overload
    def __call__(self, *arguments: _P2.args, **keywords: _P2.kwargs) -> _ResultOut: ...
    @overload
    def __call__(self, *arguments: _P3.args, **keywords: _P3.kwargs) -> _ResultOut: ...

    def with_options(self, options: _GroupIn, /) -> _ResultOut:
        """Call it with arguments and keywords as one group.

        Args:
            options: the group.

        Returns:
            What the function returns.
        """


def with_modes(
    modes: Modes[tuple[Callable[_P, Options], Callable[_P2, Options], Callable[_P3, Options]]],
) -> Callable[[Callable[[_Group], _Result]], ThreeModes[_P, _P2, _P3, _Group, _Result]]:
    """Do what `with_keywords` does, for a function that takes any of three groups.

    Args:
        modes: the groups. The keywords decide which is meant, and a keyword of another one is a UsageProblem.

    Returns:
        A decorator.
    """

    def decorate(function: Callable[[_Group], _Result]) -> ThreeModes[_P, _P2, _P3, _Group, _Result]:
        return cast("ThreeModes[_P, _P2, _P3, _Group, _Result]", _keyword_function(function, modes))

    return decorate


def _keyword_function(function: Callable[[Any], Any], modes: Modes[Any]) -> Callable[..., Any]:
    """Return a function that makes an option group of its arguments and keywords, and calls `function` with it."""
    signature = _signature(function, modes)
    modes = dataclasses.replace(modes, advice=_calls(function.__name__, modes))

    @functools.wraps(function)
    def call(*arguments: object, **keywords: object) -> Any:
        if unknown := keywords.keys() - signature.parameters.keys():
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument '{unknown.pop()}'")
        options = _options(function.__name__, modes, arguments, keywords)
        if options.progress is not None or not in_notebook():
            return function(options)
        with NotebookProgress() as progress:
            return function(dataclasses.replace(options, progress=progress))

    call.with_options = function  # type: ignore[attr-defined]
    call.__signature__ = signature  # type: ignore[attr-defined]
    call.__doc__ = _documented(function.__doc__ or "", modes)
    return call


def _options(name: str, modes: Modes[Any], arguments: Sequence[object], keywords: Mapping[str, object]) -> Options:
    """Return the group that the call means."""
    selectors = {group.selected_by for group in modes.groups}
    # A selecting option that is None or False selects nothing, so that a caller can pass on its own default.
    explicit = {key: value for key, value in keywords.items() if key not in selectors or value not in (None, False)}
    group = modes.choose(explicit.keys() - {"progress"})
    try:
        bound = inspect.signature(group).bind(*arguments, **explicit)
    except TypeError as error:
        if modes.purpose:
            raise modes.misuse() from error
        raise TypeError(f"{name}() {error}") from None
    options: Options = group(*bound.args, **bound.kwargs)
    check_call(name, options)
    return options


def _calls(name: str, modes: Modes[Any]) -> str:
    """Return the calls that the modes allow, as a person would write them."""
    calls = []
    for group in modes.groups:
        words = [item.name for item in argument_fields(group)]
        words += [f"{group.selected_by}=..."] if group.selected_by else []
        calls.append(f"{name}({', '.join(words)})")
    return " or ".join(calls)


def _signature(function: Callable[..., Any], modes: Modes[Any]) -> inspect.Signature:
    """Return the first mode's parameters, with what the other modes have besides."""
    parameters: dict[str, inspect.Parameter] = {}
    for group in modes.groups:
        hints = get_type_hints(group)
        for name, parameter in inspect.signature(group).parameters.items():
            if name not in parameters:
                added = parameter.replace(annotation=hints[name])
                if group is not modes.groups[0]:
                    facts = option_of(field_of([group], name))
                    default = False if facts.kind is Kind.FLAG else None
                    added = added.replace(kind=inspect.Parameter.KEYWORD_ONLY, default=default)
                parameters[name] = added
    returned = inspect.signature(function).return_annotation
    return inspect.Signature(sorted(parameters.values(), key=lambda item: item.kind), return_annotation=returned)


def _documented(text: str, modes: Modes[Any]) -> str:
    """Return the docstring with all arguments and options in place of the argument `options`."""
    lines: dict[str, str] = {}
    for group in modes.groups:
        for item in (*argument_fields(group), *option_fields(group)):
            lines.setdefault(item.name, f"{item.name}: {_explained(item)}")
    lines["progress"] = (
        "progress: Receives the stages of the work. Default: a bar in a notebook, and nothing elsewhere."
    )
    described = textwrap.indent("\n".join(lines.values()), " " * 8)
    return "\n".join(described if line.strip().startswith("options:") else line for line in text.split("\n"))


def _explained(item: dataclasses.Field[Any]) -> str:
    facts = option_of(item)
    parts = [facts.keyword_help or facts.help]
    if facts.choices:
        parts.append(f"One of {', '.join(facts.choices)}.")
    if item.default is None or item.default == ():
        parts.append(f"Default: {facts.unset or item.default!r}.")
    elif item.default is not dataclasses.MISSING:
        parts.append(f"Default: {item.default!r}.")
    return " ".join(parts)
