"""The data model of a run's report: what `convert-run` fills, and what its forms, its plots and the console show."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from msgspec import Struct, to_builtins

from prenorm.reports.text import count

RUN_SCHEMA_VERSION = 1


class RunMember(Struct, frozen=True, kw_only=True):
    """A checkpoint of the run, and what became of it.

    Attributes:
        name: of its folder.
        checkpoint: the name of its file, the first of several.
        aliases: the other names of the same file.
        state: done, failed or left.
        updates: how many steps the optimizer took; None where the checkpoint does not say.
        epoch: counted from 1.
        training_loss: the mean loss on the training data, in bits.
        validation: the metric on the validation data.
        metric: what `validation` is of.
        learning_rate: of the last update.
        verdict: of its parity report.
        margin: by which factor the nearest difference is below its tolerance.
        nearest: which difference that is.
        bytes: of its folder.
        seconds: how long the conversion took.
        cause: why it failed, in one sentence, or why it is left to be made again.
        advice: what to do about it.
        warnings: what its reader should know, a sentence each.
    """

    name: str
    checkpoint: str
    aliases: tuple[str, ...] = ()
    state: str
    updates: int | None = None
    epoch: int | None = None
    training_loss: float | None = None
    validation: float | None = None
    metric: str = "loss"
    learning_rate: float | None = None
    verdict: str | None = None
    margin: float | None = None
    nearest: str = ""
    bytes: int = 0
    seconds: float | None = None
    cause: str = ""
    advice: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether its folder is there, and proven."""
        return self.state == "done"

    @property
    def explanation(self) -> str:
        """Why it failed or is left, and what to do about it, in whole sentences; empty where nothing is to be said."""
        texts = [text.rstrip(": ") for text in (self.cause, self.advice) if text]
        return " ".join(text if text.endswith((".", "!", "?")) else f"{text}." for text in texts)


class Movement(Struct, frozen=True, kw_only=True):
    """How far the weights moved from one member to the next.

    Attributes:
        before: the earlier member's name.
        after: the later one's.
        reports: SHA-256 of the reports in both folders, which tell what was compared.
        layers: by layer, the Euclidean norm of the difference of all its weights, divided by that of the earlier weights.
    """

    before: str
    after: str
    reports: tuple[str, str]
    layers: dict[str, float]


class RunReport(Struct, frozen=True, kw_only=True):
    """What became of a training run.

    Attributes:
        schema_version: of the file.
        kind: tells the file from a single checkpoint's.
        prenorm: the version that converted.
        run: the name of the folder of the checkpoints.
        members: in the order of their updates.
        movements: between each member that is done and the next one that is.
    """

    schema_version: int = RUN_SCHEMA_VERSION
    kind: str = "run"
    prenorm: str
    run: str
    members: tuple[RunMember, ...]
    movements: tuple[Movement, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every member is done and proven."""
        return all(member.is_done for member in self.members)

    @property
    def words(self) -> str:
        """What became of the members, by number."""
        states = [member.state for member in self.members]
        numbers = [f"{states.count(state)} {state}" for state in ("done", "failed", "left") if state in states]
        return f"{count(len(states), 'checkpoint')}: {', '.join(numbers)}"

    @property
    def failures(self) -> list[RunMember]:
        """The members that failed."""
        return [member for member in self.members if member.state == "failed"]

    def member(self, name: str) -> RunMember:
        """Return the member of that name.

        Args:
            name: of its folder.

        Returns:
            The member.

        Raises:
            KeyError: if there is none.
        """
        for member in self.members:
            if member.name == name:
                return member
        raise KeyError(name)

    def _repr_html_(self) -> str:
        """Return the page of the report as a part of another page, which a notebook shows."""
        part: str = import_module("prenorm.reports.run_html").render_part(self)
        return part

    def __repr__(self) -> str:
        return f"<RunReport of {self.run}: {self.words}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `run_report.json`.

        Returns:
            Plain data in the file's order.
        """
        content: dict[str, Any] = to_builtins(self)
        return content
