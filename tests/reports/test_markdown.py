"""The Markdown, as GitHub's parser would take it, and its size."""

from __future__ import annotations

from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from helpers.report_cases import HOSTILE_TEXTS, Report, bare, hostile, render, synthetic

STEP_SUMMARY_LIMIT = 1024 * 1024
OUR_HTML = ("<details>", "</details>", "<summary>", "</summary>")


def tokens(text: str) -> Iterator[Token]:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for token in parser.parse(text):
        yield token
        yield from token.children or ()


def headings(text: str) -> list[str]:
    found = list(tokens(text))
    return [found[i + 1].content for i, token in enumerate(found) if token.type == "heading_open"]


def test_the_verdict_comes_first_then_the_table() -> None:
    lines = render(synthetic(), ".md").splitlines()
    assert lines[0] == "# ✅ Parity passed: `checkpoint_best.pt` → `roberta-prelayernorm`"
    assert lines[2] == (
        "The folder computes what the checkpoint computes: 4 checks, all passed. "
        "At least 840,000 times below every tolerance; nearest: layer 0, value, 5.5e-16 of 4.6e-10."
    )
    assert lines[4:9] == [
        "| check | largest difference | tolerance | outcome |",
        "|---|---|---|---|",
        "| `logits` | 3.6e-15 | 9.9e-09 | ✅ passed |",
        "| `modules` | 1.2e-15 | 4.3e-10 | ✅ passed |",
        "| `tensors` | 0 of 61 differ in a bit |  | ✅ passed |",
    ]
    assert headings("\n".join(lines)) == ["✅ Parity passed: `checkpoint_best.pt` → `roberta-prelayernorm`"]


def test_a_failure_names_module_rule_hint_and_all_that_disagrees() -> None:
    text = render(synthetic(fail_at="layer.1.attention.self.key"), ".md")
    assert text.startswith("# ❌ Parity FAILED: ")
    assert "2 of 4 checks failed: logits, modules." in text
    assert headings(text)[1:] == ["First divergence", "What disagrees"]
    for part in (
        "`roberta_prelayernorm.encoder.layer.1.attention.self.key` is the first to differ",
        "`encoder.sentence_encoder.layers.{n}.self_attn.k_proj.{p} -> ...key.{p}`",
        "**Hint:** Query and key have the same shape: were their rules swapped?",
        "- config: layer_norm_eps is 1e-12, must be 1e-05\n",
        "| `logits` | 3.7e-02 | 9.9e-09 | ❌ FAILED |",
        "<summary>23 modules, 14 diverging</summary>",
    ):
        assert part in text, part
    assert "Hint" not in render(bare(synthetic(fail_at="layer.1")), ".md")


def test_details_are_collapsed_and_hold_modules_and_tensors() -> None:
    text = render(synthetic(), ".md")
    assert text.count("<details>") == text.count("</details>") == 3
    hidden = text.split("<summary>23 modules, 0 diverging</summary>")[1]
    assert hidden.count("✅ passed") == 23
    assert "`encoder.lm_head.weight` |  | `drop` | equal | tied: the same bytes" in hidden


def test_hostile_text_makes_no_markup() -> None:
    """Every text of the report in every place: no link, no image, no heading, no HTML but ours, no other tables."""
    for report in (hostile(), *(filled(text) for text in HOSTILE_TEXTS)):
        found = list(tokens(render(report, ".md")))
        html = [t.content for t in found if t.type in ("html_inline", "html_block")]
        assert all(line.startswith(OUR_HTML) for block in html for line in block.strip().splitlines()), html
        kinds = {token.type for token in found}
        assert not kinds & {"link_open", "image", "em_open", "s_open", "fence", "code_block", "hr"}, kinds
        top = [token.tag for token in found if token.type == "heading_open"]
        assert top == ["h1", "h2", "h2"]
        assert not [token for token in found if token.type == "code_inline" and token.content == "code"]
        assert {len(row) for row in rows(found)} == {4, 5}
        assert {row[3] for row in rows(found) if len(row) == 4} == {"outcome", "✅ passed", "❌ FAILED"}
        assert all(token.content.isprintable() or token.content.count("\n") for token in found if token.content)


def rows(found: list[Token]) -> list[list[str]]:
    made: list[list[str]] = []
    for index, token in enumerate(found):
        if token.type == "tr_open":
            made.append([])
        elif token.type in ("td_open", "th_open"):
            made[-1].append(found[index + 1].content)
    return made


def filled(text: str) -> Report:
    """A failing report with this text wherever a text stands."""

    def fill(value: object) -> object:
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        return text if isinstance(value, str) else value

    spoiled = fill(synthetic(1, fail_at="layer.0"))
    assert isinstance(spoiled, dict)
    # An empty sentence or module's name is as good as none; what is tested here is what is shown.
    sentences = {"disagreements": [text or "x"], "divergence": {"module": text or "x", "rule": text, "hint": text}}
    return {**spoiled, "verdict": "failed", **sentences}


def test_it_stays_below_the_step_summarys_limit() -> None:
    real = render(synthetic(24), ".md")
    assert len(real.encode()) < 80_000
    assert "more tensor" not in real
    report = synthetic(24, fail_at="layer.0")
    row = {"source": "模" * 500, "target": "t|" * 300, "operation": "copy", "reason": "*" * 900, "equal": True}
    report["tensors"] = [row] * 5_000 + [{**row, "source": "the.different.one", "equal": False}]
    report["disagreements"] = ["模型 `disagrees`" * 100] * 5_000
    report["checks"] = [{**check, "name": check["name"] + "🙂" * 400} for check in report["checks"] * 500]
    report["modules"] = [{**module, "name": "模" * 5_000} for module in report["modules"] * 30]
    report["source"] = {f"{index}" + "|" * 400: "🙂" * 10_000 for index in range(500)}
    report["divergence"] = {"module": "🙂" * 10_000, "rule": "<" * 10_000, "hint": "*" * 10_000}
    text = render(report, ".md")
    assert 600_000 < len(text.encode()) < STEP_SUMMARY_LIMIT
    assert "`the.different.one`" in text
    assert "more tensors, in `parity_report.json`." in text
    assert text.count("<details>") == text.count("</details>") == 3
