"""OUTPUT/array.sh: a plain script, each of whose tasks is one command that can be run by hand."""

from __future__ import annotations

import math
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from prenorm.commands.run.plan import Member, RunPlan
from prenorm.commands.run.resources import memory_of
from prenorm.commands.run.slurm.client import has_option, split
from prenorm.commands.run.slurm.jobs import SLURM_FOLDER, Request

_MIB = 1 << 20
_SECONDS = 5.0  # that a conversion takes whatever the size, from above
_READ, _PROVED = 50e6, 10e6  # bytes of the checkpoint, and of the weights, that take a second, from below
_WORTH = 120.0  # seconds of work that are worth a task of their own
_START_MINUTES, _CAUTION = 10, 3  # of the time limit: for a cold file system, and a slow or busy node
_MEMORY_OPTIONS = ("--mem", "--mem-per-cpu", "--mem-per-gpu")
_TIME_OPTIONS = ("--time", "-t")


def seconds_of(member: Member) -> float:
    """Return how long a conversion takes; an estimate from above, for one core.

    Args:
        member: of a plan.

    Returns:
        Seconds.
    """
    return _SECONDS + member.bytes / _READ + member.reading.weight_bytes / _PROVED


def request_of(members: Iterable[Member]) -> Request:
    """Return what a task needs that converts members one after the other.

    Args:
        members: at least one.

    Returns:
        Memory and time.
    """
    members = list(members)
    return Request(
        memory=math.ceil(max(map(memory_of, members)) / _MIB / 100) * 100,
        minutes=_START_MINUTES + math.ceil(_CAUTION * sum(map(seconds_of, members)) / 60),
    )


def divided(members: Sequence[Member], limit: int | None, most: int) -> list[list[Member]]:
    """Divide members into tasks: several where they are small, so that the start of a process is worth it.

    Args:
        members: in the plan's order.
        limit: how many tasks may run at a time; None for any number.
        most: how many tasks there may be.

    Returns:
        The members of each task.
    """
    if not members:
        return []
    size = max(int(_WORTH // max(map(seconds_of, members))), 1)
    if limit is not None:
        size = min(size, math.ceil(len(members) / limit))
    size = max(size, math.ceil(len(members) / most))
    return [list(members[start : start + size]) for start in range(0, len(members), size)]


def sets_memory(words: Iterable[str]) -> bool:
    """Return whether the user's arguments of sbatch say how much memory a task gets.

    Args:
        words: the arguments.

    Returns:
        True if they do.
    """
    return has_option(words, *_MEMORY_OPTIONS)


def sets_time(words: Iterable[str]) -> bool:
    """Return whether the user's arguments of sbatch say how long a task may take.

    Args:
        words: the arguments.

    Returns:
        True if they do.
    """
    return has_option(words, *_TIME_OPTIONS)


def threads_of(arguments: Iterable[str]) -> int:
    """Return with how many threads a task computes: as many as the cores that the user's arguments ask for.

    Args:
        arguments: as the user gave them.

    Returns:
        At least 1, which is the default.
    """
    text = "".join(f"{word}\n" for word in split(arguments))
    value = re.search(r"^(?:--cpus-per-task[=\n]|-c\n?)(\d+)$", text, re.MULTILINE)
    return max(int(value[1]), 1) if value is not None else 1


def array_script(
    plan: RunPlan, output: Path, tasks: Mapping[str, Sequence[str]], request: Request, key: str, words: Sequence[str],
    array: str,
) -> str:  # fmt: skip
    """Return the batch script of an array.

    Args:
        plan: of the run.
        output: the run's folder, absolute.
        tasks: the names of the members that each task converts, by its index.
        request: what each task gets.
        key: of the submission.
        words: what the user passes to sbatch; it comes before what the script says.
        array: which tasks there are and how many run at a time, as sbatch takes it.

    Returns:
        The text.
    """
    command = [*_prenorm(), "convert-run", plan.run, str(output)]
    settings = {
        "job-name": "prenorm",
        "comment": key,
        "array": array,
        "output": f"{output}/{SLURM_FOLDER}/%A_%a.log".replace("%", "%%").replace("%%A_%%a.log", "%A_%a.log"),
        "open-mode": "append",
        "mem": None if sets_memory(words) else f"{request.memory}M",
        "time": None if sets_time(words) else str(request.minutes),
        "cpus-per-task": None if has_option(words, "--cpus-per-task", "-c") else str(plan.threads),
    }
    submitted = shlex.join(["sbatch", *words, f"{output}/array.sh"])
    lines = [
        "#!/bin/bash",
        f"# Converts {sum(map(len, tasks.values()))} of the {len(plan.members)} checkpoints of {_line(plan.run)}",
        f"# Written and submitted by prenorm {plan.prenorm}: {_line(submitted)}",
        "# Each task is one command, which can be run by hand: bash array.sh INDEX",
        *(f"#SBATCH --{name}={_quoted(value)}" for name, value in settings.items() if value is not None),
        "#SBATCH --requeue",
        "",
        f"export OMP_NUM_THREADS={plan.threads} TOKENIZERS_PARALLELISM=false",
        'case "${SLURM_ARRAY_TASK_ID:-$1}" in',
    ]
    for index, names in tasks.items():
        words_of_task = [*command, *(word for name in names for word in ("--member", name))]
        lines.append(f"  {index}) exec {shlex.join(words_of_task)} ;;")
    lines += ['  *) echo "usage: bash array.sh INDEX" >&2; exit 2 ;;', "esac", ""]
    return "\n".join(lines)


def _prenorm() -> list[str]:
    """Return the command of this very installation, which a node finds by its path."""
    script = Path(sys.executable).with_name("prenorm")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "prenorm"]


def _line(text: str) -> str:
    """Return text that stays in its comment."""
    return " ".join(text.split())


def _quoted(value: str) -> str:
    """Return a value as sbatch reads it in a script."""
    plain = re.fullmatch(r"[\w%/.,:+-]*", value) is not None
    return value if plain else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
