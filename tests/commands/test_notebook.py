"""A notebook that converts, shows and saves, executed by a kernel as Jupyter does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from helpers.paths import BPE, MLM
from helpers.waiting import PATIENCE

pytestmark = pytest.mark.slow
CELLS = {
    "inspect": f"import prenorm\nprenorm.inspect({str(MLM)!r})",
    "convert": f"result = prenorm.convert({str(MLM)!r}, 'out', bpe_dir={str(BPE)!r})\nresult",
    "report": f"report = prenorm.verify({str(MLM)!r}, 'out', bpe_dir={str(BPE)!r})\nreport",
    "plot": "report.plot()",
    "save": "report.save('parity.html')",
    "error": f"prenorm.convert({str(MLM)!r}, 'out', bpe_dir={str(BPE)!r})",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What each cell shows, and in `folder` where the kernel ran."""
    folder = tmp_path_factory.mktemp("notebook")
    cells = [nbformat.v4.new_code_cell(text) for text in CELLS.values()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(
        notebook, timeout=PATIENCE, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": folder}}
    )
    client.execute()
    shown = {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}
    return {**shown, "folder": [folder]}


def result_of(cell: list[Any]) -> Any:
    (result,) = (output for output in cell if output.output_type == "execute_result")
    return result.data


def test_no_cell_fails_but_the_one_that_should(outputs: dict[str, list[Any]]) -> None:
    failed = {name: out.evalue for name in CELLS for out in outputs[name] if out.output_type == "error"}
    assert list(failed) == ["error"], failed


def test_an_inspection_is_a_table(outputs: dict[str, list[Any]]) -> None:
    page = result_of(outputs["inspect"])["text/html"]
    assert "a pre-LayerNorm RoBERTa of 87 thousand parameters" in page
    assert "layers.0-2 x3 (16 each)" in page
    assert "prenorm.convert(" in page
    assert "--" not in page


@pytest.mark.parametrize("cell", ["convert", "report"])
def test_a_report_is_its_own_page(outputs: dict[str, list[Any]], cell: str) -> None:
    data = result_of(outputs[cell])
    assert "PASSED" in data["text/html"]
    assert '<div class="prenorm-report">' in data["text/html"]
    assert len(data["text/plain"]) < 100


def test_a_bar_was_shown_and_is_gone(outputs: dict[str, list[Any]]) -> None:
    (bar,) = (output for output in outputs["convert"] if output.output_type == "display_data")
    assert bar.data["text/html"] == ""


def test_warnings_are_told_below_the_cell(outputs: dict[str, list[Any]]) -> None:
    told = "".join(output.text for output in outputs["convert"] if output.output_type == "stream")
    assert told.startswith("Warning: the vocabulary grows by 5 rows")
    assert told.count("\n") == 1


def test_the_plot_is_a_picture(outputs: dict[str, list[Any]]) -> None:
    assert "image/png" in result_of(outputs["plot"])


def test_a_saved_report_is_a_page(outputs: dict[str, list[Any]]) -> None:
    folder: Path = outputs["folder"][0]
    assert (folder / "parity.html").read_text().startswith("<!doctype html>")


def test_an_error_speaks_python(outputs: dict[str, list[Any]]) -> None:
    (error,) = (output for output in outputs["error"] if output.output_type == "error")
    assert error.ename == "UsageProblem"
    assert error.evalue == "out: exists already. Pass overwrite=True to replace it, or choose another output."
