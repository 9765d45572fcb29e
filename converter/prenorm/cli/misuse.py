"""Command lines that cannot be parsed, as errors like all others."""

from __future__ import annotations

import click

from prenorm.errors import UsageProblem, did_you_mean, nearest


def misuse(error: click.ClickException) -> UsageProblem:
    """Return click's error as one of ours, with the option or argument as its subject.

    Args:
        error: what click found wrong.

    Returns:
        The error that is shown.
    """
    context = getattr(error, "ctx", None)
    advice = f"See {context.command_path if context is not None else 'prenorm'} --help"
    parameter = getattr(error, "param", None)
    if isinstance(error, click.NoSuchOption):
        options = [name for item in context.command.get_params(context) for name in item.opts] if context else []
        return UsageProblem(
            "there is no such option",
            subject=error.option_name,
            advice=did_you_mean(nearest(error.option_name, options)) or advice,
        )
    if isinstance(error, click.MissingParameter) and parameter is not None:
        return UsageProblem("is missing", subject=_name(parameter), advice=advice)
    if isinstance(error, click.BadParameter) and parameter is not None:
        return UsageProblem(error.message, subject=_name(parameter), advice=advice)
    if isinstance(error, click.BadOptionUsage):
        cause = error.message.removeprefix(f"Option '{error.option_name}' ")
        return UsageProblem(cause, subject=error.option_name, advice=advice)
    return UsageProblem(error.format_message(), advice=advice)


def _name(parameter: click.Parameter) -> str:
    return parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
