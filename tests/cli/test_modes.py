"""An option that a mode of a command cannot use is an error that names it, whatever its value; all others are taken."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from helpers.commands import run_command
from helpers.paths import MLM
from prenorm.cli.app import prenorm
from prenorm.cli.session import Session
from prenorm.errors import PrenormError, UsageProblem
from prenorm.options import (
    CONVERT_MODES,
    CONVERT_RUN_MODES,
    VERIFY_MODES,
    ConvertAndPushOptions,
    ConvertMemberOptions,
    ConvertOptions,
    ConvertRunOptions,
    FolderOnlyOptions,
    GoldenOptions,
    Kind,
    OptionGroup,
    RequestOptions,
    VerifyOptions,
    field_of,
    flag_of,
    option_fields,
    option_of,
)

# Calls whose paths lead nowhere, so that nothing but the options is looked at for long.
CALLS: dict[type[OptionGroup], list[str]] = {
    VerifyOptions: ["verify", "nowhere.pt", "nowhere"],
    GoldenOptions: ["verify", "nowhere", "--golden", "nowhere.npz"],
    FolderOnlyOptions: ["verify", "nowhere", "--folder-only"],
    ConvertOptions: ["convert", "nowhere.pt", "nowhere"],
    ConvertAndPushOptions: ["convert", "nowhere.pt", "nowhere", "--push", "org/name"],
    ConvertRunOptions: ["convert-run", "nowhere", "out"],
    ConvertMemberOptions: ["convert-run", "nowhere", "out", "--member", "step-000001"],
}
MODES = {VerifyOptions: VERIFY_MODES, ConvertOptions: CONVERT_MODES} | {
    group: modes for modes in (VERIFY_MODES, CONVERT_MODES, CONVERT_RUN_MODES) for group in modes.groups
}


def words(item: dataclasses.Field[Any]) -> list[str]:
    """The option with a value that it can have: its default, if there is one."""
    facts = option_of(item)
    if facts.kind is Kind.FLAG:
        return [flag_of(item)]
    plain = {Kind.COUNT: "3", Kind.SECONDS: "3"}.get(facts.kind, "nowhere")
    value = (facts.choices or (plain,))[0] if item.default in (None, (), dataclasses.MISSING) else str(item.default)
    return [flag_of(item), value]


def options_of(group: type[OptionGroup], *, usable: bool) -> list[dataclasses.Field[Any]]:
    modes = MODES[group]
    selectors = {other.selected_by for other in modes.groups}
    own = {item.name for item in option_fields(group)}
    names = {item.name for other in modes.groups for item in option_fields(other)} - selectors
    if group is not ConvertAndPushOptions:  # these calls ask nothing of the Hub; tests of conflicts have those that do
        names -= {"whole", *(item.name for item in option_fields(RequestOptions))}
    return [field_of(modes.groups, name) for name in sorted(names) if (name in own) is usable]


def cases(*, usable: bool) -> list[Any]:
    return [
        pytest.param(group, item, id=f"{group.__name__}{flag_of(item)}")
        for group in CALLS
        for item in options_of(group, usable=usable)
    ]


def run(*arguments: str) -> PrenormError:
    """The error that the command ends in."""
    with pytest.raises(PrenormError) as caught:
        prenorm.main(list(arguments), standalone_mode=False, obj=Session())
    return caught.value


@pytest.mark.parametrize(("group", "item"), cases(usable=False))
def test_what_a_mode_cannot_use_is_refused(group: type[OptionGroup], item: dataclasses.Field[Any]) -> None:
    error = run(*CALLS[group], *words(item))
    assert isinstance(error, UsageProblem)
    assert error.subject == flag_of(item)
    selector = flag_of(field_of([group], group.selected_by)) if group.selected_by else "--push"
    assert error.cause == (f"cannot be used with {selector}" if group.selected_by else "has no effect without --push")


@pytest.mark.parametrize(("group", "item"), cases(usable=True))
def test_what_a_mode_can_use_is_taken(
    group: type[OptionGroup], item: dataclasses.Field[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    needed = {"fairseq_python": ["--reference", "fairseq"], "sbatch": ["--slurm"], "no_wait": ["--slurm"]}.get(
        item.name, []
    )
    error = run(*CALLS[group], *words(item), *needed)
    assert error.subject != flag_of(item)
    assert "cannot be used" not in error.cause and "no effect" not in error.cause


def test_every_mode_refuses_something() -> None:
    assert {group for group in CALLS if options_of(group, usable=False)} == CALLS.keys() - {
        VerifyOptions,
        ConvertAndPushOptions,
        ConvertRunOptions,
    }
    assert len(cases(usable=False)) > 25


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere"],
        ["a", "b", "c"],
        ["a", "b", "--folder-only"],
        ["a", "b", "--golden", "c"],
        ["a", "--golden", "c", "--folder-only"],
    ],
)
def test_verify_needs_one_thing_to_judge_by(arguments: list[str]) -> None:
    assert run("verify", *arguments).cause.startswith("verify needs one thing to judge by")


def test_the_command_says_it_in_one_line_and_exits_2(tmp_path: Path) -> None:
    done = run_command("verify", tmp_path, "--golden", "golden.npz", "--task", "auto")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: --task: cannot be used with --golden. Leave it out.\n"
    done = run_command("convert", MLM, tmp_path / "out", "--retries", "4")
    assert done.returncode == 2
    assert done.stderr == "Error: --retries: has no effect: nothing here is asked of the Hub. Leave it out.\n"
    done = run_command("convert", MLM, tmp_path / "out", "--private")
    assert done.stderr == "Error: --private: has no effect without --push. Leave it out, or add --push.\n"
    assert not (tmp_path / "out").exists()
