"""What the card says, that its code runs and its command makes the folder again, and that no name breaks it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.cards import (
    blocks,
    card_of,
    command_lines,
    commands,
    facts,
    headings,
    metadata,
    rows,
    section,
    tokens,
    words,
)
from helpers.checkpoints import save_edited
from helpers.commands import run_main
from helpers.paths import BPE, FIXTURES, MLM
from helpers.workers import old_transformers
from prenorm import convert
from prenorm.errors import UsageProblem

pytestmark = pytest.mark.slow

CLASSIFICATION = FIXTURES / "dinkytrain-classification" / "checkpoint.pt"
VARIANTS = FIXTURES / "variants"
SENTENCEPIECE = FIXTURES / "tokenizers" / "sentencepiece-bpe"
HOSTILE = (
    "a|b`c``` <script>alert(1)</script> <img src=x onerror=y> [x](http://evil.example) ![i](e) **b** _c_ ~~d~~ $e$ &amp; "
    "\\"
)
LINES = "\n# heading\n\n| a |\n|---|\n\n```\n\r\t\u202e\u2028"

# Every kind of folder: name, source, options.
FOLDERS: dict[str, tuple[Path, dict[str, Any]]] = {
    "masked-lm": (MLM, {"bpe_dir": BPE}),
    "masked-lm without tokenizer": (MLM, {}),
    "encoder": (MLM, {"bpe_dir": BPE, "task": "encoder"}),
    "encoder without tokenizer": (MLM, {"task": "encoder"}),
    "classifier": (CLASSIFICATION, {"bpe_dir": BPE}),
    "classifier without tokenizer": (CLASSIFICATION, {}),
    "ranking": (VARIANTS / "dinkytrain-ranking" / "checkpoint.pt", {}),
    "ranking with tokenizer": (VARIANTS / "dinkytrain-ranking" / "checkpoint.pt", {"bpe_dir": BPE}),
    "regression": (VARIANTS / "regression" / "checkpoint.pt", {}),
    "other pad id": (VARIANTS / "other-pad-id" / "checkpoint.pt", {}),
    "no embedding norm": (FIXTURES / "dinkytrain-no-embedding-norm" / "checkpoint.pt", {"bpe_dir": BPE}),
    "DeepSpeed": (FIXTURES / "dinkytrain-deepspeed-fp16" / "checkpoint.pt", {"bpe_dir": BPE}),
}


def made(name: str, tmp_path: Path) -> Path:
    source, options = FOLDERS[name]
    convert(source, tmp_path / "out", **options)
    return tmp_path / "out"


def run(block: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a block of the card prints, in the folder."""
    assert max(len(line) for line in block.splitlines() if not line.endswith(" as Model,")) <= 52
    capsys.readouterr()
    exec(compile(block, "README.md", "exec"), {})
    return capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", FOLDERS)
def test_every_block_of_code_runs_in_the_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(name, tmp_path)
    monkeypatch.chdir(folder)
    code = blocks(card_of(folder), "python")
    assert [re.findall(r"(\w*)RobertaPreLayerNorm", block) for block in code] == [[], [""], ["TF"], ["Flax"]]
    assert all(run(block, capsys).strip() for block in code[:2])


# Each with other lines. Importing TensorFlow takes seconds, and compiling for JAX too.
FRAMEWORK_FOLDERS = ("masked-lm", "encoder without tokenizer", "classifier", "ranking", "ranking with tokenizer")


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", FRAMEWORK_FOLDERS)
def test_the_code_of_every_framework_prints_what_pytorch_prints(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(name, tmp_path)
    monkeypatch.chdir(folder)
    shown = [run(block, capsys) for block in blocks(card_of(folder), "python")[1:]]
    if name == "masked-lm":
        assert shown[1:] == [shown[0]] * 2 and shown[0].strip()
        return
    wanted, *others = ([float(word) for word in re.findall(r"-?\d+\.\d*(?:e[+-]\d+)?", text)] for text in shown)
    assert wanted
    for found in others:
        assert found == pytest.approx(wanted, abs=2e-4)  # as many digits as PyTorch prints


def test_the_code_runs_in_the_older_transformers(tmp_path: Path) -> None:
    for name in ("masked-lm", "classifier", "encoder", "masked-lm without tokenizer"):
        (tmp_path / name).mkdir()
        folder = made(name, tmp_path / name)
        script = tmp_path / name / "card.py"
        script.write_text("\n".join(blocks(card_of(folder), "python")[:2]))
        done = old_transformers().run(script, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


def test_both_blocks_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The best guess of the pipeline is the one that the bundled model makes."""
    folder = made("masked-lm", tmp_path)
    monkeypatch.chdir(folder)
    outputs = []
    for block in blocks(card_of(folder), "python")[:2]:
        exec(compile(block, "README.md", "exec"), {})
        outputs.append(capsys.readouterr().out)
    guess = outputs[0].splitlines()[0].split(" ", 1)[1]
    assert outputs[1].strip("\n").strip() == guess.strip()


def test_the_code_at_a_repo(tmp_path: Path) -> None:
    card = card_of(made("masked-lm", tmp_path))
    there = card.replace('model_id = "."  # or org/name on the Hub\n', 'model_id = "org/name"\n')
    assert there.count('model_id = "org/name"\n') == card.count('model_id = "."') == 4
    assert 'model_id = "."' not in there
    there = there.replace("# out\n", "# name\n").replace(" .\n```", " \\\n    org/name\n```")
    there = there.replace("checkpoint.pt out \\\n", "checkpoint.pt known \\\n")
    source, options = FOLDERS["masked-lm"]
    convert(source, tmp_path / "known", repo_id="org/name", **options)
    assert card_of(tmp_path / "known") == there
    with pytest.raises(UsageProblem, match="is no repo id of the Hub"):
        convert(source, tmp_path / "bad", repo_id='org/name"; import os', **options)


def test_the_parts_of_a_card(tmp_path: Path) -> None:
    card = card_of(made("masked-lm", tmp_path))
    assert headings(card) == [
        "out", "Use", "Example", "Source", "Training", "Parity", "Verify", "Reproduce", "What is not in it", "Limits",
    ]  # fmt: skip
    known = facts(card)
    assert known["File"] == "checkpoint.pt, 1,117,121 bytes"
    assert (known["Layers"], known["Sizes"]) == ("3", "width 48, 4 attention heads, feed-forward 96")
    assert known["Vocabulary"].startswith("433 rows, and 5 more that the tokenizer needs")
    parity = list(rows(section_as_card(card, "Parity")))
    assert parity[0] == ["check", "largest difference", "tolerance"]
    assert [row[0] for row in parity[1:]] == ["logits", "modules", "extra rows", "tensors", "tokenizer ids"]
    assert re.search(r"Verdict: \*\*passed\*\*\. At least [\d.]+ times below every tolerance; nearest: ", card)
    images = [token for token in tokens(card) if token.type == "image"]
    assert [token.attrs["src"] for token in images] == ["parity.png"]
    assert (tmp_path / "out" / "parity.png").is_file()
    assert str(images[0].content).startswith("23 modules and the logits")


def section_as_card(card: str, heading: str) -> str:
    return f"---\na: b\n---\n{section(card, heading)}"


def test_what_the_checkpoint_records_of_the_training(tmp_path: Path) -> None:
    expected = {
        "Trained as": "task masked_lm, architecture roberta_base",
        "Masking rate": "40 % of tokens; of these 0 % left as they are, 0 % replaced at random",
        "Tokens per sample": "64",
        "Updates": "312 of 400 planned",
        "Batch": "16 sequences per device and step",
        "Batch of an update": "16 sequences (1 step × 1 device)",
        "Learning rate": "0.002, schedule polynomial_decay, 20 updates of warm-up",
        "Optimizer": "adam, betas 0.9 and 0.98, epsilon 1e-06, weight decay 0.01",
        "Seed": "1",
        "Validation loss": "7.609 (to base 2, as fairseq logs it; perplexity 195.2)",
    }
    assert facts(section_as_card(card_of(made("masked-lm", tmp_path)), "Training")) == expected


def test_a_checkpoint_that_records_nothing(tmp_path: Path) -> None:
    source = save_edited(
        tmp_path / "checkpoint.pt", lambda content: [content.pop(key) for key in {*content} - {"model"}]
    )
    convert(source, tmp_path / "out", attention_heads=4, activation="gelu")
    card = card_of(tmp_path / "out")
    assert "Training" not in headings(card)
    assert "trained with fairseq or DinkyTrain and converted" in card
    assert "Validation" not in card
    options = ["--activation", "gelu", "--attention-heads", "4"]
    assert commands(card)["convert"] == ["prenorm", "convert", "checkpoint.pt", "out", *options]


@pytest.mark.parametrize(
    ("name", "sections", "said"),
    [
        ("classifier", ["Use", "Labels", "Source"], ["The checkpoint does not record what its classes are called."]),
        ("regression", ["Use", "Output", "Source"], ["the logits are one number for each text"]),
        ("ranking", ["Use", "Source"], ["No masked-LM head", "No tokenizer"]),
        ("encoder", ["Use", "Source"], ["No masked-LM head", "No pooler: fairseq's RoBERTa has none."]),
        (
            "DeepSpeed", ["Use", "Example", "Source"],
            ["compute GELU in its tanh form; this folder says `hidden_act: gelu`", "float16"],
        ),
    ],
)  # fmt: skip
def test_each_task_has_its_own(name: str, sections: list[str], said: list[str], tmp_path: Path) -> None:
    card = card_of(made(name, tmp_path))
    assert headings(card)[1 : len(sections) + 1] == sections
    for text in said:
        assert text in card
    assert ("No pooler" in card) == (name != "ranking")  # whose classifier stands on one


def test_a_verdict_that_could_not_be_given(tmp_path: Path) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["model"]["encoder.lm_head.bias"][7] = float("nan")

    convert(save_edited(tmp_path / "checkpoint.pt", edit), tmp_path / "out", allow_nonfinite=True)
    card = card_of(tmp_path / "out")
    assert re.search(r"Verdict: \*\*not judged\*\*\..*\nThe weights hold NaN or infinity", card)
    assert commands(card)["convert"] == ["prenorm", "convert", "checkpoint.pt", "out", "--allow-nonfinite"]


def test_labels_and_the_end_of_many(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("yes 1\nno 1\n*maybe*|<b> 1\n")
    convert(CLASSIFICATION, tmp_path / "out", label_dict=labels)
    found = list(rows(section_as_card(card_of(tmp_path / "out"), "Labels")))
    assert found == [["id", "label"], ["0", "yes"], ["1", "no"], ["2", "*maybe*|<b>"]]

    def wider(content: dict[str, Any]) -> None:
        at = "classification_heads.sentence_classification_head.out_proj."
        for part in ("weight", "bias"):
            tensor = content["model"][at + part]
            content["model"][at + part] = tensor.repeat(50, *[1] * (tensor.dim() - 1))
        for name in ("num_classes",):
            content["cfg"]["task"][name] = 150
            setattr(content["cfg"]["model"], name, 150)

    convert(save_edited(tmp_path / "checkpoint.pt", wider, CLASSIFICATION), tmp_path / "many")
    shown = section(card_of(tmp_path / "many"), "Labels")
    assert "| 99 | `LABEL_99` |\n\n… and 50 more, in `config.json`." in shown


def test_no_name_breaks_the_card(tmp_path: Path) -> None:
    """Names of files, labels and heads that are Markdown, HTML and lines of their own."""
    folder = tmp_path / "files"
    folder.mkdir()
    hostile_name = HOSTILE.replace("/", "∕") + LINES + os.fsdecode(b"\xff")
    source = save_edited(folder / "plain.pt", lambda content: None, CLASSIFICATION)
    checkpoint = source.rename(folder / (hostile_name[:100] + LINES + ".pt"))
    bpe = folder / hostile_name
    bpe.mkdir()
    for file in BPE.iterdir():
        (bpe / file.name).write_bytes(file.read_bytes())
    labels = folder / ("labels" + hostile_name)
    labels.write_text(f"{HOSTILE} 1\n<b>*x*</b>|` 1\n`` | # 1\n")
    convert(checkpoint, tmp_path / "out", bpe_dir=bpe, label_dict=labels)
    plain = convert(
        CLASSIFICATION, tmp_path / "plain", bpe_dir=BPE, label_dict=CLASSIFICATION.with_name("label_dict.txt")
    )
    card, usual = card_of(tmp_path / "out"), card_of(plain.output)
    kinds = [
        [token.type for token in tokens(text) if not token.type.startswith(("text", "code_inline"))]
        for text in (card, usual)
    ]
    assert kinds[0] == kinds[1]
    assert [len(row) for row in rows(card)] == [len(row) for row in rows(usual)]
    assert headings(card)[1:] == headings(usual)[1:]
    assert metadata(card) == metadata(usual)
    assert [row[1] for row in rows(section_as_card(card, "Labels"))][1:] == [HOSTILE, "<b>*x*</b>|`", "`` | #"]
    given = command_of(card)
    assert given == [
        "prenorm",
        "convert",
        checkpoint.name,
        "out",
        "--bpe-dir",
        bpe.name,
        "--label-dict",
        labels.name,
    ]


def command_of(card: str) -> list[str]:
    """The words of the command as a shell takes them."""
    line = blocks(card, "sh")[-1]
    assert line.replace("\\\n", " ").count("\n") == 1
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True)
    return [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]


def test_the_command_makes_the_same_folder_again(tmp_path: Path) -> None:
    first, there = tmp_path / "first place", tmp_path / "there"
    for place in (first, there):
        place.mkdir()
    files = {
        "my checkpoint.pt": CLASSIFICATION, "words.txt": CLASSIFICATION.with_name("dict.txt"),
        "labels.txt": CLASSIFICATION.with_name("label_dict.txt"),
    }  # fmt: skip
    for name, source in files.items():
        for place in (first, there):
            (place / name).write_bytes(source.read_bytes())
            (place / "it's mine.md").write_text("---\ntags: [x]\n---\n# Mine\n")
    for place in (first, there):
        (place / "gpt2 bpe").symlink_to(BPE)
    convert(
        first / "my checkpoint.pt", first / "out", dictionary=first / "words.txt", bpe_dir=first / "gpt2 bpe",
        label_dict=first / "labels.txt", head="sentence_classification_head", task="sequence-classification",
        card=first / "it's mine.md", license="mit", language=["en", "fr"], base_model="org/base",
    )  # fmt: skip
    line = blocks(card_of(first / "out"), "sh")[-1]
    assert words(line)[:4] == ["prenorm", "convert", "my checkpoint.pt", "out"]
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    threads = str(torch.get_num_threads())  # with another number of them another last digit comes out
    environment = {**os.environ, "PATH": binaries, "OMP_NUM_THREADS": threads}
    done = subprocess.run(["sh", "-c", line], cwd=there, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (first / "out").iterdir())
    assert names == sorted(path.name for path in (there / "out").iterdir())
    for name in names:
        assert (first / "out" / name).read_bytes() == (there / "out" / name).read_bytes(), name


@pytest.mark.parametrize("name", ["masked-lm", "encoder", "classifier", "nothing recorded", "sentencepiece"])
def test_the_command_to_verify_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "nothing recorded":
        source = save_edited(
            tmp_path / "checkpoint.pt", lambda content: [content.pop(key) for key in {*content} - {"model"}]
        )
        convert(source, tmp_path / "out", attention_heads=4, bpe_dir=BPE, dictionary=MLM.with_name("dict.txt"))
    elif name == "sentencepiece":
        source = SENTENCEPIECE / "checkpoint.pt"
        convert(source, tmp_path / "out", sentencepiece=SENTENCEPIECE / "sentencepiece.model")
    else:
        source = FOLDERS[name][0]
        made(name, tmp_path)
    monkeypatch.chdir(source.parent)
    by_checkpoint, record, by_golden, _ = command_lines(card_of(tmp_path / "out"))
    assert by_checkpoint[:2] == ["prenorm", "verify"] and by_checkpoint[-1] == by_golden[-1] == "."
    assert run_main(monkeypatch, *by_checkpoint[1:-1], tmp_path / "out", "--strict") == 0
    assert "Verdict: passed\n" in capsys.readouterr().out
    assert by_golden[1:-1] == ["verify", "--golden", "golden.npz"]
    golden = tmp_path / "golden.npz"
    bpe = [str(BPE) if word == BPE.name else word for word in record[4:]]
    assert run_main(monkeypatch, *record[1:3], golden, *bpe) == 0 and record[3] == golden.name
    assert run_main(monkeypatch, "verify", "--golden", golden, tmp_path / "out", "--strict") == 0
    assert "Verdict: passed\n" in capsys.readouterr().out


def test_versions_are_those_that_made_it(tmp_path: Path) -> None:
    import torch

    said = section(card_of(made("encoder without tokenizer", tmp_path)), "Reproduce")
    assert re.search(
        rf"^prenorm \d+\.\d+\.\d+ with torch {re.escape(torch.__version__.split('+')[0])} made", said, re.MULTILINE
    )
    assert blocks(card_of(tmp_path / "out"), "sh") == [
        "prenorm verify checkpoint.pt .\n",
        "prenorm record checkpoint.pt golden.npz \\\n    --task encoder\nprenorm verify --golden golden.npz .\n",
        "prenorm convert checkpoint.pt out \\\n    --task encoder\n",
    ]
