"""The card that is sent names the repo; everything else of it, edited or not, is as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.hub.pushing import untouched
from helpers.paths import BPE, MLM
from prenorm import convert
from prenorm.folder.card.address import addressed_to
from prenorm.folder.card.reminder import missing, reminder
from prenorm.hub import Publishable
from prenorm.hub.publishable import check_folder
from prenorm.progress import Silent

pytestmark = pytest.mark.slow

REPO = "lab/new-model"
NOT_STATED = "the card does not state licence, language and training data: add it to the front matter of README.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return convert(MLM, tmp_path / "my_model", bpe_dir=BPE).output


def sent(folder: Path, repo: str = REPO) -> Publishable:
    before = untouched(folder)
    content = addressed_to(check_folder(folder, Silent()), repo)
    assert untouched(folder) == before
    return content


def contents(content: Publishable) -> dict[str, bytes]:
    return {file.name: file.path.read_bytes() if file.content is None else file.content for file in content.files}


def card(content: Publishable) -> str:
    return contents(content)["README.md"].decode()


def test_a_folder_pushed_later_is_the_one_converted_for_the_repo(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    there = convert(MLM, tmp_path / "other" / "my_model", bpe_dir=BPE, repo_id=REPO).output
    later = sent(folder)
    assert contents(later) == {path.name: path.read_bytes() for path in there.iterdir()}
    assert later.adapted == ("README.md", "parity_report.json")
    at_once = sent(there)
    assert contents(at_once) == contents(later) and at_once.adapted == ()
    assert sent(there, "lab/third").notes == later.notes  # and from one repo to another
    assert contents(sent(there, "lab/third")) == contents(sent(folder, "lab/third"))


def test_the_report_that_is_sent_has_the_digest_of_the_card_that_is_sent(folder: Path) -> None:
    content = sent(folder)
    listed = {file["name"]: file for file in json.loads(contents(content)["parity_report.json"])["target"]["files"]}
    for file in content.files[:-1]:
        assert (listed[file.name]["sha256"], listed[file.name]["bytes"]) == (file.sha256, file.size)
    here = json.loads((folder / "parity_report.json").read_text())
    changed = {
        line["name"] for line, other in zip(here["target"]["files"], listed.values(), strict=True) if line != other
    }
    assert changed == {"README.md"}


def test_edits_survive_and_only_our_own_lines_change(folder: Path) -> None:
    path = folder / "README.md"
    plain = path.read_text()
    own = '\nTrained on *my* texts.\n\n## Use\n\n```python\nmodel_id = "."\n```\n\nprenorm verify x .\n'
    path.write_text(plain.replace("> **Still", f"{own}\n> **Still").replace("## Limits", "## My limits"))
    content = sent(folder)
    assert content.notes[0] == "README.md was edited since the conversion, and is sent with its edits"
    text = card(content)
    assert own in text and "## My limits" in text and text.count(f'model_id = "{REPO}"') == 4
    assert "\n# new-model\n" in text and f"prenorm verify checkpoint.pt \\\n    {REPO}\n" in text
    path.write_text(path.read_text().replace("# my_model", "# A title of mine"))
    assert "\n# A title of mine\n" in card(sent(folder)) and f'model_id = "{REPO}"' in card(sent(folder))


def test_code_of_the_authors_own_is_sent_as_it_is_and_said(folder: Path) -> None:
    path = folder / "README.md"
    path.write_text(path.read_text().replace('model_id = "."  # or org/name on the Hub', "model_id = Path.cwd()"))
    content = sent(folder)
    assert card(content) == path.read_text()
    assert f"the code in README.md was edited, and does not name {REPO}: it is sent as it is" in content.notes
    assert content.adapted == ("parity_report.json",)  # which has the edited card's digest


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_the_reminder_goes_with_what_it_reminds_of(folder: Path, ending: str) -> None:
    assert sent(folder).notes == (f"{NOT_STATED}, and push again",)
    path = folder / "README.md"
    text = path.read_text().replace("---\n", "---\nlicense: mit\nlanguage: [en]\n", 1)
    path.write_bytes(text.replace("\n", ending).encode())
    content = sent(folder)
    assert "> **Still to be stated:** training data. Add `datasets` to the top" in card(content)
    assert card(content).count("\n") == card(content).count(ending) and f'model_id = "{REPO}"{ending}' in card(content)
    assert content.notes[1].startswith("the card does not state training data")
    text = text.replace("## Use", "## Training data\n\nMy texts.\n\n## Use")
    path.write_bytes(text.replace("\n", ending).encode())
    assert "Still to be stated" not in card(sent(folder)) and len(sent(folder).notes) == 1


def test_what_a_card_lacks() -> None:
    assert missing({}, "") == ("license", "language", "datasets")
    assert missing({"license": "mit", "language": ["en"], "datasets": ["a/b"]}, "") == ()
    assert missing({"license": "mit", "language": []}, "Text.\n\n### The training corpus\n") == ("language",)
    assert missing({}, "# Date and time") == missing({}, "")
    assert reminder(()) == ""
    assert reminder(("language",)) == "> **Still to be stated:** language. Add `language` to the top of this file.\n\n"


@pytest.mark.parametrize("raw", [b"\xff\xfe no text", b"", b"# Mine\n", b"---\nlicense: [\n---\n## Use\n\n> x\n"])
def test_any_other_card_is_sent_as_it_is(folder: Path, raw: bytes) -> None:
    (folder / "README.md").write_bytes(raw)
    content = sent(folder)
    assert contents(content)["README.md"] == raw
    assert content.adapted == ("parity_report.json",)
