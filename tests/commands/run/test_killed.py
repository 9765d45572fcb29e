"""One member's conversion, killed on its way: its folder is absent or whole, and what is done is not made again."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.runs import RUN, STEPS, folders, run_here
from helpers.warm_command import WarmCommand
from prenorm.commands.run.plan import read_plan
from prenorm.commands.run.state import MemberState, look, record_path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommand]:
    with WarmCommand(RUN / "checkpoint_1_8.pt", tmp_path_factory.mktemp("warm") / "out") as warm:
        yield warm


@pytest.mark.parametrize("old", [False, True], ids=["new", "made again"])
def test_killed_at_any_step_a_member_is_done_or_not(
    command: WarmCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    output, name = tmp_path / "out", STEPS[0]
    options = {"match": "*_1_8.pt", "no_tokenizer": True, "bpe_dir": None}
    run_here(monkeypatch, RUN, output, license="mit", **options)
    before = folders(output)
    other = Path(shutil.copytree(output, tmp_path / "other"))
    run_here(monkeypatch, RUN, output, **options)
    after, plan = folders(output), read_plan(output)
    assert plan is not None and after.keys() == before.keys() and after != before

    def reset() -> None:
        shutil.rmtree(output / name)
        record_path(output, name).unlink()
        if old:
            shutil.copytree(other / name, output / name)
            shutil.copy(record_path(other, name), record_path(output, name))

    arguments = ["convert-run", RUN, output, "--member", name, "--quiet"]
    reset()
    assert command.run(*arguments, steps=str(tmp_path / "steps")) == 0
    steps = (tmp_path / "steps").read_text().split()
    # The record is renamed into its place, and then the folder.
    assert steps.index("replace") < steps.index("renameat2")
    turn = steps.index("renameat2") + 1
    moments = sorted({*range(2, turn - 4, 16), *range(turn - 4, turn + 2), *range(turn + 2, len(steps), 16)})
    states = []
    for at in moments:
        reset()
        assert command.run(*arguments, at=at, fault="KILL") == -signal.SIGKILL
        state = look(plan, plan.members[0], output).state
        states.append(state)
        folder = {path: content for path, content in folders(output).items() if path.startswith(name)}
        assert folder == (after if state is MemberState.DONE else before if old else {})
        number = (output / name).stat().st_ino if folder else 0
        report, converted = run_here(monkeypatch, RUN, output, **options)  # clears up, too
        assert report.passed and converted == ([] if state is MemberState.DONE else [name])
        assert folders(output) == after
        assert state is not MemberState.DONE or (output / name).stat().st_ino == number
        assert [path.name for path in (output / "members").iterdir()] == [f"{name}.json"]
    first = states.index(MemberState.DONE)
    assert set(states[:first]) == {MemberState.LEFT} and set(states[first:]) == {MemberState.DONE}
    assert moments[first] == turn + 1
