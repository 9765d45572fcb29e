"""A run on the terminal: which bars are there while it goes on, and that a warning of many checkpoints is shown once."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from prenorm.cli import bars
from prenorm.cli.running import RunBars


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> tuple[RunBars, io.StringIO]:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100, highlight=False, color_system=None)
    monkeypatch.setattr(bars, "stderr", lambda *, quiet: console)
    monkeypatch.setattr(bars, "_DELAY", 0.0)
    return RunBars(), text


def go_through_a_run(progress: RunBars) -> list[str]:
    """Two checkpoints at a time; returns the bars in the middle of it."""
    with progress:
        progress.stage("Reading", 2)
        progress._timer.join()  # from now on the work counts as long
        progress.begin(3, 1)
        first, second = progress.member("step-000001"), progress.member("step-000002")
        first.stage("Proving", 10)
        first.advance(4)
        second.stage("Writing", 1)
        first.warn("the vocabulary grows by 358 rows")
        second.warn("the vocabulary grows by 357 rows")
        during = [f"{task.description} {task.completed:g}/{task.total}" for task in progress._all.tasks]
        progress.ended("step-000001", "passed")
        progress.ended("step-000002", "failed")
        assert [task.completed for task in progress._all.tasks] == [3]
        progress.stage("Comparing", 2)
        assert not progress._all.live.is_started  # one group of bars at a time
        progress.advance(2)
    return during


def test_a_terminal_shows_a_bar_for_the_run_and_one_for_each_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    progress, text = shown(monkeypatch, terminal=True)
    assert go_through_a_run(progress) == ["Checkpoints 1/3", "step-000001 proving 4/10", "step-000002 writing 0/None"]
    assert "Checkpoints" in text.getvalue() and "Comparing" in text.getvalue()
    assert text.getvalue().count("Warning:") == 1
    assert "step-000001: passed" not in text.getvalue()


def test_a_pipe_gets_a_line_for_each_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    progress, text = shown(monkeypatch, terminal=False)
    monkeypatch.setattr(progress._timer, "join", lambda: None)  # it is not started
    go_through_a_run(progress)
    assert text.getvalue().splitlines() == [
        "Warning: step-000001: the vocabulary grows by 358 rows", "step-000001: passed (2/3)", "step-000002: failed (3/3)",
    ]  # fmt: skip
