"""The front matter: what the Hub reads in it, the user's own merged into it, and YAML that could do anything else refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.cards import card_of, commands, headings, markdown, metadata
from helpers.commands import run_command
from helpers.paths import BPE, FIXTURES, MLM, OLD_TRANSFORMERS_PYTHON, SCRIPTS
from helpers.processor import at_most
from helpers.workers import run_worker
from prenorm import convert
from prenorm.errors import UsageProblem
from prenorm.folder.card.options import UserText, read_user_text
from prenorm.folder.card.yaml_text import BadFrontMatter, dump, load
from prenorm.options import CardOptions


def own(tmp_path: Path, text: str | bytes, **options: object) -> UserText:
    path = tmp_path / "mine.md"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_user_text(CardOptions(card=path, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("dinkytrain-mlm", {"task": "masked-lm"}, {"pipeline_tag": "fill-mask"}),
        ("dinkytrain-mlm", {"task": "encoder"}, {"pipeline_tag": "feature-extraction"}),
        ("dinkytrain-classification", {}, {"pipeline_tag": "text-classification"}),
        ("variants/dinkytrain-ranking", {}, {"pipeline_tag": "multiple-choice"}),
        ("dinkytrain-no-embedding-norm", {}, {"tags": ["xlm-roberta-xl", "fairseq", "prenorm"], "pipeline_tag": "fill-mask"}),
    ],
)  # fmt: skip
def test_what_the_hub_reads(name: str, options: dict[str, str], expected: dict[str, object], tmp_path: Path) -> None:
    convert(FIXTURES / name / "checkpoint.pt", tmp_path / "out", **options)  # type: ignore[arg-type]
    found = metadata(card_of(tmp_path / "out"))
    default = {"library_name": "transformers", "tags": ["roberta-prelayernorm", "fairseq", "prenorm"]}
    assert found == {**default, **expected}  # neither a licence nor a metric that nobody stated


@pytest.mark.slow
@pytest.mark.parametrize("python", [None, OLD_TRANSFORMERS_PYTHON], ids=["huggingface_hub 2", "huggingface_hub 0.36"])
def test_huggingface_hub_reads_it_and_writes_it_again(python: Path | None, tmp_path: Path) -> None:
    own_card = tmp_path / "mine.md"
    own_card.write_text("---\nlicense_name: 'yes: \"no\" # é 🙂'\ndatasets: [a/b]\nlanguage: no\n---\nText.\n")
    convert(MLM, tmp_path / "out", bpe_dir=BPE, license="other", base_model="org/base", card=own_card)
    script = SCRIPTS / "read_card.py"
    path = tmp_path / "out" / "README.md"
    if python is None:
        data, again = ModelCard(card_of(path.parent)).data.to_dict(), str(ModelCard(card_of(path.parent)))
    else:
        data, again = run_worker(python, script, path)
    assert data == {
        "license": "other", "license_name": 'yes: "no" # é 🙂', "language": "no", "base_model": "org/base",
        "library_name": "transformers", "pipeline_tag": "fill-mask",
        "tags": ["roberta-prelayernorm", "fairseq", "prenorm"], "datasets": ["a/b"],
    }  # fmt: skip
    assert ModelCard(again).data.to_dict() == data
    assert ModelCard(again).text.strip() == markdown(card_of(path.parent)).strip()


def test_theirs_goes_before_ours_and_tags_are_all_kept(tmp_path: Path) -> None:
    keys = "tags: [mine, fairseq]\npipeline_tag: token-classification\nthumbnail: x.png\nlicense:\n"
    (tmp_path / "mine.md").write_text(f"---\n{keys}---\n\n# My model\n\nMine.\n")
    convert(MLM, tmp_path / "out", card=tmp_path / "mine.md", language=["en", "de"], license="mit")
    card = card_of(tmp_path / "out")
    assert metadata(card) == {
        "license": "mit", "language": ["en", "de"], "library_name": "transformers",
        "pipeline_tag": "token-classification", "tags": ["mine", "fairseq", "roberta-prelayernorm", "prenorm"],
        "thumbnail": "x.png",
    }  # fmt: skip
    first = ["My model", "Use", "Source", "Training", "Parity", "Verify", "Reproduce", "What is not in it", "Limits"]
    assert headings(card) == first
    assert markdown(card).strip().startswith("# My model\n\nMine.\n\n> **Still to be stated:** training data.")
    assert commands(card)["convert"][4:] == [
        "--card",
        "mine.md",
        "--license",
        "mit",
        "--language",
        "en",
        "--language",
        "de",
    ]


@pytest.mark.parametrize(
    "body", ["Mine.", "## About\n\nMine.", "<!-- a comment -->\n\n# A late title", "~~~\ncode\n~~~", "- a\n\n  - b"]
)
def test_a_text_without_a_title_comes_below_ours(body: str, tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text(body)
    convert(MLM, tmp_path / "out", card=tmp_path / "mine.md")
    text = markdown(card_of(tmp_path / "out")).strip()
    assert text.startswith(f"# out\n\n{body}\n\n> **Still to be stated:** licence, language and training data.")


def test_windows_files_and_empty_ones(tmp_path: Path) -> None:
    found = own(tmp_path, b"\xef\xbb\xbf---\r\nlicense: mit\r\n---  \r\n\r\n# Title\r\n\r\nText\r\n")
    assert (found.front_matter, found.body, found.has_title) == ({"license": "mit"}, "# Title\n\nText", True)
    for text in ("", "\n\n", "---\n---\n", "---\n# a comment\n---\n"):
        assert own(tmp_path, text) == UserText()
    assert own(tmp_path, "Title\n=====\n").has_title


BAD_FILES: dict[str, tuple[str | bytes, str]] = {
    "not YAML": ("---\na: [1\n---\n", r"it is no YAML: .* \(line 2\)"),
    "tabs": ("---\na:\n\t- b\n---\n", "it is no YAML"),
    "no mapping": ("---\n- a\n---\n", "it is no mapping of keys to values"),
    "text": ("---\njust text\n---\n", "it is no mapping of keys to values"),
    "a key twice": ("---\nlicense: mit\ntags: [a]\nlicense: mit\n---\n", r"the key 'license' comes twice \(line 4\)"),
    "a key twice within": ("---\na: {b: 1, b: 2}\n---\n", "the key 'b' comes twice"),
    "a list as a key": ("---\n? [a]\n: b\n---\n", "a key is no text"),
    "alias": ("---\na: &x [1]\nb: *x\n---\n", r"it uses an anchor, which front matter has no use for \(line 2\)"),
    "alias alone": ("---\nb: *x\n---\n", "it uses an alias"),
    "merge key": ("---\n<<: {a: 1}\nb: !!python/object/apply:os.system [id]\n---\n", "it uses a tag"),
    "a tag": ("---\na: !!binary aGk=\n---\n", "it uses a tag"),
    "two documents": ("---\na: 1\n...\n--- b\n---\n", "it has more than one document"),
    "deep": (f"---\na: {'[' * 50}{']' * 50}\n---\n", "nested more than 20 levels"),
    "very deep": (f"---\na: {'[' * 30_000}\n---\n", "nested more than 20 levels"),
    "many values": (f"---\na: [{'1,' * 30_000}]\n---\n", "more than 10,000 values"),
    "large": (f"---\na: {'x' * 70_000}\n---\n", "its front matter has more than 65,536 bytes"),
    "control characters": ("---\na: \x07\n---\n", "it is no YAML"),
    "no end": ("---\nlicense: mit\n\n# Title\n", "its front matter has no end"),
    "not UTF-8": (b"\xff\xfe", "is not UTF-8"),
    "huge": (b"x" * ((1 << 20) + 1), "has more than 1,048,576 bytes"),
    "licence": ("---\nlicense: Apache 2.0\n---\n", "license in its front matter is 'Apache 2.0', no licence identifier"),
    "a number": ("---\nlicense: 3\n---\n", "license in its front matter is neither text nor a list of texts"),
    "language": ("---\nlanguage: [en, English]\n---\n", "no language code of ISO 639"),
    "base model": ("---\nbase_model: https://example.org/x/y\n---\n", "no repo id of the Hub"),
    "tags": ("---\ntags: [a, 1]\n---\n", "tags in its front matter is neither text nor a list of texts"),
    "library": ("---\nlibrary_name: [a]\n---\n", "library_name in its front matter is no text"),
    "results": ("---\nmodel-index: 3\n---\n", "its model-index is not in the form that the Hub reads"),
    "open fence": ("Text\n\n```python\nx = 1\n", "something in it is not closed at its end"),
    "open fence in a list": ("- a\n\n  ~~~\n  x\n\n~~~\n", "something in it is not closed at its end"),
    "open comment": ("<!-- Text\n", "something in it is not closed at its end"),
    "open script": ("<script>\nx\n", "something in it is not closed at its end"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_does_not_fit_is_one_error_at_once(case: str, tmp_path: Path) -> None:
    text, why = BAD_FILES[case]
    with at_most(2.0), pytest.raises(UsageProblem, match=why) as caught:
        own(tmp_path, text)
    assert caught.value.subject == str(tmp_path / "mine.md")
    assert len(str(caught.value)) < 500


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--license", "Apache 2.0"], "--license is 'Apache 2.0', no licence identifier"),
        (["--language", "english"], "--language is 'english', no language code of ISO 639"),
        (["--language", "en", "--language", "EN"], "--language is 'EN', no language code of ISO 639"),
        (["--base-model", "a/b/c"], "--base-model is 'a/b/c', no repo id of the Hub"),
        (["--base-model", "a b"], "--base-model is 'a b', no repo id of the Hub"),
        (["--card", "nowhere.md"], "nowhere.md: is no file"),
        (["--card", "."], "is no file"),
        (["--card", "/dev/zero"], "is no file"),
        (["--card", "mit.md", "--license", "apache-2.0"], "says license: 'mit', and --license says 'apache-2.0'"),
    ],
)
def test_options_that_do_not_fit(options: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "mit.md").write_text("---\nlicense: mit\n---\n")
    done = run_command("convert", MLM, tmp_path / "out", *options, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mit.md"]  # nothing was written


def test_what_is_said_twice_alike_is_no_contradiction(tmp_path: Path) -> None:
    found = own(tmp_path, "---\nlicense: mit\nlanguage: [de, en]\n---\n", license="mit", language=("en", "de"))
    assert found.front_matter == {"license": "mit", "language": ["en", "de"]}


def test_the_card_is_an_input_that_output_may_not_swallow(tmp_path: Path) -> None:
    convert(MLM, tmp_path / "out")
    (tmp_path / "out" / "mine.md").write_text("Mine.")
    with pytest.raises(UsageProblem, match=r"the input mine\.md lies in it and would be lost"):
        convert(MLM, tmp_path / "out", card=tmp_path / "out" / "mine.md", overwrite=True)
    assert (tmp_path / "out" / "mine.md").read_text() == "Mine."


@pytest.mark.parametrize(
    ("identifier", "said"),
    [
        ("apache", "did you mean apache-2.0"),
        ("cc-by-5.0", "did you mean cc-by-4.0"),
        ("zzz", "for one of your own it has 'other'"),
        ("other", "as license_name"),
        ("mit", None),
        ("llama3.1", None),
    ],
)
def test_a_licence_that_the_hub_may_not_know_is_told(identifier: str, said: str | None) -> None:
    found = list(read_user_text(CardOptions(license=identifier)).warnings())
    assert (len(found) == 1 and said in found[0]) if said else found == []


def test_a_doubtful_licence_is_a_warning(tmp_path: Path) -> None:
    result = convert(MLM, tmp_path / "out", license="apache")
    assert any("did you mean apache-2.0" in text for text in result.warnings)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("true", True), ("False", False), ("~", None), ("", None), ("12", 12), ("-1.5", -1.5),
        ("1e3", "1e3"), ("12:30", "12:30"), ("2024-01-01", "2024-01-01"), ("0x10", "0x10"), ("1_000", "1_000"),
        ("'12'", "12"), ('"a\\nb"', "a\nb"), ("9" * 5000, "9" * 5000), ("[a, {b: c}]", ["a", {"b": "c"}]),
        ("|-\n  x\n  y", "x\ny"),
    ],
)  # fmt: skip
def test_what_unquoted_words_mean(text: str, value: object) -> None:
    assert load(f"key: {text}\n") == {"key": value}


_PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(-1e6, 1e6).filter(lambda x: "e" not in repr(x))
)
_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"], include_characters="\n\t"), max_size=200)
_VALUES = st.recursive(
    _PLAIN | _TEXT, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4), max_leaves=10
)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(st.dictionaries(_TEXT.filter(lambda key: key != "tags"), _VALUES, min_size=1, max_size=5))  # its tags are a list
def test_every_value_is_read_as_it_was_meant(data: dict[str, object]) -> None:
    """By our reader, by PyYAML, and out of a card by huggingface_hub."""
    written = dump(data)
    assert load(written) == data
    assert yaml.safe_load(written) == data
    found = ModelCard(f"---\n{written}---\n\ntext\n", ignore_metadata_errors=True).data
    shown = {key: value for key, value in data.items() if key != "model-index" and value is not None}
    assert {key: value for key, value in vars(found).items() if key in shown} == shown


@settings(max_examples=500, deadline=None)
@given(st.text(st.sampled_from("ab:-[]{}&*!|>'\"#%@`,?\n \t~<=.0"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = load(text)
    except BadFrontMatter as error:
        assert str(error)
    else:
        assert load(dump(found)) == found


def test_what_the_dumper_must_quote() -> None:
    data = {
        "a": [
            "no",
            "yes",
            "null",
            "1e3",
            "0o7",
            "1.0",
            "- x",
            "a: b",
            "#",
            "x\n---\ny",
            "",
            " a",
            "@x",
            "\u2028",
            "mit",
        ]
    }
    assert dump(data).splitlines()[-1] == "  - mit"
    assert all('"' in line or "'" in line for line in dump(data).splitlines()[1:-1])


def test_folders_made_without_a_word_of_the_user(converted: Callable[[str], Path]) -> None:
    card = card_of(converted("dinkytrain-mlm"))
    assert not {"license", "language", "base_model", "model-index", "metrics", "datasets"} & metadata(card).keys()
