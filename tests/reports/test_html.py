"""The page: well-formed, loading nothing, running nothing but its own script, with everything of the report escaped."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from helpers.report_cases import HOSTILE_TEXTS, Report, bare, hostile, render, synthetic
from prenorm.reports import read
from prenorm.reports.text import visible

VOID = {"meta", "input", "br", "wbr"}
OURS = set(
    re.findall(
        "[a-z0-9]+",
        "html head meta title style body header main section footer script div span p h1 h2 h3 ul li dl dt dd table thead "
        "tbody tr th td details summary figure figcaption form label input select option output wbr "
        "svg g path use image text defs clippath rect desc",
    )
)
CASES: dict[str, Report] = {
    "passing": synthetic(3),
    "failing": synthetic(3, fail_at="layer.1.attention.self.key"),
    "24 layers": synthetic(24, fail_at="layer.13.output.dense", positions=512),
    "no optional keys": bare(synthetic(3)),
    "hostile": hostile(),
}


@cache
def page(case: str) -> str:
    return render(CASES[case], ".html")


class Page(HTMLParser):
    """All elements and texts; fails where elements are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("script", "style"):
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize("case", CASES)
def test_the_page_loads_nothing_and_runs_nothing_foreign(case: str) -> None:
    found = Page(page(case))
    assert {tag for tag, _ in found.elements} <= OURS
    for tag, attributes in found.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "action", "formaction")]
        for name in ("href", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith("#") or (tag == "image" and value.startswith("data:image/png;"))
    assert not re.findall(r"url\((?!#)|@import", page(case))
    assert len(found.all("script")) == 1
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = [part for svg in found.all("svg") for part in str(svg["aria-labelledby"]).split()]
    assert labels
    assert set(labels) <= set(ids)


def test_the_policy_allows_our_script_alone() -> None:
    script = page("passing").rpartition("<script>")[2].partition("</script>")[0]
    assert script == files("prenorm.reports").joinpath("page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(str(meta["content"]) for meta in Page(page("passing")).all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1]


@pytest.mark.parametrize(
    ("case", "classes", "symbol", "word"),
    [("passing", "verdict passed", "✓", "PASSED"), ("failing", "verdict failed", "✗", "FAILED")],
)
def test_the_verdict_is_colour_symbol_and_word(case: str, classes: str, symbol: str, word: str) -> None:
    found = Page(page(case))
    assert [header["class"] for header in found.all("header")] == [classes]
    start = [text.strip() for text in found.texts if text.strip()]
    assert start[:4] == [f"{word}: parity of checkpoint_best.pt", symbol, word, "Parity of"]


def test_nan_and_no_checks_are_not_judged() -> None:
    report = {**synthetic(1), "passed": False, "verdict": "not judged"}
    report["checks"] = [{**check, "judged": False} for check in report["checks"]]
    for unclear in (report, {**bare(synthetic(1)), "checks": [], "modules": [], "tensors": []}):
        found = Page(render(unclear, ".html"))
        assert [header["class"] for header in found.all("header")] == ["verdict not-judged"]
        assert "NOT JUDGED" in "".join(found.texts)
    assert "No module was compared." in found.texts
    assert found.all("svg") == []


def test_what_was_compared_and_where_it_went_wrong_is_on_the_page() -> None:
    shown = "".join(Page(page("failing")).texts)
    for part in (
        CASES["failing"]["source"]["sha256"], "4,272,118,913", "RobertaPreLayerNormForMaskedLM", "2.13.0+cpu",
        "bundled, transformers 5.23.0", "rows 8, tokens 1,032, longest 128", "config: layer_norm_eps is 1e-12, must be 1e-05",
        "encoder.sentence_encoder.layers.{n}.self_attn.k_proj.{p} -> ...key.{p}", "were their rules swapped?",
        "3.7e-02", "9.9e-09", "23 modules, 14 diverging", "38 tensors, 0 different in a bit.",
        "first beyond tolerance: layer 1, key", "What storing as float16 costs",
    ):  # fmt: skip
        assert part in shown, part


def test_the_margin_comes_first_then_the_numbers_then_the_rest() -> None:
    for case, margin in (("passing", "At least 840,000 times below every tolerance; nearest: layer 0, value"),
                         ("failing", "Up to 56 million times beyond tolerance: layer 2, intermediate")):  # fmt: skip
        header = page(case).partition("<header")[2].partition("</header>")[0]
        assert margin in header
    titles = re.findall(r"<h2>(.*?)</h2>", page("passing"))
    assert titles[:4] == [
        "Parity", "At least 840,000 times below every tolerance",
        "At every position at least 1.3 million times below tolerance", "What was compared with what",
    ]  # fmt: skip


def test_lines_break_between_words_and_never_within_a_number() -> None:
    shown = page("failing")
    assert "Roberta<wbr>Pre<wbr>Layer<wbr>Norm<wbr>For<wbr>Masked<wbr>LM" in shown
    assert "roberta_<wbr>prelayernorm.<wbr>encoder.<wbr>layer.1.<wbr>attention.<wbr>self.<wbr>key" in shown
    assert not re.search(r"\d(?:e-|\.|-)<wbr>\d", shown)
    assert "&<wbr>" not in shown and "<<wbr>" not in render(hostile(), ".html")


def test_a_narrow_screen_cuts_nothing() -> None:
    """By the rules of the page; `test_pages.py` measures it where there is a browser."""
    found, style = Page(page("failing")), page("failing").partition("<style>")[2].partition("</style>")[0]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in found.all("meta")
    assert ".long, .name, td { overflow-wrap: anywhere; }" in style and "nowrap" not in re.sub(
        r"\.outcome \{.*", "", style
    )
    drawings = [div.get("class") for div in found.all("div") if div.get("class") in ("wide", "narrow")]
    assert drawings == ["wide", "narrow"] * 2 and len(found.all("svg")) == 4
    widths = [float(str(svg["viewbox"]).split()[2]) for svg in found.all("svg")]
    assert widths == [720.0, 360.0] * 2  # at 400 pixels, letters of a drawing 360 wide are as large as drawn


def test_every_text_of_the_report_is_shown_as_text() -> None:
    found = Page(page("hostile"))
    shown = "".join(found.texts)
    assert all(visible(text) in shown for text in HOSTILE_TEXTS)
    assert all(text.isprintable() for text in shown.split("\n"))
    assert len(found.all("h1")) == 1


def test_the_tensor_table_holds_every_tensor_the_different_first() -> None:
    report = {**bare(synthetic(24)), "modules": []}
    report["tensors"][100]["equal"] = False
    found = Page(render(report, ".html"))
    kinds = [row["data-kind"] for row in found.all("tr") if "data-kind" in row]
    assert len(kinds) == len(report["tensors"]) == 290
    assert kinds[:2] == ["different", "equal"]
    assert kinds[-2:] == ["dropped", "dropped"]
    # without script: no filter, all rows
    assert "hidden" in found.all("form")[0]
    assert not [row for row in found.all("tr") if "hidden" in row]


def test_the_same_report_gives_the_same_page() -> None:
    assert render(synthetic(3), ".html") == page("passing")


@pytest.mark.parametrize("case", CASES)
def test_as_a_part_of_another_page_it_touches_nothing_else(case: str) -> None:
    part = read(json.dumps(CASES[case]).encode())._repr_html_()
    found = Page(part)
    assert found.elements[0] == ("div", {"class": "prenorm-report"})
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"html", "head", "body", "meta", "script", "iframe", "link"}
    assert tags <= OURS
    (style,) = re.findall(r"<style>(.*?)</style>", part, re.DOTALL)
    assert style.startswith(".prenorm-report.prenorm-report {")
    depth = [style[:place].count("{") - style[:place].count("}") for place in range(len(style))]
    assert min(depth[style.index("{") + 1 :]) == 1  # every rule stands within the first one's braces
    assert set(Page(part).texts) <= set(Page(page(case)).texts) | {style}
