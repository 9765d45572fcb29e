"""Where the crash tests let conversions fail: an OUTPUT, what stood there before, and what may stand there afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.checkpoints import save_edited
from helpers.warm_command import Run, WarmCommand
from prenorm.folder.staging import check_output, staging_folder

Snapshot = dict[str, tuple[int, bytes]]
COMPLETE = {"README.md", "config.json", "model.safetensors", "parity.png", "parity_report.json"}


def small_checkpoint(path: Path, *, factor: float = 1.0) -> Path:
    """A fixture cut down to one layer and what it needs, which is converted in little time; its weights times `factor`."""

    def cut(content: dict[str, Any]) -> None:
        model = content["model"]
        content["model"] = {
            key: value if key.endswith(".version") else value * factor
            for key, value in model.items()
            if ".layers." not in key or ".layers.0." in key
        }
        content["cfg"] = {name: content["cfg"][name] for name in ("model", "task")}
        content["cfg"]["model"].encoder_layers = 1
        del content["last_optimizer_state"]

    return save_edited(path, cut)


def snapshot(folder: Path) -> Snapshot:
    """Every file and folder in it, with mode and bytes."""
    return {
        str(entry.relative_to(folder)): (entry.stat().st_mode, b"" if entry.is_dir() else entry.read_bytes())
        for entry in sorted(folder.rglob("*"))
    }


def check_complete(folder: Path) -> Snapshot:
    """The content of a converted folder, after its files were held against the sums in its own report."""
    found = snapshot(folder)
    assert found.keys() == COMPLETE
    files = json.loads(found["parity_report.json"][1])["target"]["files"]
    sums = {name: hashlib.sha256(content).hexdigest() for name, (_, content) in found.items()}
    assert {item["name"]: item["sha256"] for item in files} | {"parity_report.json": sums["parity_report.json"]} == sums
    return found


@dataclass
class Place:
    """An OUTPUT in a parent folder of its own. With `old`, another model stands there, to be overwritten."""

    parent: Path
    command: WarmCommand
    checkpoint: Path
    complete: tuple[Snapshot, ...]  # what OUTPUT may be when it is new
    old: bool = False
    conditions: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parent.mkdir()
        self.output = self.parent / "out"
        self.before: Snapshot = {}
        self.reset()

    def reset(self) -> None:
        """OUTPUT is as before all conversions."""
        shutil.rmtree(self.output, ignore_errors=True)
        if self.old:
            (self.output / "logs" / "empty").mkdir(parents=True)
            for name in ("config.json", "model.safetensors", "logs/train.log"):
                (self.output / name).write_bytes(name.encode() * 1000)
            self.before = snapshot(self.output)

    def planned(self, checkpoint: Path | None = None, **conditions: Any) -> Run:
        """A conversion into OUTPUT."""
        options = ["--quiet", *(["--overwrite"] if self.old else [])]
        arguments = ["convert", str(checkpoint or self.checkpoint), str(self.output), *options]
        return Run(arguments, **(self.conditions | conditions))

    def convert(self, **conditions: Any) -> int:
        """A conversion into OUTPUT, to its end; returns the exit code."""
        (pid,) = self.command.start(self.planned(**conditions))
        return self.command.wait(pid)

    def steps(self, **conditions: Any) -> list[str]:
        """The names of the steps of an undisturbed conversion."""
        log = self.parent.with_name(self.parent.name + ".steps")
        assert self.convert(steps=str(log), **conditions) == 0
        assert self.outcome() == "new" and self.leftovers() == []
        self.reset()
        return log.read_text().split()

    def outcome(self) -> str:
        """What OUTPUT is; fails if it is anything but absent, old or new."""
        if not os.path.lexists(self.output):
            return "absent"
        found = snapshot(self.output)
        if self.old and found == self.before:
            return "old"
        assert found in self.complete, f"neither the old nor a complete folder: {sorted(found)}"
        return "new"

    def leftovers(self) -> list[str]:
        """What lies beside OUTPUT; fails if that is anything but what a killed run may leave."""
        names = [entry.name for entry in self.parent.iterdir() if entry != self.output]
        assert all(name.startswith((".out.prenorm-staging-", ".out.prenorm-old-")) for name in names), names
        return names

    def clear_up(self) -> int:
        """The beginning of the next run, which clears away what others left; returns how much that was."""
        left = len(self.leftovers())
        check_output(self.output, overwrite=True, inputs=[])
        with staging_folder(self.output):
            pass
        assert self.leftovers() == []
        return left


def all_kinds(steps: list[str]) -> list[int]:
    """The numbers of the steps, from 1, but of those between like ones (one tensor written after another) only the first."""
    first: dict[tuple[str, ...], int] = {}
    for at in range(1, len(steps) + 1):
        first.setdefault(tuple(steps[max(at - 3, 0) : at + 2]), at)
    return sorted(first.values())


def outside_writing(steps: list[str]) -> list[int]:
    """The numbers of the steps before the first file is opened, and after the last one is written."""
    return [*range(1, steps.index("write")), *range(len(steps) - steps[::-1].index("write") + 1, len(steps) + 1)]


def turning_points(steps: list[str]) -> list[int]:
    """The numbers of the steps before and after which it matters what another run does: locking, making, renaming."""
    points = {"flock", "mkdir", "renameat2", "rename"}
    return [at for at in outside_writing(steps) if points & set(steps[max(at - 2, 0) : at])]
