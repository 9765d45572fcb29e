"""What the plots of a run show, as numbers, and the same in words: the training, the weights' movement, the parity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prenorm.reports.run_model import Movement, RunMember, RunReport
from prenorm.reports.text import count, times, visible


@dataclass(frozen=True)
class Line:
    """One value of the members that have it: what it is called, at which updates, and how much."""

    label: str
    updates: tuple[int, ...]
    values: tuple[float, ...]


def training_lines(report: RunReport) -> list[Line]:
    """Return the losses that the checkpoints record.

    Args:
        report: of the run.

    Returns:
        The training loss and the value on the validation data, as far as any checkpoint records them.
    """
    metric = next((member.metric for member in report.members if member.validation is not None), "loss")
    name = "validation loss" if metric == "loss" else f"validation, {metric}"
    lines = [
        _line("training loss", report, [member.training_loss for member in report.members]),
        _line(name, report, [member.validation for member in report.members]),
    ]
    return [line for line in lines if line.values]


def rate_line(report: RunReport) -> Line:
    """Return the learning rate that the checkpoints record.

    Args:
        report: of the run.

    Returns:
        The rate by updates.
    """
    return _line("learning rate", report, [member.learning_rate for member in report.members])


def _line(label: str, report: RunReport, values: Sequence[float | None]) -> Line:
    pairs = [
        (member.updates, value)
        for member, value in zip(report.members, values, strict=True)
        if member.updates is not None and value is not None and math.isfinite(value)
    ]
    return Line(label, tuple(updates for updates, _ in pairs), tuple(value for _, value in pairs))


def training_finding(report: RunReport) -> str:
    """Say in a title what the plot of the training shows.

    Args:
        report: of the run.

    Returns:
        A phrase.
    """
    line = next((line for line in reversed(training_lines(report)) if line.label.startswith("validation")), None)
    if line is None:
        return "The training, as the checkpoints record it"
    return f"The {line.label} went from {line.values[0]:.4g} to {line.values[-1]:.4g}"


def layer_names(movements: Sequence[Movement]) -> list[str]:
    """Return the layers whose weights were compared, in computing order.

    Args:
        movements: of a run.

    Returns:
        Their names.
    """
    return list(dict.fromkeys(name for movement in movements for name in movement.layers))


def movement_finding(report: RunReport) -> str:
    """Say in a title where the weights moved most.

    Args:
        report: of the run.

    Returns:
        A phrase.
    """
    steps = [
        (value, layer, movement)
        for movement in report.movements
        for layer, value in movement.layers.items()
        if math.isfinite(value)
    ]
    if not steps:
        return "No weights were compared"
    value, layer, movement = max(steps, key=lambda step: step[0])
    return f"Weights moved most in the {layer}, by {value:.0%}, up to {movement.after}"


@dataclass(frozen=True)
class ParityPoint:
    """A member in the plot of parity: by which factor its nearest difference is below its tolerance."""

    name: str
    updates: int
    margin: float | None
    is_done: bool

    @property
    def tip(self) -> str:
        """What is shown at the mark."""
        if not self.is_done:
            return f"{visible(self.name, 100)}: not done"
        nearest = "no difference" if self.margin is None else f"{times(self.margin)} below tolerance"
        return f"{visible(self.name, 100)}: passed, {nearest}"


def parity_points(report: RunReport) -> list[ParityPoint]:
    """Return the members in the plot of parity.

    Args:
        report: of the run.

    Returns:
        Those that record their updates.
    """
    return [
        ParityPoint(member.name, member.updates, _known(member.margin), member.is_done)
        for member in report.members
        if member.updates is not None
    ]


def _known(margin: float | None) -> float | None:
    return margin if margin is not None and 1 <= margin < math.inf else None


def parity_finding(report: RunReport) -> str:
    """Say in a title how near to their tolerances the members came.

    Args:
        report: of the run.

    Returns:
        A phrase.
    """
    return least_margin(report.members) or report.words


def least_margin(members: Sequence[RunMember]) -> str:
    """Return by which factor every difference of every member that is done is below its tolerance, at least.

    Args:
        members: of a run.

    Returns:
        A sentence without its full stop; empty where no margin is known.
    """
    margins = [margin for member in members if member.is_done and (margin := _known(member.margin)) is not None]
    if not margins:
        return ""
    return (
        f"Every difference of {count(len(margins), 'checkpoint')} is at least {times(min(margins))} below its tolerance"
    )


def metric_name(report: RunReport) -> str:
    """Return what the value on the validation data is called.

    Args:
        report: of the run.

    Returns:
        Such as `validation loss`.
    """
    metric = next((member.metric for member in report.members if member.validation is not None), "loss")
    return f"validation {metric}"


def shared_warnings(report: RunReport) -> list[tuple[str, list[str]]]:
    """Return the warnings of all members, each once.

    Args:
        report: of the run.

    Returns:
        Each warning, with the names of the members that it is of.
    """
    names: dict[str, list[str]] = {}
    for member in report.members:
        for text in member.warnings:
            names.setdefault(text, []).append(member.name)
    return list(names.items())
