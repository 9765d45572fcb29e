"""All or nothing, for real: killed, stopped, terminated, out of disk or raced, at every step and at any moment.

Whatever happens, OUTPUT is absent, or the old one byte for byte, or the complete new one; and the next run clears up.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.crash_place import (
    COMPLETE,
    Place,
    all_kinds,
    check_complete,
    outside_writing,
    small_checkpoint,
    turning_points,
)
from helpers.events import Event
from helpers.warm_command import WarmCommand

MakePlace = Callable[..., Place]
EXIT_CODES = {"INT": 130, "TERM": 143}
MESSAGES = {
    "INT": "Error: interrupted; OUTPUT is as it was, or complete.",
    "TERM": "Error: terminated; OUTPUT is as it was, or complete.",
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Two small checkpoints, the command, and what it makes of them."""
    base = tmp_path_factory.mktemp("crash")
    for name, factor in (("a", 1.0), ("b", 0.5)):
        (base / name).mkdir()
        small_checkpoint(base / name / "checkpoint.pt", factor=factor)
    first, second = (base / name / "checkpoint.pt" for name in "ab")
    with WarmCommand(first, base / "warm-up") as command:
        made = []
        for checkpoint in (first, second):
            folder = checkpoint.with_name("out")  # the name of every OUTPUT, which the card is titled with
            assert command.run("convert", checkpoint, folder, "--quiet") == 0
            made.append(check_complete(folder))
        assert made[0] != made[1]
        yield {"command": command, "checkpoint": first, "second": second, "complete": tuple(made)}


@pytest.fixture
def place(bench: dict[str, Any], tmp_path: Path) -> MakePlace:
    """Makes an OUTPUT to convert into."""
    shared = {key: bench[key] for key in ("command", "checkpoint", "complete")}
    return lambda **options: Place(tmp_path / "parent", **shared, **options)


@pytest.mark.slow
@pytest.mark.parametrize("old", [True, False])
def test_killed_at_every_step(place: MakePlace, old: bool) -> None:
    at_work = place(old=old)
    before = "old" if old else "absent"
    steps = at_work.steps()
    assert set(steps) >= {"mkdir", "flock", "open", "write", "fsync", "renameat2"}
    assert ("unlink" in steps) == old
    outcomes, cleared = [], 0
    for at in range(1, len(steps) + 1) if old else turning_points(steps):
        assert at_work.convert(at=at, fault="KILL") == -signal.SIGKILL
        outcomes.append((steps[at - 1], at_work.outcome()))
        cleared += at_work.clear_up()
        if outcomes[-1][1] == "new":
            at_work.reset()
    # One step turns one into the other: the rename, with every file on the disk before it, and the parent after it.
    turn = [name for name, _ in outcomes].index("renameat2") + 1
    names = [steps[at - 1] for at in outside_writing(steps)]
    written, published = names[: names.index("renameat2")], names[names.index("renameat2") :]
    assert written.count("fsync") == len(COMPLETE) + 1 and published[:3] == ["renameat2", "open", "fsync"]
    assert [outcome for _, outcome in outcomes] == [before] * turn + ["new"] * (len(outcomes) - turn)
    # All left something behind but those killed before there was anything.
    assert cleared >= sum(outcome == before for _, outcome in outcomes) - steps.index("mkdir") - 1
    assert at_work.convert() == 0
    assert (at_work.outcome(), at_work.leftovers()) == ("new", [])


@pytest.mark.slow
def test_killed_between_two_renames_the_old_one_comes_back(place: MakePlace) -> None:
    """Where the system cannot swap folders, OUTPUT is missing for a moment; the next run puts the old one back."""
    at_work = place(old=True, conditions={"no_exchange": True})
    outcomes = []
    for at in turning_points(at_work.steps()):
        assert at_work.convert(at=at, fault="KILL") == -signal.SIGKILL
        killed = at_work.outcome()
        at_work.clear_up()
        outcomes.append((killed, at_work.outcome()))
        at_work.reset()
    turns = [outcome for outcome, _ in itertools.groupby(outcomes)]
    assert turns == [("old", "old"), ("absent", "old"), ("new", "new")]


@pytest.mark.slow
def test_ended_at_fifty_random_moments(place: MakePlace, tmp_path: Path) -> None:
    """Moments of its own processor time: a clock would hit a busy machine's runs too early, and an idle one's too late."""
    at_work = place(old=True)
    used = tmp_path / "used"
    lives = []
    for _ in range(3):
        assert at_work.convert(processor_seconds_used=str(used)) == 0
        lives.append(float(used.read_text()))
    moments = random.Random(0)
    outcomes, cleared = Counter[str](), 0
    for number in range(50):
        at_work.old = number % 2 == 0
        at_work.reset()
        code = at_work.convert(processor_seconds=moments.uniform(0.001, min(lives)))
        assert code in (-signal.SIGPROF, 0)
        outcomes[at_work.outcome()] += 1
        cleared += at_work.clear_up()
    assert outcomes["old"] >= 5 and outcomes["absent"] >= 5 and cleared >= 5
    at_work.reset()
    assert at_work.convert() == 0
    assert (at_work.outcome(), at_work.leftovers()) == ("new", [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "old", "no_exchange"), [("INT", True, False), ("INT", True, True), ("TERM", False, False)]
)
def test_interrupted_at_every_step_leaves_nothing_behind(
    place: MakePlace, tmp_path: Path, fault: str, old: bool, no_exchange: bool
) -> None:
    """A signal that arrives during any call: the run ends, and clears up after itself at once."""
    at_work = place(old=old, conditions={"no_exchange": no_exchange})
    steps = at_work.steps()
    errors = tmp_path / "errors"
    outcomes = []
    for at in all_kinds(steps) if old and not no_exchange else turning_points(steps):
        assert at_work.convert(at=at, fault=fault, errors=str(errors)) == EXIT_CODES[fault]
        outcomes.append(at_work.outcome())
        assert at_work.leftovers() == []
        assert errors.read_text().strip() == MESSAGES[fault]
        if outcomes[-1] == "new":
            at_work.reset()
    assert [outcome for outcome, _ in itertools.groupby(outcomes)] == ["old" if old else "absent", "new"]


@pytest.mark.slow
def test_every_step_that_fails_for_a_full_disk(place: MakePlace, tmp_path: Path) -> None:
    at_work = place(old=True)
    steps = at_work.steps()
    errors = tmp_path / "errors"
    for at in all_kinds(steps):
        code = at_work.convert(at=at, fault="ENOSPC", errors=str(errors))
        outcome = at_work.outcome()
        message = errors.read_text()
        if (
            at <= steps.index("renameat2") + 1 and steps[at - 1] != "flock"
        ):  # without locks it does its work all the same
            assert (code, outcome, at_work.leftovers()) == (2, "old", [])
        else:
            assert outcome == "new"
        assert message.count("Error: ") == (code == 2) and message.count("\n") == (code == 2)
        assert code == 0 or "No space left on device" in message
        at_work.clear_up()
        at_work.reset()


@pytest.mark.slow
def test_a_disk_of_any_size_that_is_too_small(place: MakePlace, tmp_path: Path) -> None:
    """A real small disk, of which the files need more and more; where none may be mounted, a limit to the largest file."""
    at_work = place()
    listing = tmp_path / "listing"
    sizes = [len(content) for _, content in at_work.complete[0].values()]
    enough = sum((size + 4095) // 4096 for size in sizes)
    for pages in (1, 2, 8, 32, *range(enough - 12, enough + 2)):
        code = at_work.convert(disk=pages * 4096, left_on_disk=str(listing))
        mounted, left = json.loads(listing.read_text())
        fits = pages >= enough if mounted else pages * 4096 >= max(sizes)
        assert (code, left) == ((0, ["out"]) if fits else (2, []))
        at_work.reset()


@pytest.mark.slow
def test_folders_that_may_not_be_written(place: MakePlace, tmp_path: Path) -> None:
    at_work = place(old=True, conditions={"powerless": True})
    errors = tmp_path / "errors"
    cases = [
        (at_work.parent, {}, "the folder it should go into is read-only"),
        (at_work.output, {}, "exists and is read-only"),
        # From one moment to the next, when all is written and proven.
        (at_work.parent, {"read_only": str(at_work.parent)}, "Permission denied"),
    ]
    for folder, conditions, message in cases:
        mode = folder.stat().st_mode
        if not conditions:
            folder.chmod(0o555)
        code = at_work.convert(errors=str(errors), **conditions)
        folder.chmod(mode)
        assert (code, at_work.outcome()) == (2, "old")
        assert message in errors.read_text() and errors.read_text().count("\n") == 1
        # What could not be removed was emptied, and goes with the next run.
        assert at_work.clear_up() == (1 if conditions else 0)
    assert at_work.convert() == 0
    assert (at_work.outcome(), at_work.leftovers()) == ("new", [])


@pytest.mark.slow
@pytest.mark.parametrize(("wait_before", "count"), [("check_output", 2), ("publish", 8)])
@pytest.mark.parametrize("no_exchange", [False, True])
@pytest.mark.parametrize("case", ["replace", "overwrite nothing", "new"])
def test_many_into_one_output(
    bench: dict[str, Any], place: MakePlace, wait_before: str, count: int, no_exchange: bool, case: str
) -> None:
    """With --overwrite all succeed, and the last one stays. Without it, one does, and the others leave nothing."""
    at_work = place(old=case != "new", conditions={"no_exchange": no_exchange, "wait_before": wait_before})
    if case == "overwrite nothing":
        shutil.rmtree(at_work.output)
    runs = [at_work.planned(bench["second"] if number % 2 else None) for number in range(count)]
    codes = [at_work.command.wait(pid) for pid in at_work.command.start(*runs)]
    assert sorted(codes) == ([0] + [2] * (count - 1) if case == "new" else [0] * count)
    assert (at_work.outcome(), at_work.leftovers()) == ("new", [])


@pytest.mark.slow
@pytest.mark.parametrize("no_exchange", [False, True])
def test_killed_while_another_goes_on(
    bench: dict[str, Any], place: MakePlace, tmp_path: Path, no_exchange: bool
) -> None:
    """The other one publishes when the first is dead: had it ended before, the first would leave what a next run mends."""
    at_work = place(old=True, conditions={"no_exchange": no_exchange})
    killed, cleared = 0, 0
    first_ended = Event(tmp_path / "first ended")
    for at in turning_points(at_work.steps()):
        first, second = at_work.command.start(
            at_work.planned(at=at, fault="KILL"),
            at_work.planned(bench["second"], wait_before="publish", until=first_ended.path),
        )
        ended = at_work.command.wait(first)
        assert ended in (-signal.SIGKILL, 0)  # a later one of its steps may fall away through the other
        first_ended.happens()
        assert (at_work.command.wait(second), at_work.outcome()) == (0, "new")
        killed += ended != 0
        cleared += at_work.clear_up()
        at_work.reset()
    assert killed >= 8 and cleared > 0


@pytest.mark.slow
@pytest.mark.parametrize(("old", "no_exchange"), [(True, False), (True, True), (False, False)])
def test_stopped_while_another_does_all_its_work(
    bench: dict[str, Any], place: MakePlace, tmp_path: Path, old: bool, no_exchange: bool
) -> None:
    """One stands still at a step until another has ended, or waits for it: what is running is not taken for a leftover."""
    at_work = place(old=old, conditions={"no_exchange": no_exchange})
    for at in turning_points(at_work.steps()):
        (stopped,) = at_work.command.start(at_work.planned(at=at, fault="STOP"))
        assert at_work.command.wait(stopped) == -signal.SIGSTOP
        published = at_work.outcome() == "new"
        held_up = Event(tmp_path / "held up")
        (other,) = at_work.command.start(at_work.planned(bench["second"], held_up=held_up.path))
        held_up.wait()
        held_up.close()
        os.kill(stopped, signal.SIGCONT)
        codes = at_work.command.wait(stopped), at_work.command.wait(other)
        assert (at_work.outcome(), at_work.leftovers()) == ("new", [])
        assert (sorted(codes) == [0, 2] and (codes == (0, 2) or not published)) if not old else codes == (0, 0)
        at_work.reset()
