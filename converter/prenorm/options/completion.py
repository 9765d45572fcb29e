"""What a user chooses for the completion of command lines."""

from __future__ import annotations

from dataclasses import dataclass, field

from prenorm.options.facts import Option, OptionGroup, required
from prenorm.options.values import SHELLS


@dataclass(frozen=True)
class CompletionOptions(OptionGroup):
    """The options of `completion`, which the command line alone has."""

    shell: str = field(metadata=required(Option("The shell that reads the script.", choices=SHELLS, positional=True)))
