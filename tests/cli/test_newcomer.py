"""The first session of a newcomer: an old checkpoint and its dict.txt in a folder, and no option that could be known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from helpers.checkpoints import save_edited
from helpers.commands import run_command
from helpers.hub import Hub, serve_hub
from helpers.hub.command import prenorm
from helpers.hub.gpt2 import seeded
from helpers.paths import BPE, FIXTURES, MLM
from helpers.tokenizer_cases import GPT2, MODELS, PIECES_BPE, UNIGRAM, WORDS

REPO = "lab/my-model"
LINES = len((GPT2 / "dict.txt").read_text().splitlines())


@pytest.mark.slow
def test_from_checkpoint_and_dictionary_to_a_pushed_model(tmp_path: Path) -> None:
    """Two commands, each as the one before says it, and a third that proves what was pushed."""
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    shutil.copy(MLM, work / "checkpoint_best.pt")
    shutil.copy(MLM.with_name("dict.txt"), work)
    with serve_hub(tmp_path / "hub") as hub:
        changed = seeded(hub, published=True)
        converted = prenorm(hub, home, "convert", "checkpoint_best.pt", cwd=work, changed=changed)
        assert converted.returncode == 0, converted.stderr
        *_, heading, push, verify = converted.stdout.splitlines()
        assert heading == "Next:" and "no tokenizer" not in converted.stderr
        assert push.split() == ["prenorm", "push", "checkpoint_best", "your-name/checkpoint_best"]
        assert verify.split() == ["prenorm", "verify", "checkpoint_best.pt", "checkpoint_best"]
        pushed = prenorm(hub, home, *push.split()[1:3], REPO, cwd=work)
        assert pushed.returncode == 0, pushed.stderr
        verified = prenorm(hub, home, *verify.split()[1:3], REPO, "--strict", cwd=work, changed=changed)
        assert verified.returncode == 0, verified.stdout
        assert {"tokenizer.json", "model.safetensors", "README.md"} <= hub.files(REPO).keys()
    assert sorted(path.name for path in work.iterdir()) == ["checkpoint_best", "checkpoint_best.pt", "dict.txt"]


def convert(folder: Path, *arguments: str | Path) -> tuple[int, str, str]:
    done = run_command("convert", *arguments, cwd=folder)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("source", [UNIGRAM, PIECES_BPE], ids=lambda path: path.name)
def test_a_sentencepiece_model_beside_the_checkpoint(source: Path, tmp_path: Path) -> None:
    for name in ("checkpoint.pt", "dict.txt", "sentencepiece.model"):
        shutil.copy(source / name, tmp_path)
    code, stdout, stderr = convert(tmp_path, "checkpoint.pt")
    assert code == 0, stderr
    assert "Tokenizer: sentencepiece, from sentencepiece.model beside the checkpoint" in stdout
    card = (tmp_path / "checkpoint" / "README.md").read_text()
    assert "--sentencepiece sentencepiece.model\n" in card.partition("prenorm convert checkpoint.pt")[2]
    code, _, stderr = convert(tmp_path, "checkpoint.pt", "named", "--sentencepiece", MODELS[source], "--quiet")
    assert code == 0, stderr
    for name in ("tokenizer.json", "config.json", "model.safetensors"):
        assert (tmp_path / "checkpoint" / name).read_bytes() == (tmp_path / "named" / name).read_bytes()
    # What dict.txt alone does not tell of such a tokenizer is judged by the model that lies there.
    verified = run_command("verify", "checkpoint.pt", "checkpoint", "--strict", cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout
    assert "tokenizer judged by sentencepiece.model" in verified.stdout
    tokenizer = tmp_path / "named" / "tokenizer.json"
    content = json.loads(tokenizer.read_text())
    if source is UNIGRAM:
        content["model"]["vocab"][100][1] -= 0.5
    else:
        merges = content["model"]["merges"]
        merges[-2:] = merges[:-3:-1]
    tokenizer.write_text(json.dumps(content))
    assert run_command("verify", "checkpoint.pt", "named", "--no-tokenizer", cwd=tmp_path).returncode == 0
    assert run_command("verify", "checkpoint.pt", "named", cwd=tmp_path).returncode == 1


def test_what_does_not_fit_stops_nothing_unless_it_is_named(tmp_path: Path) -> None:
    for name in ("checkpoint.pt", "dict.txt"):
        shutil.copy(UNIGRAM / name, tmp_path)
    shutil.copy(MODELS[PIECES_BPE], tmp_path / "spm.model")
    code, stdout, stderr = convert(tmp_path, "checkpoint.pt")
    assert code == 0 and "Tokenizer: none" in stdout
    assert "spm.model beside the checkpoint is not used: " in stderr
    assert "the folder gets no tokenizer: dict.txt holds sentencepiece's pieces" in stderr
    (tmp_path / "broken.model").write_bytes(b"\xff" * 40)
    code, _, stderr = convert(tmp_path, "checkpoint.pt", "out", "--sentencepiece", "broken.model")
    assert code == 2 and "no sentencepiece model" in stderr and not (tmp_path / "out").exists()
    verified = run_command("verify", "checkpoint.pt", "checkpoint", cwd=tmp_path)
    assert verified.returncode == 0 and "spm.model" not in verified.stdout + verified.stderr


def test_two_that_fit_are_an_error_that_names_both(tmp_path: Path) -> None:
    for name in ("checkpoint.pt", "dict.txt"):
        shutil.copy(UNIGRAM / name, tmp_path)
    model = MODELS[UNIGRAM].read_bytes()
    (tmp_path / "a.model").write_bytes(model)
    (tmp_path / "b.model").write_bytes(model + b"\x32\x00")  # a field that nothing depends on
    code, _, stderr = convert(tmp_path, "checkpoint.pt")
    assert code == 2 and "a.model beside the checkpoint and b.model beside the checkpoint both fit" in stderr
    assert "--sentencepiece" in stderr and "--no-tokenizer" in stderr
    for option in (["--sentencepiece", "b.model"], ["--no-tokenizer"]):
        code, _, stderr = convert(tmp_path, "checkpoint.pt", *option, "--overwrite", "--quiet")
        assert code == 0, stderr


def test_the_files_lie_with_the_data_that_the_training_arguments_record(tmp_path: Path) -> None:
    """Relative to where the command runs, as they were to where the training ran."""
    save_edited(tmp_path / "checkpoint_best.pt", lambda content: None, GPT2 / "checkpoint.pt")  # its data: data-bin
    shutil.copytree(BPE, tmp_path / "data-bin")
    code, stdout, stderr = convert(tmp_path, "checkpoint_best.pt")
    assert code == 0, stderr
    assert "from encoder.json and vocab.bpe in data-bin, which the training arguments record" in stdout
    card = (tmp_path / "checkpoint_best" / "README.md").read_text()
    assert "--bpe-dir BPE_DIR\n" in card and "data-bin" not in card  # nothing of the arguments is told
    verified = run_command("verify", "checkpoint_best.pt", "checkpoint_best", "--json", cwd=tmp_path)
    assert verified.returncode == 0 and "data-bin" not in verified.stdout
    assert json.loads(verified.stdout)["target"]["notes"] == [
        f"dictionary: dict.txt, {LINES:,} tokens, found with the checkpoint",
        "tokenizer judged by encoder.json and vocab.bpe, found with the checkpoint",
    ]


def with_data(folder: Path) -> None:
    """Puts a checkpoint there, and what it was trained with where it records its data: in data-bin."""
    save_edited(folder / "checkpoint_best.pt", lambda content: None, GPT2 / "checkpoint.pt")
    shutil.copytree(BPE, folder / "data-bin")
    (folder / "dict.txt").rename(folder / "data-bin" / "dict.txt")


def test_the_dictionary_lies_with_the_data_that_the_training_arguments_record(tmp_path: Path) -> None:
    with_data(tmp_path)
    where = "in data-bin, which the training arguments record"
    code, stdout, stderr = convert(tmp_path, "checkpoint_best.pt")
    assert code == 0, stderr
    assert f"\nDictionary: dict.txt {where}, {LINES:,} tokens\nTokenizer: byte-level BPE, from " in stdout
    card = (tmp_path / "checkpoint_best" / "README.md").read_text()
    assert "--dict dict.txt" in card and "data-bin" not in card
    verified = run_command("verify", "checkpoint_best.pt", "checkpoint_best", cwd=tmp_path)
    assert verified.returncode == 0 and "data-bin" not in verified.stdout
    assert f"Note: dictionary: dict.txt, {LINES:,} tokens, found with the checkpoint" in verified.stdout
    (tmp_path / "dict.txt").write_text("another 1\n")  # one beside the checkpoint that does not fit is passed over
    code, stdout, stderr = convert(tmp_path, "checkpoint_best.pt", "again")
    assert code == 0 and f"Dictionary: dict.txt {where}" in stdout, stderr
    assert "Warning: dict.txt beside the checkpoint is not used: " in stderr
    shutil.copy(GPT2 / "dict.txt", tmp_path)  # and one that fits comes first
    (tmp_path / "data-bin" / "dict.txt").write_text("another 1\n")
    code, stdout, stderr = convert(tmp_path, "checkpoint_best.pt", "third")
    assert code == 0 and f"Dictionary: dict.txt beside the checkpoint, {LINES:,} tokens\n" in stdout
    assert "is not used" not in stderr


def test_a_dictionary_with_the_data_that_does_not_fit_is_a_warning(tmp_path: Path) -> None:
    with_data(tmp_path)
    (tmp_path / "data-bin" / "dict.txt").write_text("another 1\n")
    code, stdout, stderr = convert(tmp_path, "checkpoint_best.pt")
    assert code == 0 and "Dictionary: none\nTokenizer: none\n" in stdout
    assert "Warning: dict.txt in data-bin, which the training arguments record is not used: " in stderr
    code, _, stderr = convert(tmp_path, "checkpoint_best.pt", "out", "--words")
    assert code == 2 and "data-bin/dict.txt" in stderr


def test_record_says_what_it_found_as_convert_does(tmp_path: Path) -> None:
    with_data(tmp_path)
    (tmp_path / "dict.txt").write_text("another 1\n")
    _, converted, warned = convert(tmp_path, "checkpoint_best.pt", "--json")
    done = run_command("record", "checkpoint_best.pt", "golden.npz", cwd=tmp_path)
    content = json.loads(converted)
    assert done.returncode == 0
    assert f"Dictionary: {content['dictionary']}\nTokenizer: {content['tokenizer']}\n" in done.stdout
    assert done.stderr == warned and "dict.txt beside the checkpoint is not used" in warned
    done = run_command("record", "checkpoint_best.pt", "other.npz", "--json", "--quiet", cwd=tmp_path)
    recorded = json.loads(done.stdout)
    assert recorded["choices"] == {name: content[name] for name in ("dictionary", "tokenizer")}
    assert (recorded["warnings"], done.stderr) == (content["warnings"], "")
    done = run_command("record", "checkpoint_best.pt", "third.npz", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_named_dictionary_is_named(tmp_path: Path) -> None:
    shutil.copy(WORDS / "checkpoint.pt", tmp_path)
    shutil.copy(WORDS / "dict.txt", tmp_path / "words.txt")
    lines = len((WORDS / "dict.txt").read_text().splitlines())
    code, stdout, stderr = convert(tmp_path, "checkpoint.pt", "--dict", "words.txt", "--words")
    assert code == 0 and f"Dictionary: words.txt, {lines:,} tokens\nTokenizer: words, from words.txt\n" in stdout, (
        stderr
    )
    verified = run_command("verify", "checkpoint.pt", "checkpoint", "--dict", "words.txt", cwd=tmp_path)
    assert f"Note: dictionary: words.txt, {lines:,} tokens\n" in verified.stdout


def test_words_are_not_taken_for_granted(tmp_path: Path) -> None:
    for name in ("checkpoint.pt", "dict.txt"):
        shutil.copy(WORDS / name, tmp_path)
    code, stdout, stderr = convert(tmp_path, "checkpoint.pt")
    assert code == 0 and "Tokenizer: none" in stdout and "give --words if" in stderr
    code, stdout, _ = convert(tmp_path, "checkpoint.pt", "--words", "--overwrite")
    assert code == 0 and "Tokenizer: words, from dict.txt" in stdout


PLACES = {
    "checkpoint_best.pt": "checkpoint_best",
    "checkpoint_1_500.pt": "checkpoint_1_500",
    "my model.pt": "my model",
    "weights.bin": "weights",
    "checkpoint": "checkpoint-model",
}


@pytest.mark.parametrize("name", PLACES)
def test_without_output_the_folder_has_the_checkpoints_name(name: str, tmp_path: Path) -> None:
    source = tmp_path / "run"
    source.mkdir()
    shutil.copy(FIXTURES / "variants" / "activation-gelu" / "checkpoint.pt", source / name)
    code, stdout, stderr = convert(tmp_path, f"run/{name}")
    assert code == 0, stderr
    made = PLACES[name]
    assert (tmp_path / made / "config.json").is_file() and f": {made} (" in stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["run", made])
    code, _, stderr = convert(tmp_path, f"run/{name}")
    assert code == 2 and f"{made}: exists already. Pass --overwrite" in stderr
    code, stdout, stderr = convert(tmp_path, f"run/{name}", "--overwrite", "--json")
    result = json.loads(stdout)
    assert code == 0 and result["output"] == made and result["tokenizer"] == "none" and len(result["next"]) == 2


@pytest.mark.parametrize(
    ("variant", "name", "made"),
    [
        ("fsdp-shards", "checkpoint_last-shard1.pt", "checkpoint_last"),
        ("model-parallel-shards", "checkpoint_last-model_part-1-shard0.pt", "checkpoint_last"),
    ],
)
def test_parts_share_the_name_of_the_checkpoint(variant: str, name: str, made: str, tmp_path: Path) -> None:
    code, _, stderr = convert(tmp_path, FIXTURES / "variants" / variant / name)
    assert code == 0, stderr
    assert [path.name for path in tmp_path.iterdir()] == [made]


def test_never_over_the_checkpoint_or_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    shutil.copy(MLM, folder)
    (folder / "config.json").write_text("{}")
    code, _, stderr = convert(tmp_path, "checkpoint/checkpoint.pt", "--overwrite")
    assert code == 2 and "lies in it and would be lost" in stderr and (folder / "checkpoint.pt").is_file()


def test_what_comes_next_can_be_pasted(tmp_path: Path) -> None:
    """With spaces and options quoted, and the options that verify needs, too."""
    shutil.copy(UNIGRAM / "checkpoint.pt", tmp_path / "my best.pt")
    code, stdout, stderr = convert(tmp_path, "my best.pt", "--dict", UNIGRAM / "dict.txt", "--task", "encoder")
    assert code == 0, stderr
    _, push, verify = stdout.splitlines()[-3:]
    assert push.strip() == "prenorm push 'my best' your-name/my-best"
    assert verify.strip() == f"prenorm verify 'my best.pt' 'my best' --dict {UNIGRAM / 'dict.txt'}"


def test_python_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import prenorm as api

    for name in ("checkpoint.pt", "dict.txt", "sentencepiece.model"):
        shutil.copy(PIECES_BPE / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    result = api.convert("checkpoint.pt")
    assert result.output == Path("checkpoint") and (tmp_path / "checkpoint" / "tokenizer.json").is_file()
    assert result.tokenizer == "sentencepiece, from sentencepiece.model beside the checkpoint"
    assert api.verify("checkpoint.pt", "checkpoint", strict=True).passed
    state = api.inspect("checkpoint.pt").tokenizer
    assert state is not None and state.files == "sentencepiece.model beside the checkpoint"
    with pytest.raises(api.UsageProblem, match=r"words=True: has no effect with no_tokenizer=True"):
        api.convert("checkpoint.pt", "other", no_tokenizer=True, words=True)


def test_a_checkpoint_on_the_hub_brings_its_tokenizer(tmp_path: Path) -> None:
    with serve_hub(tmp_path / "hub") as served:
        hub: Hub = served
        files = {name: (UNIGRAM / name).read_bytes() for name in ("checkpoint.pt", "dict.txt", "sentencepiece.model")}
        hub.seed("lab/training", {**{f"run/{name}": content for name, content in files.items()}, "run/x.txt": b"x"})
        work = tmp_path / "work"
        work.mkdir()
        done = prenorm(hub, tmp_path / "home", "convert", "hf://lab/training/run/checkpoint.pt", cwd=work)
        assert done.returncode == 0, done.stderr
        assert "from sentencepiece.model beside the checkpoint" in done.stdout
        assert (work / "checkpoint" / "tokenizer.json").is_file()
        assert not any(logged.path.endswith("x.txt") for logged in hub.requests("resolve"))
