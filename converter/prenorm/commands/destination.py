"""Where a conversion goes if nobody says, and what its user does next."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from prenorm.commands.calls import call_text
from prenorm.hub import hub_file
from prenorm.options import AUTO, ConvertOptions, Options, SourceOptions, StrPath, selected
from prenorm.parts.names import folder_name


def output_of(options: ConvertOptions) -> Path:
    """Return the folder that a conversion makes.

    Args:
        options: of the conversion.

    Returns:
        OUTPUT; without one a folder with the checkpoint's name, in the working directory.
    """
    return Path(options.output) if options.output is not None else Path(_name_of(options.checkpoint))


def next_commands(options: ConvertOptions) -> tuple[str, str]:
    """Return what a user does with a new folder.

    Args:
        options: of the conversion.

    Returns:
        The command that publishes it, and the one that verifies it; each one line for a shell, or for Python.
    """
    output = output_of(options)
    repo = re.sub(r"[^A-Za-z0-9._-]+", "-", output.absolute().name).strip("-.") or "my-model"
    # verify takes what the folder is for, and asks no Hub for what is here
    source = replace(selected(SourceOptions, vars(options)), task=AUTO, retries=None, timeout=None)
    return (
        call_text("push", (output, f"your-name/{repo}"), Options(), {}),
        call_text("verify", (options.checkpoint, output), source, {}),
    )


def _name_of(checkpoint: StrPath) -> str:
    file = hub_file(str(checkpoint))
    return folder_name(Path(checkpoint).name if file is None else PurePosixPath(file.path).name)
