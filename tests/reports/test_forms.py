"""The table of forms, reading a report strictly, and the verdict that is shown."""

from __future__ import annotations

import copy
import html
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.report_cases import Report, bare, hostile, render, synthetic
from prenorm.errors import UsageProblem
from prenorm.reports import SUFFIXES, check_suffix, read, write_report
from prenorm.reports.canonical import dump
from prenorm.reports.text import Outcome, visible


def test_one_table_lists_the_suffixes_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    assert SUFFIXES == (".json", ".md", ".html", ".xml")
    assert check_suffix(Path("a/Report.HTML")) == ".html"
    for wrong in ("report", "report.pdf", "report.json.gz", ".html"):
        with pytest.raises(UsageProblem, match=r"one of \.json, \.md, \.html, \.xml"):
            write_report(tmp_path / wrong, read(synthetic()))
    with pytest.raises(UsageProblem):
        render(synthetic(), ".txt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_written_reports_are_the_rendered_text_in_utf8(suffix: str, tmp_path: Path) -> None:
    for report in (bare(synthetic(1)), hostile()):
        write_report(tmp_path / f"r{suffix}", read(report))
        assert (tmp_path / f"r{suffix}").read_bytes().decode("utf-8") == render(report, suffix)


def test_json_is_the_bytes_of_the_folders_report_and_strict(tmp_path: Path) -> None:
    for report in (synthetic(), synthetic(fail_at="layer.1")):
        assert read(report).to_dict() == report
        assert json.loads(render(report, ".json")) == report
        assert dump(report) == json.dumps(report, indent=2, ensure_ascii=False) + "\n"

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    odd = {"a": [math.nan, -math.inf, "\ud800é"], "b": math.inf}
    text = dump(odd)
    assert json.loads(text, parse_constant=refuse) == {"a": ["NaN", "-Infinity", "\ud800é"], "b": "Infinity"}
    assert "\\ud800é" in text
    for suffix in (".md", ".xml"):
        assert render(json.loads(dump(hostile())), suffix) == render(hostile(), suffix)


def test_nothing_heavy_is_imported_before_a_page_is_drawn() -> None:
    program = (
        "import sys, json, prenorm.cli.app, prenorm.reports as r; report = r.read(sys.stdin.buffer.read());"
        "[r.render(report, s) for s in ('.json', '.md', '.xml')];"
        "print([name for name in ('matplotlib', 'torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(synthetic()), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"schema_version": None}, "schema_version"),
        ({"checks": None}, "checks"),
        ({"checks": ["logits"]}, "checks"),
        ({"checks": [{"name": "logits", "passed": "yes", "judged": True}]}, "passed"),
        ({"modules": [{"name": "a", "max_abs_diff": "small", "passed": True}]}, "max_abs_diff"),
        ({"tensors": [{"source": 1, "target": None, "operation": "", "reason": "", "equal": None}]}, "source"),
        ({"positions": {"modules": ["a", "b"], "max_abs_diff": [[1.0]]}}, "positions"),
        ({"positions": {"modules": ["a"], "max_abs_diff": [["x"]]}}, "max_abs_diff"),
        ({"source": []}, "source"),
        ({"disagreements": [1]}, "disagreements"),
        ({"noise_floor": {"modules": {"a": None}}}, "a"),
    ],
)
def test_what_is_no_report_is_refused_by_name(change: Report, key: str) -> None:
    for suffix in (".md", ".html", ".xml"):
        with pytest.raises(UsageProblem, match=f"'{key}'"):
            render({**synthetic(), **change}, suffix)
    with pytest.raises(UsageProblem, match="schema_version"):
        render({}, ".md")


def outcome(**changes: object) -> Outcome:
    return read({**synthetic(), **changes}).outcome


def test_verdict_is_never_better_than_the_lines_below_it() -> None:
    assert outcome() is Outcome.PASSED
    assert outcome(passed=False, verdict="failed") is Outcome.FAILED
    assert outcome(passed=False, verdict="not judged") is Outcome.NOT_JUDGED
    assert outcome(checks=[]) is Outcome.NOT_JUDGED
    assert outcome(passed=False) is Outcome.FAILED
    assert outcome(verdict="failed") is Outcome.FAILED
    assert outcome(problems=["source tensor 'x' is neither moved nor dropped"]) is Outcome.FAILED
    assert outcome(disagreements=["config: a is 1, must be 2"]) is Outcome.FAILED
    for key, flag in (("checks", "passed"), ("modules", "passed"), ("tensors", "equal")):
        lines = copy.deepcopy(synthetic()[key])
        lines[2][flag] = False
        assert outcome(**{key: lines}) is Outcome.FAILED, key
    checks = copy.deepcopy(synthetic()["checks"])
    checks[0]["judged"] = False
    assert outcome(checks=checks) is Outcome.NOT_JUDGED
    contradicting = read({**synthetic(), "problems": ["p"]})
    assert contradicting.objections == ["the report's verdict is 'passed', and it lists 1 problem", "p"]


def test_optional_keys_may_be_absent() -> None:
    content = read(bare(synthetic(fail_at="layer.1")))
    assert (content.objections, content.positions, content.noise_floor) == ([], None, None)
    assert content.diagnosis is not None
    assert content.diagnosis.module == "roberta_prelayernorm.encoder.layer.1"


def test_invisible_characters_are_spelled_out() -> None:
    assert visible("a\x00\n\u202eb\ud800\ufeff") == r"a\x00\x0a\u202eb\ud800\ufeff"
    assert visible("\U000e0041é模🙂 ~") == r"\U000e0041é模🙂 ~"
    assert len(visible("k" * 10_000, 100)) == 100
    assert visible("abcdefgh", 5) == "ab…gh"


DIFFERENT = {
    "target": "roberta_prelayernorm.encoder.layer.1.attention.self.key.weight", "source": "layers.1.self_attn.k_proj.weight",
    "operation": "copy", "values": 2304, "differing": 2304, "first": [0, 0],
    "nearest": "holds layer 0's key weight ('layers.0.self_attn.k_proj.weight')",
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".md", ".html", ".xml"])
@pytest.mark.parametrize("with_tensors", [True, False])
def test_the_cause_stands_before_what_follows_from_it(suffix: str, with_tensors: bool) -> None:
    report = synthetic(fail_at="layer.1.attention.self.key")
    if with_tensors:
        report |= {"different_tensors": [DIFFERENT]}
    text = html.unescape(render(report, suffix)).replace("\\", "")
    cause = "holds layer 0's key weight" if with_tensors else "were their rules swapped?"
    body = text[text.index("<failure") if suffix == ".xml" else 0 :]
    assert body.index(cause) < body.index("differs by 3.1e-02")
    assert body.index(cause) < body.lower().index("first divergence")
    if suffix != ".xml":
        assert text.lower().index("failed") < text.index(cause)


def test_causes_come_once_and_tensors_say_what_was_planned() -> None:
    report = synthetic(fail_at="layer.1.attention.self.key") | {"different_tensors": [DIFFERENT]}
    tensor = f"'{DIFFERENT['target']}' {DIFFERENT['nearest']}"
    sentence = f"{tensor} (planned: 'layers.1.self_attn.k_proj.weight', copy)"
    assert read(report).causes == ["Query and key have the same shape: were their rules swapped?", sentence]
    report["divergence"]["hint"] = tensor
    assert read(report).causes == [sentence]
    assert read({**report, "different_tensors": None, "divergence": None}).causes == []
    assert read(report).to_dict()["different_tensors"] == [DIFFERENT]
    assert "different_tensors" not in read(synthetic()).to_dict()
