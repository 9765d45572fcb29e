"""The option groups of a whole training run: all that one conversion takes, and what only several have."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

from prenorm.options.facts import Kind, Option, Section, StrPath, option, required
from prenorm.options.groups import ConversionOptions, Options
from prenorm.options.modes import Modes

_RUN = Option(
    "The folder that fairseq saved its checkpoints to; dict.txt and a tokenizer's files are looked for in it, too.",
    kind=Kind.FOLDER, positional=True,
)  # fmt: skip
_RUN_OUTPUT = Option(
    "The folder to make: it gets a model folder for each checkpoint, and a report of all.",
    kind=Kind.FOLDER,
    positional=True,
)


@dataclass(frozen=True, repr=False)
class ConvertRunOptions(ConversionOptions):
    """The options of `convert-run`."""

    run: StrPath = field(metadata=required(_RUN))
    output: StrPath = field(metadata=required(_RUN_OUTPUT))
    _: KW_ONLY
    match: str = option(
        "*.pt", "Which files of RUN are converted, by name.", Section.INPUT, metavar="GLOB", on_card=False
    )
    jobs: int | None = option(
        None, "How many checkpoints are converted at a time, each by a process of its own.", Section.OUTPUT,
        kind=Kind.COUNT, at_least=1, at_most=1024, unset="as many as cores and memory allow, or Slurm", on_card=False,
    )  # fmt: skip
    slurm: bool = option(
        False, "Convert by the tasks of a Slurm job array, OUTPUT/array.sh, instead of processes here; wait for them.",
        Section.OUTPUT, kind=Kind.FLAG, on_card=False,
    )  # fmt: skip
    sbatch: tuple[str, ...] = option(
        (), "What sbatch is given besides, such as --partition=short; several times for several.", Section.OUTPUT,
        metavar="ARG", repeats=True, on_card=False,
    )  # fmt: skip
    no_wait: bool = option(
        False, "Submit the tasks and wait for none; the same command without it waits.", Section.OUTPUT,
        kind=Kind.FLAG, on_card=False,
    )  # fmt: skip
    dry_run: bool = option(
        False, "Show what would be converted, and why; write nothing.", Section.OUTPUT, kind=Kind.FLAG, on_card=False
    )
    status: bool = option(
        False, "Show what is done, what failed and what is left; write nothing.", Section.OUTPUT,
        kind=Kind.FLAG, on_card=False,
    )  # fmt: skip


@dataclass(frozen=True, repr=False)
class ConvertMemberOptions(Options):
    """The options of `convert-run --member`, which converts one checkpoint, or some, as the plan in OUTPUT says."""

    selected_by: ClassVar[str | None] = "member"

    run: StrPath = field(metadata=required(_RUN))
    output: StrPath = field(metadata=required(_RUN_OUTPUT))
    _: KW_ONLY
    member: tuple[str, ...] = field(
        metadata=required(
            Option(
                "Convert only this folder of the plan in OUTPUT/run.json, in this process, with the plan's options; several "
                "times for several.",
                Section.OUTPUT, metavar="STEP", repeats=True, on_card=False,
            )
        )
    )  # fmt: skip


CONVERT_RUN_MODES = Modes((ConvertRunOptions, ConvertMemberOptions))
