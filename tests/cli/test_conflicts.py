"""Options that another one makes useless, and arguments in the wrong order: on the command line and in Python."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import prenorm
from helpers.paths import MLM
from prenorm.cli.app import prenorm as command
from prenorm.cli.output import GROUPS
from prenorm.cli.session import Session
from prenorm.errors import UsageProblem
from prenorm.options import CONFLICTS, Kind, OptionGroup, Options, field_of, flag_of, option_fields, option_of
from prenorm.options.conflicts import Conflict

# A call of each command with sound arguments, so that nothing but the options is wrong.
ARGUMENTS = {
    "inspect": ["checkpoint_best.pt"],
    "convert": ["checkpoint_best.pt", "out"],
    "convert-run": ["my-model", "out"],
    "verify": ["checkpoint_best.pt", "my-model"],
    "record": ["checkpoint_best.pt", "golden.npz"],
    "push": ["my-model", "my-name/my-model"],
    "completion": ["bash"],
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(MLM, tmp_path / "checkpoint_best.pt")
    (tmp_path / "my-model").mkdir()
    (tmp_path / "old.npz").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def value_of(item: dataclasses.Field[Any], value: str | None = None) -> Any:
    """A value that the option can have, and is not its default."""
    facts = option_of(item)
    if facts.kind is Kind.FLAG:
        return True
    if facts.kind is Kind.COUNT:
        return 3
    return value or next((choice for choice in facts.choices if choice != item.default), "some")


def words(item: dataclasses.Field[Any], value: Any) -> list[str]:
    return [flag_of(item)] if value is True else [flag_of(item), str(value)]


def cases() -> list[Any]:
    return list(each_pair())


def each_pair() -> Iterator[Any]:
    """Each pair, for each command that has both options, and for each value that rules the first one out."""
    for conflict in CONFLICTS:
        for name, (modes, output) in GROUPS.items():
            for group in (modes.groups[0], output):
                names = {item.name for item in option_fields(group)}
                if {conflict.option, conflict.other} <= names:
                    for value in conflict.values or (None,):
                        label = f"{name}-{conflict.option}-{conflict.other}-{value}"
                        yield pytest.param(name, group, conflict, value, id=label)


def test_every_pair_is_of_some_command() -> None:
    assert {parameters.values[2] for parameters in cases()} == {*CONFLICTS}


def run(*arguments: str) -> UsageProblem:
    with pytest.raises(UsageProblem) as caught:
        command.main(list(arguments), standalone_mode=False, obj=Session())
    return caught.value


@pytest.mark.parametrize(("name", "group", "conflict", "value"), cases())
def test_a_useless_option_is_refused(
    name: str, group: type[OptionGroup], conflict: Conflict, value: str | None, place: Path
) -> None:
    item, other = (field_of([group], each) for each in (conflict.option, conflict.other))
    ruling = value_of(other, value)
    needed = ["--fairseq-python", "python"] if ruling == "fairseq" else []
    error = run(name, *ARGUMENTS[name], *words(item, value_of(item)), *words(other, ruling), *needed)
    assert error.subject == flag_of(item)
    stated = " ".join(words(other, ruling)) if value else flag_of(other)
    stated += ", which is the default" if ruling == other.default else ""
    assert error.cause == f"has no effect with {stated}: {conflict.why}"
    assert error.exit_code == 2
    assert sorted(path.name for path in place.iterdir()) == ["checkpoint_best.pt", "my-model", "old.npz"]


@pytest.mark.parametrize(
    ("name", "group", "conflict", "value"), [case for case in cases() if issubclass(case.values[1], Options)]
)
def test_python_refuses_it_in_its_own_words(
    name: str, group: type[OptionGroup], conflict: Conflict, value: str | None
) -> None:
    item, other = (field_of([group], each) for each in (conflict.option, conflict.other))
    keywords = {item.name: value_of(item), other.name: value_of(other, value)}
    keywords |= {"fairseq_python": "python"} if value == "fairseq" else {}
    with pytest.raises(UsageProblem) as caught:
        getattr(prenorm, name.replace("-", "_"))(*ARGUMENTS[name], **keywords)
    assert conflict.why in caught.value.cause
    assert "--" not in str(caught.value)
    assert caught.value.subject == (f"{item.name}=True" if option_of(item).kind is Kind.FLAG else item.name)
    assert (f'{other.name}="{value}"' if value else other.name) in caught.value.cause


@pytest.mark.parametrize(
    "conflict",
    [conflict for conflict in CONFLICTS if conflict.option != "fairseq_python"],
    ids=lambda conflict: f"{conflict.option}-{conflict.other}",
)
def test_each_of_the_pair_is_taken_alone(conflict: Conflict) -> None:
    """The options are no error by themselves; what they name need not be there."""
    for name, (modes, output) in GROUPS.items():
        for group in (modes.groups[0], output):
            for field in (conflict.option, conflict.other):
                if field in {item.name for item in option_fields(group)}:
                    item = field_of([group], field)
                    context = click.Context(command)
                    context.obj = Session()
                    made = command.commands[name].make_context(
                        name, [*ARGUMENTS[name], *words(item, value_of(item))], parent=context
                    )
                    try:
                        from prenorm.cli.parameters import groups_of

                        groups_of(made)
                    except UsageProblem as error:
                        assert "has no effect with " not in error.cause


SWAPPED = {
    "convert": (["my-model", "checkpoint_best.pt"], "checkpoint_best.pt my-model"),
    "convert to a new folder": (["out", "checkpoint_best.pt"], "checkpoint_best.pt out"),
    "verify": (["my-model", "checkpoint_best.pt"], "checkpoint_best.pt my-model"),
    "verify a repo": (["my-name/my-model", "checkpoint_best.pt"], "checkpoint_best.pt my-name/my-model"),
    "verify by the Hub": (["my-model", "hf://a/b/c.pt"], "hf://a/b/c.pt my-model"),
    "record": (["golden.npz", "checkpoint_best.pt"], "checkpoint_best.pt golden.npz"),
    "push": (["my-name/my-model", "my-model"], "my-model my-name/my-model"),
}


@pytest.mark.parametrize("case", SWAPPED)
def test_arguments_in_the_wrong_order_are_told(case: str) -> None:
    arguments, meant = SWAPPED[case]
    name = case.split()[0]
    error = run(name, *arguments)
    assert (error.cause, error.advice) == ("the arguments are in the wrong order", f"Write prenorm {name} {meant}")
    with pytest.raises(UsageProblem, match="the arguments are in the wrong order") as caught:
        getattr(prenorm, name)(*arguments)
    first, second = meant.split()
    assert caught.value.advice == f"Write prenorm.{name}({first!r}, {second!r})"


@pytest.mark.parametrize(
    "arguments",
    [
        ["convert", "my-model", "out"],
        ["convert", "checkpoint_best.pt", "checkpoint_best.pt"],
        ["verify", "checkpoint_best.pt", "none"],
        ["verify", "none.pt", "my-model"],
        ["verify", "my-model", "none.pt"],
        ["push", "none", "my-name/my-model"],
        ["push", "my-model", "none"],
        ["record", "none.pt", "checkpoint_best.pt"],
        ["record", "none.pt", "old.npz"],
    ],
    ids=" ".join,
)
def test_other_faults_are_not_taken_for_the_wrong_order(arguments: list[str]) -> None:
    assert "wrong order" not in run(*arguments).cause


ASKING = {
    "a checkpoint of the Hub": ["inspect", "hf://a/b/c.pt"],
    "a folder of the Hub": ["verify", "checkpoint_best.pt", "my-name/my-other"],
    "a folder of the Hub alone": ["verify", "my-name/my-other", "--folder-only"],
    "GPT-2's files": ["record", "checkpoint_best.pt", "golden.npz", "--bpe-dir", "gpt2"],
    "a push": ["push", "my-model", "my-name/my-model"],
    "convert and push": ["convert", "checkpoint_best.pt", "out", "--push", "my-name/my-model"],
}
ASKING_NOTHING = {
    "inspect": ["inspect", "checkpoint_best.pt"],
    "convert": ["convert", "checkpoint_best.pt", "out"],
    "a folder here": ["verify", "checkpoint_best.pt", "my-model"],
    "a folder here alone": ["verify", "my-model", "--folder-only"],
    "a golden file": ["verify", "my-model", "--golden", "old.npz"],
    "a folder called gpt2": ["record", "checkpoint_best.pt", "golden.npz", "--bpe-dir", "gpt2"],
}  # fmt: skip


@pytest.mark.parametrize("option", [["--retries", "3"], ["--timeout", "9"]], ids=" ".join)
@pytest.mark.parametrize("case", [*ASKING, *ASKING_NOTHING])
def test_how_the_hub_is_asked_has_no_effect_where_it_is_not(case: str, option: list[str], place: Path) -> None:
    from prenorm.cli.parameters import groups_of

    if case == "a folder called gpt2":
        (place / "gpt2").mkdir()
    name, *arguments = (ASKING | ASKING_NOTHING)[case]
    parent = click.Context(command)
    parent.obj = Session()
    made = command.commands[name].make_context(name, [*arguments, *option], parent=parent)
    if case in ASKING:
        group, _ = groups_of(made)
        assert (group.retries, group.timeout) in ((3, None), (None, 9.0))
        return
    error = run(name, *arguments, *option)
    assert (error.subject, error.exit_code) == (option[0], 2)
    assert error.cause == "has no effect: nothing here is asked of the Hub"
