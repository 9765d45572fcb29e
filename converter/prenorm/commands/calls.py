"""The command or the call that does something next, written as its reader types it."""

from __future__ import annotations

from collections.abc import Mapping

from prenorm.folder.card.command import quoted
from prenorm.options import OptionGroup, StrPath, option_fields
from prenorm.options.facts import field_name
from prenorm.options.language import command_name, is_python


def call_text(verb: str, arguments: tuple[StrPath, ...], options: OptionGroup, more: Mapping[str, object]) -> str:
    """Write a command line, or a call in Python.

    Args:
        verb: the command.
        arguments: its arguments.
        options: where options that are not at their defaults are repeated from.
        more: further options, by field name, that `options` has at their defaults.

    Returns:
        One line.
    """
    items = {item.name: item for item in option_fields(type(options))}
    values = {name: getattr(options, name) for name, item in items.items() if getattr(options, name) != item.default}
    words = [_word(value) for value in arguments]
    for name, value in (values | dict(more)).items():
        several = value if isinstance(value, tuple) else (value,)
        if is_python() and len(several) > 1:
            words.append(f"{name}={list(map(str, several))!r}")
        else:
            texts = [one if isinstance(one, bool | int | float) or is_python() else quoted(str(one)) for one in several]
            words += [field_name(items[name], str(one) if not isinstance(one, int | float) else one) for one in texts]
    if is_python():
        return f"{command_name(verb)}({', '.join(words)})"
    return " ".join([command_name(verb), *words])


def _word(value: StrPath) -> str:
    return f'"{value}"' if is_python() else quoted(str(value))
