"""Commands that get option groups. Their parameters are made when they are needed: the help of all commands needs none."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import click

from prenorm.cli.page import HelpPage
from prenorm.cli.session import Session, written


class PageContext(click.Context):
    """A context whose help is a `HelpPage`."""

    formatter_class = HelpPage


class OptionCommand(click.Command):
    """A command whose function takes what it does and what it shows, as two option groups."""

    context_class = PageContext

    @classmethod
    def of(cls, function: Callable[..., object]) -> OptionCommand:
        """Return the command that calls a function.

        Args:
            function: gives the command its name; its docstring above `Args:` is what `--help` shows.

        Returns:
            The command.
        """
        text = inspect.cleandoc(function.__doc__ or "").partition("Args:")[0]
        help_text, _, examples = text.partition("Examples:")
        return cls(
            function.__name__.replace("_", "-"), callback=function, help=help_text.strip(), epilog=examples.strip()
        )

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the arguments and options of the command's groups, and `--help`.

        Args:
            ctx: of the command.

        Returns:
            Click's parameters.
        """
        from prenorm.cli.parameters import parameters_of

        if not self.params:
            self.params = parameters_of(str(self.name))
        return super().get_params(ctx)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help: what the command does, its arguments, its options by section, and examples.

        Args:
            ctx: of the command.
            formatter: receives the text.
        """
        from prenorm.cli.parameters import help_sections

        self.format_usage(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text(self.help or "")
        assert isinstance(formatter, HelpPage)
        formatter.write_sections(help_sections(str(self.name)))
        formatter.write_examples(self.epilog or "")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; an error tells of which command it is.

        Args:
            ctx: of the command.
            args: what stands behind the command's name.

        Returns:
            click's.

        Raises:
            click.UsageError: if they cannot be parsed.
        """
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def invoke(self, ctx: click.Context) -> object:
        """Call the function with the groups that the command line means.

        Args:
            ctx: of the command, with the values of all parameters.

        Returns:
            What the function returns: the exit code, or None.

        Raises:
            UsageProblem: if the options do not fit, or do not go together.
        """
        from prenorm.cli.parameters import groups_of

        assert self.callback is not None
        ctx.ensure_object(Session).learn(written(ctx))
        return ctx.invoke(self.callback, *groups_of(ctx))
