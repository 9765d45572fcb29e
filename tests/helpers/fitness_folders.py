"""Folders to try out: sound ones of every task and both architectures, and what can be wrong with one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from helpers.paths import BPE, FIXTURES, MLM
from prenorm import convert

VARIANTS = FIXTURES / "variants"
WEIGHTS = "model.safetensors"
Tensors = dict[str, torch.Tensor]
Edit = Callable[[Path], object]

# The heavy checks, which not every folder gets: seconds each, or tenths.
ONNX, VECTORS, TRAINER = "ONNX", "sentence-transformers", "Trainer"


def make_sound(base: Path) -> dict[str, Path]:
    """Folders in which all must pass, by name."""

    def made(name: str, source: Path, **options: Any) -> Path:
        return convert(source, base / name, **{"bpe_dir": BPE, **options}).output

    classifier = FIXTURES / "dinkytrain-classification"
    found = {
        "masked-lm": made("masked-lm", MLM),
        "xl": made("xl", FIXTURES / "dinkytrain-no-embedding-norm" / "checkpoint.pt", task="masked-lm"),
        "classifier": made("classifier", classifier / "checkpoint.pt", label_dict=classifier / "label_dict.txt"),
        "xl-classifier": made("xl-classifier", VARIANTS / "prenorm-classification" / "checkpoint.pt"),
        "regression": made("regression", VARIANTS / "regression" / "checkpoint.pt"),
        "choice": made("choice", VARIANTS / "sentence-ranking" / "checkpoint.pt"),
        "xl-choice": made("xl-choice", VARIANTS / "prenorm-ranking" / "checkpoint.pt"),
        "encoder": made("encoder", MLM, task="encoder"),
        "untied": made("untied", VARIANTS / "untied" / "checkpoint.pt"),
        "float16": made("float16", VARIANTS / "float16" / "checkpoint.pt"),
        "other-pad": made("other-pad", VARIANTS / "other-pad-id" / "checkpoint.pt", bpe_dir=None),
        "no-tokenizer": made("no-tokenizer", MLM, bpe_dir=None),
    }
    from transformers import AutoModelForMaskedLM

    theirs = shutil.copytree(found["masked-lm"], base / "saved-by-transformers")
    AutoModelForMaskedLM.from_pretrained(theirs).save_pretrained(theirs)
    (theirs / WEIGHTS).chmod(0o600)  # as safetensors 0.8 leaves it: noted, and no fault
    return {**found, "saved-by-transformers": theirs}


@dataclass(frozen=True)
class Fault:
    """What is done to a copy of a sound folder; the checks that must fail, and what must be said.

    `alone`: no other check fails. Not so where the releases differ in what they make of the fault.
    """

    folder: str
    plant: Edit
    seen_by: frozenset[str]
    said: str
    alone: bool = True


def config(**values: object) -> Edit:
    """Fields of config.json; None takes one away."""
    return json_fields("config.json", **values)


def tokenizer(**values: object) -> Edit:
    """Fields of tokenizer_config.json; None takes one away."""
    return json_fields("tokenizer_config.json", **values)


def json_fields(name: str, **values: object) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / name
        content = {**json.loads(path.read_text()), **values}
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return edit


def weights(change: Callable[[Tensors], Tensors | None], metadata: dict[str, str] | None = None) -> Edit:
    """The tensors, changed in place or replaced."""

    def edit(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        changed = change(tensors) or tensors
        save_file(changed, folder / WEIGHTS, {"format": "pt"} if metadata is None else metadata)
        (folder / WEIGHTS).chmod(0o644)

    return edit


def renamed(old: str, new: str) -> Edit:
    return weights(lambda tensors: {name.replace(old, new, 1): tensor for name, tensor in tensors.items()})


def several(*edits: Edit) -> Edit:
    def edit(folder: Path) -> None:
        for one in edits:
            one(folder)

    return edit


def spoil(name: str, value: float) -> Edit:
    def change(tensors: Tensors) -> None:
        tensors[name].view(-1)[7] = value

    return weights(change)


def without(name: str) -> Edit:
    return weights(lambda tensors: {key: tensor for key, tensor in tensors.items() if key != name})


def fewer_rows(tensors: Tensors) -> Tensors:
    return {
        name: tensor[:433].clone() if "word_embeddings" in name or name == "lm_head.bias" else tensor
        for name, tensor in tensors.items()
    }


def known_script(folder: Path) -> None:
    """What DinkyTrain's own script makes: RoBERTa's type, and norms inside the attention that nothing uses."""
    tensors = {name.replace(OWN, "roberta.", 1): tensor for name, tensor in load_file(folder / WEIGHTS).items()}
    for n in range(3):
        at = f"roberta.encoder.layer.{n}.attention.self.LayerNorm."
        tensors |= {at + "weight": torch.ones(48), at + "bias": torch.zeros(48)}
    (folder / WEIGHTS).unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    config(model_type="roberta", architectures=["RobertaForMaskedLM"])(folder)


def custom_code(folder: Path) -> None:
    """Every way by which a folder can name code; any of it would leave a file behind."""
    source = f"import pathlib\npathlib.Path({str(folder / 'ran')!r}).touch()\n"
    (folder / "modeling.py").write_text(source)
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "modeling.Model"}]))
    config(auto_map={"AutoModel": "modeling.Model"}, _attn_implementation="lab/kernel")(folder)
    tokenizer(auto_map={"AutoTokenizer": ["modeling.Tokenizer", None]})(folder)


OWN = "roberta_prelayernorm."
EMBEDDING = f"{OWN}embeddings.word_embeddings.weight"
LOADS = frozenset({"AutoModelForMaskedLM", "AutoModelForPreTraining", "AutoModel", "new heads"})
# What a masked LM's numbers go through.
COMPUTED = frozenset(
    {"pipeline fill-mask", "pipeline feature-extraction", "fine-tuning", "save and reload", "longest text"}
)
FAULTS: dict[str, Fault] = {
    "the known script's folder": Fault(
        "masked-lm", known_script, LOADS | {"files", "config"}, "config: model_type is roberta, which is neither"
    ),
    "weights without the base model's prefix": Fault(
        "masked-lm", renamed(OWN, "encoder_of_ours."), LOADS | {"pipeline fill-mask", "pipeline feature-extraction"},
        "RobertaPreLayerNormModel has 55 missing keys", alone=False,
    ),
    "one tensor of the encoder lost": Fault(
        "masked-lm", without(f"{OWN}encoder.layer.1.intermediate.dense.weight"),
        LOADS | {"pipeline fill-mask", "pipeline feature-extraction"},
        "RobertaPreLayerNormModel has 1 missing keys: encoder.layer.1.intermediate.dense.weight",
    ),
    "a tensor too many": Fault(
        "masked-lm", weights(lambda tensors: {**tensors, f"{OWN}extra": torch.ones(2)}), LOADS, "1 unexpected keys"
    ),
    "a tokenizer larger than the embedding": Fault(
        "masked-lm", several(weights(fewer_rows), config(vocab_size=433)), frozenset({"AutoTokenizer"}),
        "AutoTokenizer: the tokenizer has ids up to 437, and the embedding has 433 rows",
    ),
    "model_max_length too long by 2": Fault(
        "masked-lm", tokenizer(model_max_length=130), frozenset({"longest text"}),
        "longest text: model_max_length is 130, and the model has positions for 128 tokens: ",
    ),
    "no model_max_length": Fault(
        "masked-lm", tokenizer(model_max_length=None), frozenset({"longest text"}), "has no model_max_length"
    ),
    "an untied head lost to the tie": Fault(
        "untied", config(tie_word_embeddings=True), frozenset({"config"}),
        "tie_word_embeddings is true, and 'lm_head.decoder.weight' is not the embedding", alone=False,
    ),
    "an untied head left out": Fault(
        "untied", without("lm_head.decoder.weight"),
        frozenset({"config", "AutoModelForMaskedLM", "AutoModelForPreTraining", "pipeline fill-mask"}),
        "the head would be random",
    ),
    "custom code": Fault("masked-lm", custom_code, frozenset({"custom code"}), "config.json: 'auto_map' names code"),
    "no label names": Fault(
        "xl-classifier", config(id2label=None, label2id=None), frozenset({"labels", "AutoModelForSequenceClassification"}),
        "config.json has no id2label", alone=False,
    ),
    "labels that are not inverse": Fault(
        "classifier", config(label2id={"0": 2, "1": 1, "2": 0}), frozenset({"labels"}), "not id2label turned round"
    ),
    "a wrong pad id": Fault(
        "masked-lm", config(pad_token_id=3), frozenset({"config", "AutoTokenizer", "longest text"}),
        "config: pad_token_id is 3, and the position table has its empty row at 1",
    ),
    "a wrong pad id without a tokenizer": Fault(
        "no-tokenizer", config(pad_token_id=0), frozenset({"config"}), "its empty row at 1"
    ),
    "NaN in the weights": Fault(
        "masked-lm", spoil(f"{OWN}encoder.layer.0.output.dense.weight", float("nan")), COMPUTED | {"weights"},
        "weights: 'roberta_prelayernorm.encoder.layer.0.output.dense.weight' holds 1 values that are NaN",
    ),
    "NaN without a tokenizer": Fault(
        "no-tokenizer", spoil(f"{OWN}encoder.layer.0.output.dense.weight", float("nan")),
        frozenset({"weights", "longest text", "fine-tuning", "save and reload"}),
        "the outputs of 128 tokens are not all finite",
    ),
    "NaN in a regression": Fault(
        "regression", spoil(f"{OWN}encoder.layer.0.output.dense.weight", float("nan")),
        COMPUTED - {"pipeline fill-mask"} | {"weights", "pipeline text-classification"},
        "pipeline text-classification: scores that are no numbers",
    ),
    "infinity in a row that no text needs": Fault(
        "masked-lm", spoil(f"{OWN}embeddings.position_embeddings.weight", float("inf")), frozenset({"weights"}),
        "holds 1 values",
    ),
    "a silent default": Fault(
        "masked-lm", config(layer_norm_eps=None), frozenset({"config"}), "config.json has no 'layer_norm_eps'"
    ),
    "safetensors without their format": Fault(
        "masked-lm", weights(lambda tensors: None, metadata={}), frozenset({"files"}), "no metadata 'format: pt'",
        alone=False,  # transformers 4 refuses them
    ),
    "a mask that no text becomes": Fault(
        "masked-lm", tokenizer(mask_token=None), frozenset({"AutoTokenizer", "pipeline fill-mask"}), "has no mask token"
    ),
    "a type that the tensors are not of": Fault(
        "masked-lm", config(dtype="bfloat16"), frozenset({"config"}),
        "dtype is bfloat16, and the tensors are of type float32", alone=False,  # transformers 5 rounds them
    ),
}  # fmt: skip
