"""The options of all commands, and what is known of a command while it runs. Nothing here waits for other modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import click
from click.core import ParameterSource

COMPLETION_VARIABLE = "_PRENORM_COMPLETE"  # of the environment, by which a shell asks

# The options of all commands by field name, which may stand before the command's name, too: what each is called, and does.
COMMON_OPTIONS = {
    "as_json": ("--json", "Print one JSON document on stdout, for an error too."),
    "quiet": ("--quiet", "Print nothing but errors (and what --json prints)."),
    "debug": ("--debug", "Show a traceback with an error."),
}


@dataclass
class Session:
    """What is known of the command while it runs.

    Attributes:
        before: the options of all commands that stand before the command's name, by field name.
        debug: whether an error is shown with its traceback.
        as_json: whether stdout is one JSON document.
        answered: whether that document is printed.
    """

    before: dict[str, object] = field(default_factory=dict)
    debug: bool = False
    as_json: bool = False
    answered: bool = False

    def learn(self, values: Mapping[str, object]) -> None:
        """Keep what the user wrote of the options of all commands, as far as an error must know it.

        Args:
            values: values by field name.
        """
        self.debug = self.debug or bool(values.get("debug"))
        self.as_json = self.as_json or bool(values.get("as_json"))


def written(context: click.Context) -> dict[str, object]:
    """Return what the user wrote.

    Args:
        context: of a command, with the values of all parameters.

    Returns:
        The values of the arguments and options that are on the command line, by field name.
    """
    source = context.get_parameter_source
    return {name: value for name, value in context.params.items() if source(name) is not ParameterSource.DEFAULT}
