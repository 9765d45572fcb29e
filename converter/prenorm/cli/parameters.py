"""Click's arguments and options, and what `--help` says of them, made from option groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import click

from prenorm.cli.completion import CompletedText
from prenorm.cli.output import GROUPS
from prenorm.cli.page import HELP_ROW
from prenorm.cli.session import COMMON_OPTIONS, Session, written
from prenorm.options import (
    Kind,
    Modes,
    Option,
    OptionGroup,
    Section,
    argument_fields,
    check_call,
    flag_of,
    option_fields,
    option_of,
    selected,
)

_PATHS = "paths"  # the arguments of a command whose modes have different ones
_METAVARS = {Kind.TEXT: "TEXT", Kind.PATH: "PATH", Kind.FOLDER: "FOLDER", Kind.COUNT: "N", Kind.SECONDS: "SECONDS"}


def parameters_of(command: str) -> list[click.Parameter]:
    """Return a command's arguments and options.

    Args:
        command: its name.

    Returns:
        Those of its groups.
    """
    modes, output = GROUPS[command]
    return [*_parameters(modes), *map(_option, option_fields(output))]


def help_sections(command: str) -> dict[str, list[tuple[str, str]]]:
    """Return what `--help` lists of a command: its arguments, and then its options by section.

    Args:
        command: its name.

    Returns:
        The rows below each heading: how an argument or option is written, and what it means.
    """
    modes, output = GROUPS[command]
    arguments = {flag_of(item): _meaning(item) for group in modes.groups for item in argument_fields(group)}
    sections = {"Arguments": list(arguments.items())} | {section.value: [] for section in Section}
    displays = sorted(
        option_fields(output), key=lambda item: item.name in COMMON_OPTIONS
    )  # what a command has besides comes first
    for item in [*_items(modes), *displays]:
        sections[option_of(item).section.value].append(_help_row(item))
    sections[Section.OUTPUT.value].append(HELP_ROW)
    return {heading: rows for heading, rows in sections.items() if rows}


def groups_of(context: click.Context) -> tuple[OptionGroup, OptionGroup]:
    """Return the groups that a command line means.

    Args:
        context: of the command, with the values of all parameters.

    Returns:
        The group of what is done, of the mode that the options select, and the group of what is shown.

    Raises:
        UsageProblem: if the mode cannot use one of the options or has other arguments, a value does not fit, or two options
            or arguments do not go together.
    """
    modes, output = GROUPS[str(context.command.name)]
    session = context.find_object(Session) or Session()
    explicit = {**session.before, **written(context)}
    output_values = {item.name: explicit.pop(item.name) for item in option_fields(output) if item.name in explicit}
    groups = _group(modes, explicit), selected(output, output_values)
    check_call(str(context.command.name), *groups)
    return groups


def _group(modes: Modes[Any], explicit: dict[str, object]) -> OptionGroup:
    """Return the option group of the mode that the options select."""
    paths = explicit.pop(_PATHS, None)
    group = modes.choose(explicit)
    if isinstance(paths, tuple):
        names = [item.name for item in argument_fields(group)]
        if len(names) != len(paths):
            raise modes.misuse()
        explicit |= zip(names, paths, strict=True)
    options: OptionGroup = group(**explicit)
    return options


def _parameters(modes: Modes[Any]) -> Iterator[click.Parameter]:
    """Yield the arguments, and every mode's options once."""
    if modes.metavar:
        places = [option_of(item) for item in argument_fields(modes.groups[0])]
        yield click.Argument([_PATHS], nargs=-1, required=True, metavar=modes.metavar, type=CompletedText(places))
    else:
        for item in argument_fields(modes.groups[0]):
            required = item.default is dataclasses.MISSING
            yield click.Argument([item.name], required=required, type=_type(option_of(item)))
    yield from map(_option, _items(modes))


def _items(modes: Modes[Any]) -> list[dataclasses.Field[Any]]:
    """Return every mode's options once, as its first mode has it."""
    items: dict[str, dataclasses.Field[Any]] = {}
    for group in modes.groups:
        for item in option_fields(group):
            items.setdefault(item.name, item)
    return list(items.values())


def _option(item: dataclasses.Field[Any]) -> click.Option:
    facts = option_of(item)
    is_flag = facts.kind is Kind.FLAG
    return click.Option(
        [flag_of(item), item.name],
        type=None if is_flag else _type(facts),
        is_flag=is_flag or None,
        multiple=facts.repeats,
        help=facts.help,
    )


def _help_row(item: dataclasses.Field[Any]) -> tuple[str, str]:
    """Return how an option is written, and what it means."""
    facts, flag = option_of(item), flag_of(item)
    if facts.kind is Kind.FLAG:
        return flag, _meaning(item)
    metavar = facts.metavar or (flag[2:].upper() if facts.choices else _METAVARS[facts.kind])
    return f"{flag} {metavar}", _meaning(item)


def _meaning(item: dataclasses.Field[Any]) -> str:
    """Return what an option or an argument means, with its default and the values that it can have."""
    facts = option_of(item)
    notes = [f"one of: {', '.join(facts.choices)}"] if facts.choices else []
    if facts.at_least is not None or facts.at_most is not None:
        notes.append(facts.bounds)
    default = item.default if isinstance(item.default, (str, int, float)) else ""
    if facts.kind is not Kind.FLAG and default != "":
        notes.append(f"default: {default if isinstance(default, str) else format(default, 'g')}")
    elif facts.unset:
        notes.append(f"default: {facts.unset}")
    return f"{facts.help} [{'; '.join(notes)}]" if notes else facts.help


def _type(facts: Option) -> click.ParamType[Any]:
    if facts.kind is Kind.COUNT:
        return click.INT
    return click.FLOAT if facts.kind is Kind.SECONDS else CompletedText([facts])
