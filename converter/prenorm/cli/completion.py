"""What a shell completes: words and paths of options and arguments, and the script that makes it ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from prenorm.cli.session import COMPLETION_VARIABLE
from prenorm.options import Kind, Option

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem, ShellComplete

    _Text = click.ParamType[str]
else:
    _Text = click.ParamType  # older releases of click have no types in brackets

_FILE_KINDS = (Kind.PATH, Kind.PLACE)  # of which folders are completed, too: on the way to a file
_FOLDER_KINDS = (Kind.FOLDER, Kind.FOLDER_PLACE)


class CompletedText(_Text):
    """A text that a shell completes. Whether it is a value that fits, the option group says, as in Python."""

    name = "text"

    def __init__(self, places: Sequence[Option]) -> None:
        """Keep what is known of the values.

        Args:
            places: of one value, or of each of several arguments in their order.
        """
        self._places = places

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return what the text may be, or that the shell knows: its files or folders.

        Args:
            ctx: of the command, with the arguments before this one.
            param: the option or argument.
            incomplete: how it begins.

        Returns:
            click's items.
        """
        from click.shell_completion import CompletionItem

        before = ctx.params.get(str(param.name))
        number = len(before) if isinstance(before, tuple) and param.nargs == -1 else 0
        facts = self._places[min(number, len(self._places) - 1)]
        if facts.choices:
            return [CompletionItem(choice) for choice in facts.choices if choice.startswith(incomplete)]
        if facts.kind in _FILE_KINDS:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(incomplete, type="dir")] if facts.kind in _FOLDER_KINDS else []


def complete_in_bash() -> None:
    """Let click complete the value in `--task=ma`, too, which bash hands out as three words: `--task`, `=` and `ma`."""
    from click.shell_completion import BashComplete, add_completion_class

    class SplitAtEquals(BashComplete):
        """Bash's words, without those that only join an option and its value."""

        def get_completion_args(self) -> tuple[list[str], str]:
            """Return the words before the one that is completed, and that one.

            Returns:
                click's, as if a blank stood behind each option.
            """
            words, incomplete = super().get_completion_args()
            return [word for word in words if word != "="], incomplete

    add_completion_class(SplitAtEquals)


def script(command: click.Command, shell: str) -> str:
    """Return what makes a shell complete a command.

    Args:
        command: all commands.
        shell: bash, zsh or fish.

    Returns:
        Lines for the shell to read when it starts.
    """
    from click.shell_completion import get_completion_class

    kind: type[ShellComplete] | None = get_completion_class(shell)
    assert kind is not None
    settings: dict[str, Any] = {}
    return kind(command, settings, str(command.name), COMPLETION_VARIABLE).source()
