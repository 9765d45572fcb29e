"""Click's arguments and options, made from option groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from prenorm.cli.output import GROUPS
from prenorm.options import (
    Kind,
    Modes,
    Option,
    OptionGroup,
    argument_fields,
    flag_of,
    option_fields,
    option_of,
    selected,
)

_PATHS = "paths"  # the arguments of a command whose modes have different ones


def parameters_of(command: str) -> list[click.Parameter]:
    """Return a command's arguments and options.

    Args:
        command: its name.

    Returns:
        Those of its groups.
    """
    modes, output = GROUPS[command]
    return [*_parameters(modes), *map(_option, option_fields(output))]


def groups_of(context: click.Context) -> tuple[OptionGroup, OptionGroup]:
    """Return the groups that a command line means.

    Args:
        context: of the command, with the values of all parameters.

    Returns:
        The group of what is done, of the mode that the options select, and the group of what is shown.

    Raises:
        UsageProblem: if the mode cannot use one of the options or has other arguments, or a value does not fit.
    """
    modes, output = GROUPS[str(context.command.name)]
    source = context.get_parameter_source
    explicit = {name: value for name, value in context.params.items() if source(name) is not ParameterSource.DEFAULT}
    output_values = {item.name: explicit.pop(item.name) for item in option_fields(output) if item.name in explicit}
    return _group(modes, explicit), selected(output, output_values)


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
        yield click.Argument([_PATHS], nargs=-1, required=True, metavar=modes.metavar)
    else:
        for item in argument_fields(modes.groups[0]):
            yield click.Argument([item.name], required=item.default is dataclasses.MISSING)
    items = {item.name: item for group in reversed(modes.groups) for item in option_fields(group)}
    order = dict.fromkeys(item.name for group in modes.groups for item in option_fields(group))
    yield from (_option(items[name]) for name in order)


def _option(item: dataclasses.Field[Any]) -> click.Option:
    facts = option_of(item)
    is_flag = facts.kind is Kind.FLAG
    is_shown = not is_flag and isinstance(item.default, (str, int, float))
    unset = facts.unset or ("off" if is_flag else None)
    return click.Option(
        [flag_of(item), item.name],
        type=None if is_flag else _type(facts),
        is_flag=is_flag,
        multiple=facts.repeats,
        default=item.default if is_shown else None,
        show_default=is_shown,
        metavar=facts.metavar,
        help=facts.help if is_shown or unset is None else f"{facts.help}  [default: {unset}]",
    )


def _type(facts: Option) -> click.ParamType[Any] | type[str]:
    if facts.choices:
        return click.Choice(facts.choices)
    if facts.kind is Kind.PATH:
        return click.Path(path_type=Path)
    if facts.kind is Kind.COUNT:
        low, high = (None if bound is None else int(bound) for bound in (facts.at_least, facts.at_most))
        return click.IntRange(low, high)
    if facts.kind is Kind.SECONDS:
        return click.FloatRange(facts.at_least, facts.at_most)
    return str
