"""Where a conversion goes if nobody says, and what its user does next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from prenorm.folder.card.command import quoted
from prenorm.hub import hub_file
from prenorm.options import ConvertOptions, SourceOptions, StrPath, flag_of, option_fields
from prenorm.parts.names import folder_name


def output_of(options: ConvertOptions) -> Path:
    """Return the folder that a conversion makes.

    Args:
        options: of the conversion.

    Returns:
        OUTPUT; without one a folder with the checkpoint's name, in the working directory.
    """
    return Path(options.output) if options.output is not None else Path(_name_of(options.checkpoint))


def convert_command(options: SourceOptions, checkpoint: StrPath) -> str:
    """Return the command that converts a checkpoint as it was inspected.

    Args:
        options: how it is understood.
        checkpoint: the checkpoint.

    Returns:
        One line for a shell.
    """
    return " ".join(["prenorm", "convert", quoted(str(checkpoint)), *_words(options)])


def next_commands(options: ConvertOptions) -> tuple[str, str]:
    """Return what a user does with a new folder.

    Args:
        options: of the conversion.

    Returns:
        The command that publishes it, and the one that verifies it; each one line for a shell.
    """
    output = output_of(options)
    repo = re.sub(r"[^A-Za-z0-9._-]+", "-", output.absolute().name).strip("-.") or "my-model"
    places = [quoted(str(options.checkpoint)), quoted(str(output))]
    return (
        f"prenorm push {places[1]} your-name/{repo}",
        " ".join(["prenorm", "verify", *places, *_words(options, unless=("task",))]),
    )


def _name_of(checkpoint: StrPath) -> str:
    file = hub_file(str(checkpoint))
    return folder_name(Path(checkpoint).name if file is None else PurePosixPath(file.path).name)


def _words(options: SourceOptions, unless: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the options about the source that are not at their defaults, as words of a shell."""
    for item in option_fields(SourceOptions):
        value = getattr(options, item.name)
        if value != item.default and item.name not in unless:
            yield from [flag_of(item)] if value is True else [flag_of(item), quoted(str(value))]
