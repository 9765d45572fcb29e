"""The Python of README and docs is run as it stands, from top to bottom, and what they show and name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers.paths import BPE, MLM, ROOT
from helpers.runs import copy_run
from prenorm import convert

pytestmark = pytest.mark.slow

README = (ROOT / "README.md").read_text(encoding="utf-8")
# In the order in which a reader comes to them.
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.filterwarnings("ignore:.*newly initialized.*")
def test_every_python_block_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, source in (("checkpoint_best.pt", MLM), ("dict.txt", MLM.with_name("dict.txt"))):
        (tmp_path / name).write_bytes(source.read_bytes())
    (tmp_path / "gpt2_bpe").symlink_to(BPE)
    copy_run(tmp_path / "checkpoints")
    blocks = [
        block for page in PAGES for block in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    ]
    assert len(blocks) == 11
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    shown = capsys.readouterr().out
    assert "passed" in shown
    for name in ("my-classifier", "my-flax-classifier", "my-keras-classifier"):
        assert (tmp_path / name / "model.safetensors").exists()
    losses = [float(word) for word in re.findall(r"^\d+\.\d+(?:e-\d+)?$", shown, re.MULTILINE)]
    assert len(losses) == 3
    assert max(losses) < 0.3  # the classifiers have learned their sixteen examples


def test_the_session_shown_is_the_tools_own_output(tmp_path: Path) -> None:
    result = convert(MLM, tmp_path / "my-model", bpe_dir=BPE)
    for entry in result.output.iterdir():
        assert f"│ {entry.name}" in README
    for check in result.report.checks:
        assert f"│ {check.name}" in README
    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        digest = next(item["sha256"] for item in result.report.target["files"] if item["name"] == file)  # type: ignore[attr-defined]
        assert str(digest)[:16] in README, file


def test_the_readme_is_short_and_names_every_page() -> None:
    assert len(README.splitlines()) <= 160
    assert all(f"(docs/{page.name})" in README for page in PAGES[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
