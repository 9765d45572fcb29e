"""The Python functions: what their keywords are, and what a wrong one gets."""

from __future__ import annotations

import inspect as introspection
import pydoc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import prenorm
from helpers.paths import BPE, FIXTURES, MLM
from helpers.waiting import PATIENCE
from prenorm.errors import UsageProblem
from prenorm.options import (
    CONVERT_MODES,
    CONVERT_RUN_MODES,
    VERIFY_MODES,
    InspectOptions,
    Modes,
    PushOptions,
    RecordOptions,
    TaskKind,
    argument_fields,
    option_fields,
    option_of,
)

FUNCTIONS = {
    "inspect": (InspectOptions,),
    "convert": CONVERT_MODES.groups[:1],
    "convert_run": CONVERT_RUN_MODES.groups[:1],
    "verify": VERIFY_MODES.groups,
    "record": (RecordOptions,),
    "push": (PushOptions,),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signature_and_help_show_every_option(name: str) -> None:
    function = getattr(prenorm, name)
    signature, text = introspection.signature(function), pydoc.render_doc(function, renderer=pydoc.plaintext)
    assert text.startswith(f"Python Library Documentation: function {name}")
    first = [item.name for item in argument_fields(FUNCTIONS[name][0])]
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    assert list(signature.parameters)[: len(first)] == first
    assert set(kinds[len(first) :]) == {introspection.Parameter.KEYWORD_ONLY}
    assert signature.parameters["progress"].default is None
    for group in FUNCTIONS[name]:
        for item in (*argument_fields(group), *option_fields(group)):
            facts = option_of(item)
            assert item.name in signature.parameters
            assert f"{item.name}: {facts.keyword_help or facts.help}" in text
            assert all(choice in text for choice in facts.choices)
            if group is FUNCTIONS[name][0] and item in option_fields(group):
                assert signature.parameters[item.name].default == item.default
    assert "options:" not in text


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_unknown_keyword_is_named(name: str) -> None:
    with pytest.raises(TypeError, match=rf"{name}\(\) got an unexpected keyword argument 'taks'"):
        getattr(prenorm, name)("a", "b", taks="encoder")


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "verify"])
def test_a_missing_argument_is_a_type_error(name: str) -> None:
    with pytest.raises(TypeError, match=rf"{name}\(\) missing a required argument"):
        getattr(prenorm, name)()


def test_arguments_can_be_named_and_progress_be_none(tmp_path: Path) -> None:
    result = prenorm.convert(output=tmp_path / "out", checkpoint=str(MLM), task=TaskKind.ENCODER, progress=None)
    assert result.output == tmp_path / "out"
    assert result.plan.task.why == 'task="encoder"'
    assert prenorm.verify(folder=result.output, checkpoint=MLM).passed


class Events:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []
        self.steps = 0

    def stage(self, name: str, total: int) -> None:
        self.stages.append((name, total))
        self.steps = 0

    def advance(self, steps: int) -> None:
        self.steps += steps

    def warn(self, text: str) -> None:
        pass


@pytest.mark.slow
def test_every_long_function_tells_its_progress(converted: Callable[[str], Path], tmp_path: Path) -> None:
    folder, golden = converted("dinkytrain-mlm"), tmp_path / "golden.npz"
    for run in (
        lambda events: prenorm.record(MLM, golden, bpe_dir=BPE, progress=events),
        lambda events: prenorm.verify(MLM, folder, bpe_dir=BPE, progress=events),
        lambda events: prenorm.verify(folder, golden=golden, progress=events),
    ):
        events = Events()
        run(events)
        name, total = events.stages[-1]
        assert name in ("Recording", "Proving")
        assert events.steps == total > 1


VALUES: dict[str, tuple[str, Any, str]] = {
    "choice": ("task", "translation", "task is 'translation', not one of auto, masked-lm"),
    "no choice": ("weights", None, "weights is None, not one of model, ema"),
    "text": ("head", 3, "head is 3, not text"),
    "path": ("bpe_dir", 3, "bpe_dir is 3, not a path"),
    "flag": ("words", "yes", "words is 'yes', not True or False"),
    "number as text": ("attention_heads", "4", "attention_heads is '4', not a whole number"),
    "fraction": ("attention_heads", 4.0, "attention_heads is 4.0, not a whole number"),
    "truth as number": ("attention_heads", True, "attention_heads is True, not a whole number"),
    "too small": ("attention_heads", 0, "attention_heads is 0; it must be at least 1"),
}


@pytest.mark.parametrize("case", VALUES)
def test_a_value_that_does_not_fit_is_a_usage_problem(case: str) -> None:
    name, value, message = VALUES[case]
    with pytest.raises(UsageProblem, match=message):
        prenorm.inspect(MLM, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("retries", -1, "retries is -1; it must be at least 0 and at most 20"),
        ("retries", 21, "retries is 21"),
        ("timeout", 0.05, "timeout is 0.05; it must be at least 0.1"),
        ("timeout", float("nan"), "timeout is nan"),
    ],
)
def test_a_number_out_of_bounds_is_a_usage_problem(name: str, value: float, message: str) -> None:
    with pytest.raises(UsageProblem, match=message):
        prenorm.push("folder", "org/name", **{name: value})


def test_options_that_go_together_are_called_by_their_keywords() -> None:
    with pytest.raises(UsageProblem) as caught:
        prenorm.record(MLM, "golden.npz", reference="fairseq")
    assert str(caught.value).startswith('reference="fairseq" needs fairseq_python=...')
    assert "--" not in str(caught.value)


def test_one_language_is_as_good_as_a_list() -> None:
    group = CONVERT_MODES.groups[0]
    assert group("a", "b", language="en").language == group("a", "b", language=["en"]).language == ("en",)


def _foreign_keywords() -> list[tuple[str, str]]:
    golden, alone = VERIFY_MODES.groups[1:]
    everything = {item.name for group in VERIFY_MODES.groups for item in option_fields(group)}
    selecting = {golden.selected_by, alone.selected_by}
    return [
        (str(group.selected_by), name)
        for group in (golden, alone)
        for name in sorted(everything - {item.name for item in option_fields(group)} - selecting)
    ]


@pytest.mark.parametrize(("mode", "name"), _foreign_keywords())
def test_a_keyword_of_another_way_to_verify_is_refused(mode: str, name: str) -> None:
    """Whatever its value: a default that is written down is meant."""
    default = introspection.signature(prenorm.verify).parameters[name].default
    selector: dict[str, Any] = {mode: "golden.npz" if mode == "golden" else True}
    with pytest.raises(UsageProblem, match=rf"{name}: cannot be used with {mode}\."):
        prenorm.verify("folder", **selector, **{name: default})


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [
        (("folder",), {}),
        (("folder",), {"golden": "g.npz", "folder_only": True}),
        (("checkpoint", "folder"), {"golden": "g.npz"}),
        (("checkpoint", "folder"), {"folder_only": True}),
        ((), {}),
        (("a", "b", "c"), {}),
    ],
)
def test_verify_needs_one_thing_to_judge_by(arguments: tuple[str, ...], keywords: dict[str, Any]) -> None:
    with pytest.raises(UsageProblem, match="verify needs one thing to judge by") as caught:
        prenorm.verify(*arguments, **keywords)
    assert "verify(checkpoint, folder) or verify(folder, golden=...) or verify(folder, folder_only=...)" in str(
        caught.value
    )


def test_selectors_that_select_nothing_are_not_there() -> None:
    options = prenorm.verify.__wrapped__  # type: ignore[attr-defined]
    assert callable(options)
    with pytest.raises(UsageProblem, match="there is no such file"):
        prenorm.verify("no-checkpoint.pt", "folder", golden=None, folder_only=False)  # type: ignore[call-overload]


@pytest.mark.slow
def test_type_checkers_check_the_keywords(tmp_path: Path) -> None:
    """Every call here that is wrong is known to be, and no other."""
    program = tmp_path / "calls.py"
    program.write_text("""import prenorm
from prenorm import Report

prenorm.convert(checkpoint="a", output="b", task="encoder", language=["en"], progress=None)
one: Report = prenorm.verify("a", "b", compute="float32")
two: Report = prenorm.verify("b", golden="g.npz", runtime="both")
three: Report = prenorm.verify("b", folder_only=True)
prenorm.push("a", "b", retries=3).url
prenorm.convert("a", "b", taks="encoder")  # wrong
prenorm.convert(output="b")  # wrong
prenorm.convert("a", "b", words="yes")  # wrong
prenorm.verify("b", golden="g.npz", task="encoder")  # wrong
prenorm.verify("b", folder_only=True, runtime="both")  # wrong
prenorm.push("a", "b", progress=3)  # wrong
prenorm.inspect("a", reference="fairseq")  # wrong
""")
    # Our signatures name no type of any other package, so that mypy need not read those: torch alone takes it long.
    command = [sys.executable, "-m", "mypy", "--strict", "--no-site-packages", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [*command, str(program)], capture_output=True, text=True, cwd=FIXTURES.parent, timeout=PATIENCE
    )
    wrong = [number for number, line in enumerate(program.read_text().splitlines(), 1) if line.endswith("# wrong")]
    reported = {
        int(line.split(":")[1])
        for line in done.stdout.splitlines()
        if line.startswith(str(program)) and "error" in line
    }
    assert sorted(reported) == wrong, done.stdout


def test_a_mode_without_arguments_of_its_own_needs_no_purpose() -> None:
    assert Modes((InspectOptions,)).choose({"task"}) is InspectOptions
