"""The plots: what stands where, that labels do not overlap, and that the same report gives the same bytes."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from helpers.report_cases import hostile, synthetic
from prenorm.reports import read, render
from prenorm.reports.plots import plot_png, plot_svg, position_svg
from prenorm.reports.plots.error_plot import draw_points
from prenorm.reports.plots.heat_map import draw_grid
from prenorm.reports.plots.scale import Decades
from prenorm.reports.series import finding, grid, grid_finding, margin, place_of, plot_description, points
from prenorm.reports.text import times

SVG = "{http://www.w3.org/2000/svg}"
FAILED = "#cf222e"


def tips(svg: str) -> list[str]:
    """What the marks say when pointed at."""
    return [str(mark.findtext(f"{SVG}title")) for mark in ElementTree.fromstring(svg).iter(f"{SVG}use") if len(mark)]


def test_every_module_and_the_logits_have_a_mark_with_their_figures() -> None:
    report = synthetic(3, fail_at="layer.1.attention.self.key")
    found = tips(plot_svg(read(report)))
    assert len(found) == len(report["modules"]) + 1 == 24
    module = report["modules"][9]
    assert f"{module['name']}: {module['max_abs_diff']:.1e}, tolerance {module['tolerance']:.1e}" in found
    assert "logits: 3.7e-02, tolerance 9.9e-09" in found
    marks = [mark for mark in ElementTree.fromstring(plot_svg(read(report))).iter(f"{SVG}use") if len(mark)]
    red = [FAILED in str(mark.get("style")) for mark in marks]
    assert (red.count(True), red.count(False)) == (15, 9)


def test_the_plot_in_words() -> None:
    assert plot_description(read(synthetic(3))).startswith(
        "23 modules and the logits in computing order on a logarithmic scale."
    )
    failing = plot_description(read(synthetic(3, fail_at="layer.1.attention.self.key")))
    assert "Largest difference 1.2e-01, at layer 2, value." in failing
    assert ": 15 beyond, first layer 1, key. Float32 noise floor " in failing
    empty = {**synthetic(), "checks": [], "modules": []}
    assert plot_description(read(empty)) == "0 modules; none has a finite difference."
    assert "no module was compared" in plot_svg(read(empty))


def test_titles_say_what_the_plots_show() -> None:
    passing, failing = read(synthetic(3)), read(synthetic(3, fail_at="layer.1.attention.self.key"))
    nearest = max(point.value / point.tolerance for point in points(passing) if point.tolerance)
    assert 1 / nearest == pytest.approx(840_000, rel=0.02)
    assert finding(points(passing)) == "At least 840,000 times below every tolerance"
    decisive = margin(points(passing))
    assert decisive is not None
    assert decisive.sentence == (
        "At least 840,000 times below every tolerance; nearest: layer 0, value, 5.5e-16 of 4.6e-10."
    )
    assert finding(points(failing)) == "15 of 24 beyond tolerance, first layer 1, key"
    farthest = margin(points(failing))
    assert farthest is not None
    assert farthest.sentence.startswith("Up to 56 million times beyond tolerance: layer 2, intermediate, 5.7e-02 of ")
    for report, title in ((passing, "At every position at least 1.3 million times below tolerance"),
                          (failing, "Beyond tolerance from layer 2, position 0")):  # fmt: skip
        heat_map = grid(report)
        assert heat_map is not None and grid_finding(heat_map) == title
        assert f'positions-title">{title}</title>' in str(position_svg(report))
    assert 'errors-title">15 of 24 beyond tolerance' in plot_svg(failing)


def test_no_title_says_more_than_is_known() -> None:
    zero, unknown, odd = synthetic(1), synthetic(1), synthetic(1)
    for module in zero["modules"]:
        module["max_abs_diff"] = 0.0
    for module in unknown["modules"]:
        module["tolerance"] = "Infinity"
    odd["modules"][0]["max_abs_diff"] = math.nan
    logits = [check for check in zero["checks"] if check["name"] != "logits"]
    assert finding(points(read({**zero, "checks": logits}))) == "No difference at all"
    assert margin(points(read({**zero, "checks": logits}))) is None
    assert finding(points(read({**unknown, "checks": logits}))) == "Differences by module"
    assert finding(points(read(odd))).startswith("1 of 10 beyond tolerance, first embeddings")
    assert margin([]) is None and finding([]) == "Differences by module"


@pytest.mark.parametrize(
    ("factor", "text"),
    [(1.0, "1.0 times"), (1.29, "1.2 times"), (99.99, "99 times"), (846_800.0, "840,000 times"),
     (1e6, "1.0 million times"), (2_799_999.0, "2.7 million times"), (3e9, "3.0 billion times"),
     (1e20, "100,000,000 trillion times"), (56e6, "56 million times")],
)  # fmt: skip
def test_factors_are_rounded_down(factor: float, text: str) -> None:
    assert times(factor) == text


def test_tolerance_and_noise_floor_are_drawn_where_known() -> None:
    report = synthetic(3)
    texts = [text.text for text in ElementTree.fromstring(plot_svg(read(report))).iter(f"{SVG}text")]
    assert {"tolerance", "float32 noise floor", "within tolerance", "layer 2", "query", "final norm"} <= set(texts)
    texts = [
        text.text for text in ElementTree.fromstring(plot_svg(read({**report, "noise_floor": None}))).iter(f"{SVG}text")
    ]
    assert "float32 noise floor" not in texts
    figure = Figure()
    draw_points(figure, points(read(report)))
    tolerance = next(line for line in figure.axes[0].lines if line.get_label() == "tolerance")
    expected = [math.log10(module["tolerance"]) for module in report["modules"]] + [math.log10(9.9e-9)]
    assert np.allclose(np.asarray(tolerance.get_ydata(), dtype=float), expected)


def test_zero_and_nan_have_rows_of_their_own() -> None:
    values = [0.0, 1e-15, 1e-9, math.nan, math.inf]
    scale = Decades.over(values, rows=values)
    heights = [scale.height(value) for value in values]
    assert (scale.low, scale.high) == (-16, -8)
    assert heights[0] < scale.low < heights[1] == -15.0
    assert heights[2] == -9.0
    assert heights[3] == heights[4] > scale.high
    assert Decades.over([], rows=[]) == Decades(-17, 1, False, False)
    report = synthetic(3)
    report["modules"][0]["max_abs_diff"] = 0.0
    report["modules"][1]["max_abs_diff"] = math.nan
    texts = [text.text for text in ElementTree.fromstring(plot_svg(read(report))).iter(f"{SVG}text")]
    assert {"0", "NaN, inf", "exactly zero", "BEYOND tolerance", "first beyond tolerance: layer 0, query"} <= set(texts)
    assert "1 beyond, first layer 0, query" in plot_description(read(report))
    assert "1 exactly zero." in plot_description(read(report))


def test_numbers_at_the_ends_of_float64_are_drawn() -> None:
    values = [5e-324, 1e308]
    scale = Decades.over(values, rows=values)
    assert (scale.low, scale.high) == (-324, 309)
    assert len(tips(plot_svg(read(hostile())))) == 23


@pytest.mark.parametrize(
    ("module", "label"),
    [
        ("roberta_prelayernorm.embeddings", "embeddings"),
        ("roberta_prelayernorm.encoder.layer.11", "layer 11"),
        ("roberta_prelayernorm.encoder.layer.0.attention.self.key", "layer 0, key"),
        ("roberta_prelayernorm.encoder.layer.0.attention.output.dense", "layer 0, attention out"),
        ("roberta_prelayernorm.encoder.layer.0.output.dense", "layer 0, output"),
        ("roberta.encoder.LayerNorm", "final norm"),
        ("classification head", "classification head"),
        ("logits", "logits"),
        ("模" * 30, r"\u6a21\u6a21\u6a21.."),
    ],
)
def test_short_names(module: str, label: str) -> None:
    assert place_of(module).label == label


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("layers", [3, 12, 24, 48])
def test_labels_do_not_overlap(layers: int, narrow: bool) -> None:
    content = read(synthetic(layers, fail_at=f"layer.{layers - 1}.output.dense"))
    shown = grid(content)
    assert shown is not None
    errors, positions = (
        Figure(figsize=(5 if narrow else 10, height), layout="constrained")
        for height in (3.8 if narrow else 4.6, 1.4 + 0.2 * (layers + 3))
    )
    title = finding(points(content))
    assert title.endswith(f"beyond tolerance, first layer {layers - 1}, output")
    draw_points(errors, points(content), narrow=narrow, title=title)
    draw_grid(positions, shown)
    for figure in (errors, positions):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                boxes = [label.get_window_extent() for label in axis.get_ticklabels() if label.get_text()]
                assert not any(left.overlaps(right) for left, right in combinations(boxes, 2))
                if axis is axes.xaxis and axis.label.get_text():
                    assert not any(axis.label.get_window_extent().overlaps(box) for box in boxes)
            for text in axes.texts:
                box = text.get_window_extent()
                assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text.get_text()


def test_heat_map_is_in_tolerances_and_red_beyond_them() -> None:
    passing, failing = synthetic(3), synthetic(3, fail_at="layer.1.attention.self.key")
    shown = grid(read(failing))
    assert shown is not None
    assert shown.in_tolerances
    assert shown.labels == ["embeddings", "layer 0", "layer 1", "layer 2", "final norm", "logits"]
    row = failing["positions"]["max_abs_diff"][5]
    assert shown.values[5] == [value / 9.9e-9 for value in row]
    # the rows of the failing report's second half differ by millions of tolerances
    assert [max(values) > 1 for values in shown.values] == [False, False, False, True, True, True]
    for report, rows in ((passing, [False] * 6), (failing, [False] * 3 + [True] * 3)):
        assert [bool(line.all()) for line in reds(report)] == rows
        assert [bool(line.any()) for line in reds(report)] == rows


def test_heat_map_shows_zero_and_no_number_as_neither_small_nor_large() -> None:
    report = synthetic(1)
    report["positions"] = {"modules": ["logits"], "max_abs_diff": [[0.0, 1e-15, math.nan, math.inf]]}
    figure, shown = Figure(), grid(read(report))
    assert shown is not None
    draw_grid(figure, shown)
    colours = np.asarray(figure.axes[0].images[0].get_array())[0]
    assert [to_hex(colour) for colour in colours[[0, 2, 3]]] == ["#b4bcc4", "#000000", "#000000"]
    assert to_hex(colours[1]) not in ("#b4bcc4", "#000000")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["exactly zero", "NaN or infinity"]


def reds(report: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Where the map is red, [modules, positions]."""
    figure, shown = Figure(), grid(read(report))
    assert shown is not None
    draw_grid(figure, shown)
    colours = np.asarray(figure.axes[0].images[0].get_array())
    return (colours[..., 0] > 2 * colours[..., 1]) & (colours[..., 0] > 2 * colours[..., 2])


def test_heat_map_without_tolerances_or_numbers() -> None:
    report = synthetic(1)
    report["modules"][0]["tolerance"] = 0.0
    shown = grid(read(report))
    assert shown is not None
    assert not shown.in_tolerances
    for rows in ([[0.0, math.nan]], [[math.nan], [math.inf, 1.0, 2.0]], [[], [0.0]]):
        report["positions"] = {"modules": ["logits"] * len(rows), "max_abs_diff": rows}
        assert "<svg" in str(position_svg(read(report)))
    for absent in (None, {"modules": [], "max_abs_diff": []}, {"modules": ["logits"], "max_abs_diff": [[]]}):
        assert position_svg(read({**report, "positions": absent})) is None


def test_png_is_white_wide_and_without_metadata() -> None:
    shown = {}
    for name, fail_at in (("passing", None), ("failing", "layer.1")):
        raw = plot_png(read(synthetic(3, fail_at=fail_at)))
        with Image.open(io.BytesIO(raw)) as image:
            assert (image.format, image.size) == ("PNG", (1200, 912))
            assert set(image.info) <= {"dpi"}
            shown[name] = np.asarray(image.convert("RGB"))
        assert tuple(shown[name][0, 0]) == (255, 255, 255)
    red = tuple(int(FAILED[at : at + 2], 16) for at in (1, 3, 5))
    amount = {name: int((pixels == red).all(axis=-1).sum()) for name, pixels in shown.items()}
    assert amount["passing"] == 0
    assert amount["failing"] > 500


def test_colours_follow_the_page() -> None:
    svg = plot_svg(read(synthetic(3, fail_at="layer.1")))
    assert f"var(--plot-failed, {FAILED})" in svg
    assert "var(--plot-ink, #1f2328)" in svg
    assert not [part for part in svg.split("#000000")[:-1] if part.endswith(("fill: ", "stroke: "))]


def test_bytes_depend_on_nothing_but_the_report(tmp_path: Path) -> None:
    """Another process, another hash seed, and a user's own style."""
    report = synthetic(3, fail_at="layer.1")
    program = (
        "import sys, hashlib; from prenorm.reports import read, render; from prenorm.reports.plots import plot_png;"
        "r = read(sys.stdin.read()); print(hashlib.sha256(plot_png(r) + render(r, '.html').encode()).hexdigest())"
    )
    (tmp_path / "matplotlibrc").write_text("axes.facecolor: red\nfont.size: 30\nsvg.fonttype: path\n")
    other = {**os.environ, "PYTHONHASHSEED": "7", "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "TZ": "Asia/Tokyo"}
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(report), capture_output=True, text=True, env=other, check=True
    )
    assert (
        done.stdout.strip()
        == hashlib.sha256(plot_png(read(report)) + render(read(report), ".html").encode()).hexdigest()
    )
