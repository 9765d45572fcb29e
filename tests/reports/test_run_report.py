"""The report of a run in every form: what is in it, in words and pictures, and that nothing of a file's breaks out of it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from prenorm.reports import run_html, run_markdown
from prenorm.reports.plots.run_plots import RUN_PLOTS, has_plot, run_png, run_svg
from prenorm.reports.run_model import Movement, RunMember, RunReport
from prenorm.reports.run_series import least_margin, parity_points, training_finding, training_lines

EVIL = "<script>alert(1)</script>|`x`\u202e"


def member(number: int, **changes: object) -> RunMember:
    values: dict[str, object] = {
        "name": f"step-{number:06d}", "checkpoint": f"checkpoint_1_{number}.pt", "state": "done", "updates": number,
        "training_loss": 6.0 - number / 100, "validation": 5.5 - number / 100, "learning_rate": 1e-3 / (number + 1),
        "verdict": "passed", "margin": 1000.0 * number, "bytes": 5000, "seconds": 0.25,
    }  # fmt: skip
    return RunMember(**{**values, **changes})  # type: ignore[arg-type]


def movement(before: int, after: int, value: float) -> Movement:
    layers = {"embeddings": value, "layer 0": value / 2, "head": 0.0}
    return Movement(before=f"step-{before:06d}", after=f"step-{after:06d}", reports=("a", "b"), layers=layers)


def report(*members: RunMember, movements: tuple[Movement, ...] = ()) -> RunReport:
    return RunReport(prenorm="1.2", run="checkpoints", members=members, movements=movements)


GOOD = report(member(10), member(20), member(30), movements=(movement(10, 20, 0.5), movement(20, 30, 0.25)))
FAILED = member(
    40, state="failed", verdict=None, margin=None, bytes=0, seconds=None, validation=None, training_loss=None,
    cause="checkpoint_1_40.pt: it is truncated", advice="Copy it again",
)  # fmt: skip
MIXED = report(*GOOD.members, FAILED, member(50, state="left", verdict=None, margin=None), movements=GOOD.movements)


BARE = report(member(0, updates=None, training_loss=None, validation=None, learning_rate=None))


def test_a_run_passes_if_every_member_is_done() -> None:
    assert GOOD.passed and GOOD.words == "3 checkpoints: 3 done"
    assert not MIXED.passed and MIXED.words == "5 checkpoints: 3 done, 1 failed, 1 left"
    assert MIXED.failures == [FAILED] and MIXED.member("step-000040") is FAILED
    with pytest.raises(KeyError):
        MIXED.member("step-000041")
    assert repr(MIXED) == "<RunReport of checkpoints: 5 checkpoints: 3 done, 1 failed, 1 left>"


def test_an_explanation_is_whole_sentences() -> None:
    assert FAILED.explanation == "checkpoint_1_40.pt: it is truncated. Copy it again."
    assert member(1, cause="a!", advice="pass --allow-nonfinite to convert:").explanation == (
        "a! pass --allow-nonfinite to convert."
    )
    assert GOOD.members[0].explanation == ""


def test_the_plots_show_what_the_checkpoints_record() -> None:
    training, validation = training_lines(MIXED)
    assert training.updates == (10, 20, 30, 50) and training.values == (5.9, 5.8, 5.7, 5.5)
    assert validation.label == "validation loss" and validation.values == (5.4, 5.3, 5.2, 5.0)
    assert training_finding(GOOD) == "The validation loss went from 5.4 to 5.2"
    assert [(point.updates, point.is_done) for point in parity_points(MIXED)] == [
        (10, True), (20, True), (30, True), (40, False), (50, False),
    ]  # fmt: skip
    assert (
        least_margin(GOOD.members) == "Every difference of 3 checkpoints is at least 10,000 times below its tolerance"
    )
    accuracy = report(member(1, metric="accuracy", validation=0.5, training_loss=None))
    assert [line.label for line in training_lines(accuracy)] == ["validation, accuracy"]


@pytest.mark.parametrize("name", RUN_PLOTS)
def test_each_plot_is_drawn_for_pages_and_as_a_picture(name: str) -> None:
    for case in (MIXED, report(member(10, margin=None), movements=(movement(10, 20, 0.0),))):
        assert has_plot(case, name)
        assert run_png(case, name).startswith(b"\x89PNG")
    drawn = run_svg(MIXED, name)
    root = ElementTree.fromstring(drawn)
    assert root.tag.endswith("svg") and root[0].text == RUN_PLOTS[name][0](MIXED)
    assert drawn == run_svg(MIXED, name)  # the same bytes each time
    if name == "parity":
        tips = re.findall(r"<title>(step-[^<]*)</title>", drawn)
        assert tips == [
            "step-000010: passed, 10,000 times below tolerance", "step-000020: passed, 20,000 times below tolerance",
            "step-000030: passed, 30,000 times below tolerance", "step-000040: not done", "step-000050: not done",
        ]  # fmt: skip


def test_what_no_checkpoint_records_is_not_drawn() -> None:
    assert [name for name in RUN_PLOTS if has_plot(BARE, name)] == []
    page = run_html.render(BARE)
    assert "<svg" not in page and "✓</span> DONE" in page and "NOT DONE" not in page
    assert "](plots/" not in run_markdown.render(BARE)


def test_the_page_tells_each_member_and_each_failure() -> None:
    page = run_html.render(MIXED)
    assert page.count("<svg") == 6 and "NOT DONE" in page
    assert page.count('<tr data-kind="done">') == 3 and page.count('<tr data-kind="failed">') == 1
    assert "checkpoint_1_40.pt: it is truncated. Copy it again." in re.sub("<wbr>", "", page)
    assert 'href="step-000010/README.md"' in page and 'href="step-000040' not in page
    assert not re.search(r"<(link|img|iframe|script) [^>]*(src|href)=", page)
    assert "<script" not in BARE._repr_html_() and "href=" not in BARE._repr_html_()


def test_the_markdown_is_a_table_below_the_verdict() -> None:
    text = run_markdown.render(MIXED)
    tokens = MarkdownIt().enable("table").parse(text)
    assert tokens[1].content == "❌ The run is NOT done: `checkpoints`"
    assert sum(token.type == "tr_open" for token in tokens) == 6
    assert "- `step-000040`: checkpoint_1_40.pt: it is truncated. Copy it again." in text.replace("\\", "")
    assert [name for name in RUN_PLOTS if f"](plots/{name}.png)" in text] == list(RUN_PLOTS)
    many = report(*(member(number, cause="x" * 200) for number in range(1, 12_000)))
    assert len(run_markdown.render(many).encode()) < 1 << 20


def test_nothing_of_a_file_breaks_out() -> None:
    evil = report(
        member(10, checkpoint=EVIL, aliases=(EVIL,), warnings=(EVIL,), learning_rate=None),
        member(20, name=EVIL, learning_rate=None, state="failed", cause=EVIL, advice=EVIL),
    )
    page, text = run_html.render(evil), run_markdown.render(evil)
    assert "<script>alert" not in page and "\u202e" not in page
    assert "<script" not in "".join(token.content for token in MarkdownIt().parse(text) if token.type == "html_block")
    assert sum(token.type == "tr_open" for token in MarkdownIt().enable("table").parse(text)) == 3
    assert "\u202e" not in text


def test_warnings_are_told_once_with_how_many_they_are_of() -> None:
    warned = report(member(10, warnings=("a",)), member(20, warnings=("a", "b")))
    assert "- a (2 checkpoints, first `step-000010`)" in run_markdown.render(warned)
    assert "- b (1 checkpoint, first `step-000020`)" in run_markdown.render(warned)
