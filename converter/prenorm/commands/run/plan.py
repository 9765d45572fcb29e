"""The plan of a run, OUTPUT/run.json: what is made of which files, with which options. Plain data, whoever reads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from prenorm.errors import ExitCode, PrenormError, UsageProblem, as_fields, kind_of
from prenorm.files import write_whole

PLAN_FILE = "run.json"
MEMBERS_FOLDER = "members"
SCHEMA_VERSION = 1
_MOST_BYTES = 256 << 20


class SourceFile(Struct, frozen=True):
    """A file of a checkpoint: its name, size, time of its last change, and its SHA-256 where that is known."""

    name: str
    bytes: int
    modified_ns: int
    sha256: str | None = None

    @classmethod
    def of(cls, path: Path) -> SourceFile:
        """Look at a file.

        Args:
            path: the file.

        Returns:
            What it is now, without reading it.

        Raises:
            OSError: if it is not there.
        """
        status = path.stat()
        return cls(path.name, status.st_size, status.st_mtime_ns)

    def is_as(self, other: SourceFile) -> bool:
        """Return whether both are the same file, unchanged as far as its size and time tell.

        Args:
            other: another look at a file.

        Returns:
            True if name, size and time are the same.
        """
        return (self.name, self.bytes, self.modified_ns) == (other.name, other.bytes, other.modified_ns)


class Problem(Struct, frozen=True):
    """Why a member is not converted: an error's fields, and the word for its exit code."""

    kind: str
    cause: str
    subject: str | None = None
    advice: str = ""
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: PrenormError) -> Problem:
        """Keep what an error says.

        Args:
            error: what went wrong.

        Returns:
            Its fields.
        """
        return msgspec.convert({"kind": kind_of(error.exit_code), **as_fields(error)}, cls)

    @property
    def sentence(self) -> str:
        """The cause, with what it is of."""
        return self.cause if self.subject is None else f"{self.subject}: {self.cause}"


class Reading(Struct, frozen=True, kw_only=True):
    """What a checkpoint records and is, without its weights.

    Attributes:
        updates: how many steps the optimizer took; None if it does not say.
        epoch: counted from 1.
        training_loss: the mean on the training data, in bits.
        validation: the metric on the validation data.
        metric: what `validation` is of.
        learning_rate: of the last update.
        model: its sizes, in words; the same for all members of one run.
        weight_bytes: of the model's tensors.
        data: the folder of the training's data, as the checkpoint records it.
        problem: why it cannot be understood; None if it can.
    """

    updates: int | None = None
    epoch: int | None = None
    training_loss: float | None = None
    validation: float | None = None
    metric: str = "loss"
    learning_rate: float | None = None
    model: str = ""
    weight_bytes: int = 0
    data: str | None = None
    problem: Problem | None = None


class Alias(Struct, frozen=True):
    """Another name of a checkpoint: the same bytes in other files."""

    checkpoint: str
    files: tuple[SourceFile, ...]


class Member(Struct, frozen=True, kw_only=True):
    """A checkpoint of the run: the folder that it becomes, its files, and its other names."""

    name: str
    checkpoint: str
    files: tuple[SourceFile, ...]
    aliases: tuple[Alias, ...] = ()
    reading: Reading

    @property
    def bytes(self) -> int:
        """The size of all its files."""
        return sum(file.bytes for file in self.files)


class RunPlan(Struct, frozen=True, kw_only=True):
    """What is to be made.

    Attributes:
        schema_version: of this file.
        prenorm: the version that converts.
        run: the folder of the checkpoints, absolute.
        match: the pattern of their names.
        options: those of the conversion that are not at their defaults, by field name; paths are absolute.
        inputs: SHA-256 of each file that a conversion may read besides the checkpoint, by its path.
        threads: how many each conversion computes with: another number gives another last digit.
        members: in the order of their updates.
    """

    schema_version: int = SCHEMA_VERSION
    prenorm: str
    run: str
    match: str
    options: dict[str, Any]
    inputs: dict[str, str]
    threads: int
    members: tuple[Member, ...]

    def member(self, name: str) -> Member:
        """Return the member of that name.

        Args:
            name: of its folder.

        Returns:
            The member.

        Raises:
            UsageProblem: if there is none.
        """
        for member in self.members:
            if member.name == name:
                return member
        raise UsageProblem("the plan has no such member", subject=name, advice=f"{PLAN_FILE} lists them")


def read_plan(output: Path) -> RunPlan | None:
    """Read the plan of a run.

    Args:
        output: the run's folder.

    Returns:
        The plan; None if there is none.

    Raises:
        UsageProblem: if it is damaged, or of another version.
    """
    path = output / PLAN_FILE
    plan: RunPlan | None = read_struct(path, RunPlan)
    if plan is None and os.path.lexists(path):
        raise UsageProblem(
            "is no plan of a run that this prenorm reads",
            subject=path,
            advice="Remove it: the next command makes it again, and what is done stays done",
        )
    return plan


def read_struct(path: Path, kind: type[Any]) -> Any:
    """Read a JSON file of the run's folder.

    Args:
        path: the file.
        kind: what it holds.

    Returns:
        The content; None if there is no such file, or it does not fit.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            return None
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def write_struct(path: Path, content: Struct) -> None:
    """Write a JSON file of the run's folder in one step.

    Args:
        path: the file.
        content: what it holds.
    """
    text = msgspec.json.format(msgspec.json.encode(content), indent=2)
    write_whole(path, text + b"\n")


def fault(error: BaseException) -> Problem:
    """Return the problem for an exception that nothing foresees.

    Args:
        error: the exception.

    Returns:
        A problem of the kind `internal`.
    """
    return Problem("internal", f"prenorm has a fault ({type(error).__name__}: {error}); please report it")


def of_system(error: OSError) -> Problem:
    """Return the problem for what the system refuses, such as a full disk.

    Args:
        error: the system's.

    Returns:
        The problem, with the file.
    """
    words, subject = error.strerror or str(error), None if error.filename is None else Path(str(error.filename)).name
    return Problem(kind_of(ExitCode.USAGE), words, subject, "Free space, or check the folder's permissions")
