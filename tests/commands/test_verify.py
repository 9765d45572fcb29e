"""`verify` on folders by whomever: ours, transformers', pickled, the known script's, float16, and repos on the Hub."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.commands import run_command
from helpers.hub import client_environment, serve_hub
from helpers.paths import BPE, FAIRSEQ_PYTHON, FIXTURES, MLM
from prenorm import convert
from prenorm.commands.verify import verify
from prenorm.errors import UnreadableCheckpoint, UsageProblem
from prenorm.parts import open_checkpoint
from prenorm.source.contents import model_tensors

pytestmark = pytest.mark.slow

VARIANTS = FIXTURES / "variants"
CLASSIFIER = FIXTURES / "dinkytrain-classification"
Folder = Callable[[str], Path]


def own(folder: Path, name: str) -> Path:
    """A copy of a folder that a test may spoil."""
    return Path(shutil.copytree(folder, folder.parent / name))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return convert(MLM, tmp_path / "ours", bpe_dir=BPE).output


def edit_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("runtime", ["bundled", "transformers", "both"])
def test_our_own_folder_passes(folder: Path, runtime: str) -> None:
    report = verify(MLM, folder, runtime=runtime, bpe_dir=BPE)
    assert report.passed
    assert report.disagreements == ()
    assert report.source["sha256"] == hashlib.sha256(MLM.read_bytes()).hexdigest()
    names = {check.name for check in report.checks}
    assert {"config", "tokenizer ids", "tensors"} <= names
    assert ("logits" in names, "logits (transformers)" in names) == (runtime != "transformers", runtime != "bundled")
    assert all(check.metrics["max_abs_diff"] < 1e-12 for check in report.checks if "logits" in check.name)


def test_what_transformers_saves_passes(folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForMaskedLM

    AutoModelForMaskedLM.from_pretrained(folder).save_pretrained(tmp_path / "theirs")
    report = verify(MLM, tmp_path / "theirs", runtime="both")
    assert report.passed, report.disagreements


@pytest.mark.parametrize("name", ["untied", "prenorm-masked-lm", "sentence-ranking", "regression", "activation-relu"])
def test_what_transformers_saves_of_any_kind_passes(name: str, tmp_path: Path) -> None:
    import transformers

    from helpers.scripts.folder_distance import AUTO_CLASSES

    task = "encoder" if name.startswith("activation") else "auto"
    source = VARIANTS / name / "checkpoint.pt"
    result = convert(source, tmp_path / "ours", task=task)
    model = getattr(transformers, AUTO_CLASSES[result.plan.task.kind.value]).from_pretrained(result.output)
    model.save_pretrained(tmp_path / "theirs")
    report = verify(source, tmp_path / "theirs", runtime="both")
    assert report.passed, report.disagreements


@pytest.mark.parametrize(("dtype", "least"), [(torch.float16, 0.9), (torch.bfloat16, 0.5)])
def test_a_narrower_folder_has_two_numbers(folder: Path, dtype: torch.dtype, least: float) -> None:
    half = own(folder, "half")
    tensors = load_file(half / "model.safetensors")
    save_file({name: t.to(dtype) for name, t in tensors.items()}, half / "model.safetensors", {"format": "pt"})
    name = str(dtype).removeprefix("torch.")
    edit_config(half, dtype=name)
    report = verify(MLM, half, bpe_dir=BPE)
    assert report.passed, report.disagreements
    assert report.check("logits").metrics["max_abs_diff"] < 1e-12  # the mapping's error
    cost = report.cost_of_type
    assert cost is not None
    assert cost["dtype"] == name
    assert 1e-5 < float(cost["max_abs_diff"]) < 1
    assert least < float(cost["top1_agreement"]) <= 1
    assert 0 < float(cost["kl_mean"]) < 0.1


def test_pickled_weights_are_read_without_running_anything(folder: Path, tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    tensors = load_file(folder / "model.safetensors")
    torch.save(tensors, pickled / "pytorch_model.bin")
    shutil.copy(folder / "config.json", pickled)
    report = verify(MLM, pickled)
    assert report.passed, report.disagreements
    assert "pytorch_model.bin" in str(report.target["notes"])
    marker = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (marker,))

    torch.save({**tensors, "trap": Trap()}, pickled / "pytorch_model.bin")
    verify(MLM, pickled)
    assert not marker.exists()


def test_the_known_scripts_folder_fails_and_the_report_says_why(folder: Path) -> None:
    """DinkyTrain's script writes `model_type: roberta`, other names, and norms inside the attention that nothing uses."""
    known = own(folder, "known")
    tensors = load_file(known / "model.safetensors")
    tensors = {name.replace("roberta_prelayernorm.", "roberta."): tensor for name, tensor in tensors.items()}
    for n in range(3):
        at = f"roberta.encoder.layer.{n}.attention.self.LayerNorm."
        tensors |= {at + "weight": torch.ones(48), at + "bias": torch.zeros(48)}
    (known / "model.safetensors").unlink()
    torch.save(tensors, known / "pytorch_model.bin")
    edit_config(known, model_type="roberta", architectures=["RobertaForMaskedLM"])
    report = verify(MLM, known, runtime="both")
    assert not report.passed
    said = "\n".join(report.disagreements)
    assert "model_type is roberta, must be roberta-prelayernorm: AutoModel would load it as RoBERTa" in said
    assert "post-LayerNorm" in said
    assert "'roberta.encoder.layer.0.attention.self.LayerNorm.weight' is in the files and was not planned" in said
    assert "(transformers)" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layer_norm_eps": 1e-12}, "config: layer_norm_eps is 1e-12, must be 1e-05"),
        ({"max_position_embeddings": 128}, "config: max_position_embeddings is 128, must be 130"),
        ({"hidden_dropout_prob": 0.2}, "config: hidden_dropout_prob is 0.2, must be 0.1"),
        ({"eos_token_id": 1}, "config: eos_token_id is 1, must be 2"),
        ({"is_decoder": True}, "config: is_decoder is True, must be False"),
        ({"dtype": "bfloat16"}, "config: dtype is bfloat16, and the tensors are of type float32"),
    ],
)
def test_the_config_is_checked_field_by_field(folder: Path, change: dict[str, object], said: str) -> None:
    edit_config(folder, **change)
    report = verify(MLM, folder)
    assert not report.passed
    assert said in report.disagreements


def test_a_field_that_is_missing_counts_as_its_default(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    del content["layer_norm_eps"], content["bos_token_id"]
    (folder / "config.json").write_text(json.dumps(content))
    report = verify(MLM, folder)
    assert [text for text in report.disagreements if text.startswith("config")] == [
        "config: layer_norm_eps is 1e-12 (the default, where config.json does not say it), must be 1e-05"
    ]


def tokenizer_edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "tokenizer.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return edit


def swap_ids(content: dict[str, Any]) -> None:
    vocab = content["model"]["vocab"]
    one, other = [token for token, number in vocab.items() if number in (20, 21)]
    vocab[one], vocab[other] = vocab[other], vocab[one]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (tokenizer_edit(lambda content: content["model"]["merges"].pop()), "merges and must have"),
        (
            tokenizer_edit(lambda content: content["pre_tokenizer"].update(add_prefix_space=True)),
            "texts become other ids",
        ),
        (tokenizer_edit(swap_ids), "have not the dictionary's row as their id"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "there is no tokenizer.json"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "cannot be read"),
    ],
)
def test_the_tokenizer_is_held_against_the_dictionary(folder: Path, edit: Callable[[Path], object], said: str) -> None:
    edit(folder)
    report = verify(MLM, folder, bpe_dir=BPE)
    assert not report.check("tokenizer ids").passed
    assert any(said in text for text in report.disagreements), report.disagreements


def test_labels_are_held_against_the_label_dictionary(tmp_path: Path) -> None:
    labels = CLASSIFIER / "label_dict.txt"
    folder = convert(CLASSIFIER / "checkpoint.pt", tmp_path / "out", label_dict=labels).output
    assert verify(CLASSIFIER / "checkpoint.pt", folder, label_dict=labels).passed
    edit_config(folder, id2label={"0": "2", "1": "1", "2": "0"}, label2id={"2": 0, "1": 1, "0": 2})
    assert verify(CLASSIFIER / "checkpoint.pt", folder).passed  # nobody has said what the labels are
    report = verify(CLASSIFIER / "checkpoint.pt", folder, label_dict=labels)
    assert report.disagreements == ("config: id2label is ['2', '1', '0'], the label dictionary says ['0', '1', '2']",)


@pytest.mark.parametrize("name", ["sequence-classification", "prenorm-masked-lm"])
def test_real_fairseq_as_the_reference(name: str, tmp_path: Path) -> None:
    source = VARIANTS / name / "checkpoint.pt"
    folder = convert(source, tmp_path / "out").output
    options: dict[str, Any] = {"reference": "fairseq", "fairseq_python": FAIRSEQ_PYTHON}
    report = verify(source, folder, **options)
    assert report.passed, report.disagreements
    assert report.reference.startswith("fairseq 0.12.3")
    assert report.noise_floor is not None
    tolerance = report.check("logits").tolerance
    assert tolerance is not None
    assert tolerance < 1e-4
    edit_config(folder, layer_norm_eps=1e-12)
    spoiled = verify(source, folder, **options)
    assert not spoiled.passed
    assert any(text.startswith("numbers") for text in spoiled.disagreements)


def test_convert_can_prove_against_real_fairseq(tmp_path: Path) -> None:
    result = convert(MLM, tmp_path / "out", bpe_dir=BPE, reference="fairseq", fairseq_python=FAIRSEQ_PYTHON)
    assert result.report.passed
    assert result.report.reference.startswith("fairseq 0.12.3")
    assert result.report.check("logits").metrics["max_abs_diff"] < 1e-5
    assert "fairseq 0.12.3" in (tmp_path / "out" / "README.md").read_text()


def test_the_command_exits_1_and_writes_every_form_of_report(folder: Path, tmp_path: Path) -> None:
    edit_config(folder, layer_norm_eps=1e-12)
    paths = [tmp_path / f"report{suffix}" for suffix in (".json", ".md", ".html", ".xml")]
    before = {path: path.read_bytes() for path in folder.iterdir()}
    done = run_command("verify", MLM, folder, *(part for path in paths for part in ("--report", path)))
    assert done.returncode == 1
    assert "Verdict: failed" in done.stdout
    assert "First divergence: roberta_prelayernorm.embeddings" in done.stdout
    assert "layer_norm_eps is 1e-12; fairseq's is 1e-5" in done.stdout
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    content = json.loads(paths[0].read_text())
    assert content["passed"] is False
    assert content["divergence"]["hint"] == "layer_norm_eps is 1e-12; fairseq's is 1e-5"
    assert all("failed" in path.read_text().lower() for path in paths[1:])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((MLM, "nowhere"), "is no folder"),
        ((MLM,), "verify needs one thing to judge by"),
        ((MLM, FIXTURES / "gpt2_bpe"), "gpt2_bpe: is no model folder: it has no config.json. Give a model folder.\n"),
        ((MLM, FIXTURES, "--revision", "main"), "--revision is for a repo"),
        ((MLM, FIXTURES, "--reference", "fairseq"), "--reference fairseq needs --fairseq-python"),
    ],
)
def test_wrong_use_gets_one_sentence(arguments: tuple[str | Path, ...], said: str) -> None:
    done = run_command("verify", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_damaged_checkpoint_judges_nothing(folder: Path, tmp_path: Path) -> None:
    raw = bytearray(MLM.read_bytes())
    tensor = model_tensors(open_checkpoint(MLM))["encoder.sentence_encoder.layers.1.fc1.weight"]
    raw[tensor.views[0].place.start + 9] ^= 0x10
    (tmp_path / "damaged.pt").write_bytes(raw)
    with pytest.raises(UnreadableCheckpoint, match="damaged"):
        verify(tmp_path / "damaged.pt", folder)


def test_a_class_that_is_not_verified_is_told(folder: Path) -> None:
    edit_config(folder, architectures=["RobertaPreLayerNormForCausalLM"])
    with pytest.raises(UsageProblem, match="names the class RobertaPreLayerNormForCausalLM"):
        verify(MLM, folder)


def test_a_repo_on_the_hub_is_verified_by_its_id(folder: Path, tmp_path: Path) -> None:
    with serve_hub(tmp_path / "state") as hub:
        commit = hub.seed("lab/model", folder).oid
        environment = client_environment(hub, tmp_path / "cache")
        done = run_command("verify", MLM, "lab/model", "--bpe-dir", BPE, "--json", env=environment)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["target"]["folder"] == "lab/model"
        assert commit in str(report["target"]["notes"])
        at_commit = run_command("verify", MLM, "lab/model", "--revision", commit, "--quiet", env=environment)
        assert at_commit.returncode == 0
        edit_config(folder, layer_norm_eps=1e-12)
        hub.seed("lab/model", folder)
        spoiled = run_command("verify", MLM, "lab/model", "--quiet", env=environment)
        assert spoiled.returncode == 1
        missing = run_command("verify", MLM, "lab/nothing", env=environment)
        assert (missing.returncode, "no such repo" in missing.stderr) == (5, True)
    gone = run_command("verify", MLM, "lab/another", env=client_environment(hub, tmp_path / "third"))
    assert gone.returncode == 5
    *retries, sentence = gone.stderr.splitlines()
    assert "could not be reached" in sentence
    assert all(line.startswith("Warning: looking at the repo: the connection broke") for line in retries), gone.stderr
