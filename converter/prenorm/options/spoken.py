"""What an option is called in a sentence, by its field's name: the one way in which sentences name options."""

from __future__ import annotations

from functools import cache
from typing import Any

from prenorm.options.facts import ANY_VALUE, OptionGroup, argument_fields, field_name, option_fields
from prenorm.options.groups import (
    ConvertOptions,
    FolderOnlyOptions,
    GoldenOptions,
    PushOptions,
    RecordOptions,
    VerifyOptions,
)
from prenorm.options.run_groups import ConvertRunOptions

_GROUPS: tuple[type[OptionGroup], ...] = (
    ConvertOptions, PushOptions, VerifyOptions, GoldenOptions, FolderOnlyOptions, RecordOptions,
    ConvertRunOptions,
)  # fmt: skip


def spoken(name: str, value: object = ANY_VALUE) -> str:
    """Return what an option or an argument is called, in the language of who reads the sentence.

    Args:
        name: of the field.
        value: the value that is meant; Ellipsis for one that the reader has to choose.

    Returns:
        For example `--task encoder` or `task="encoder"`, `--dict` or `dictionary=...`, `OUTPUT` or `output`.
    """
    return field_name(_fields()[name], value)


@cache
def _fields() -> dict[str, Any]:
    """Return the fields of all groups; one that is an option of one command and an argument of another is the option."""
    options = {item.name: item for group in reversed(_GROUPS) for item in option_fields(group)}
    return {item.name: item for group in reversed(_GROUPS) for item in argument_fields(group)} | options
