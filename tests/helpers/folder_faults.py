"""Faults of a folder, or of the model that computes it, and the checks of `verify` that must see each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from prenorm_model.torch import base, embeddings, heads, modeling
from prenorm_model.torch.activations import gelu_tanh

Tensors = dict[str, Tensor]
KINDS = ("masked-lm", "classification", "choice", "xl")
WITH_LM = ("masked-lm", "xl")
HEADED = ("masked-lm", "classification", "choice")  # with a norm after the embeddings


@dataclass(frozen=True)
class Fault:
    """One fault: what it does to a folder (or to the model), where it can be, and the checks that must fail."""

    name: str
    plant: Callable[[Path, pytest.MonkeyPatch], None]
    seen_by: tuple[str, ...]
    kinds: tuple[str, ...] = KINDS


def weights(change: Callable[[Tensors, Callable[[str], str]], object]) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """The tensors are changed; `change` gets them, and a function from the name in roberta-prelayernorm to the folder's."""

    def plant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = folder / "model.safetensors"
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
        is_xl = any(name.startswith("roberta.") for name in tensors)
        change(tensors, xl_name if is_xl else own_name)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, {"format": "pt"})

    return plant


def own_name(name: str) -> str:
    return name if name.startswith(("lm_head", "classifier")) else f"roberta_prelayernorm.{name}"


def xl_name(name: str) -> str:
    if name.startswith(("lm_head", "classifier")):
        return name
    for own, other in (
        ("attention.LayerNorm", "attention.self_attn_layer_norm"),
        ("intermediate.LayerNorm", "LayerNorm"),
    ):
        name = name.replace(own, other)
    return f"roberta.encoder.{name}" if name.startswith("LayerNorm") else f"roberta.{name}"


def tensor(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """One tensor is changed."""

    def edit(tensors: Tensors, named: Callable[[str], str]) -> None:
        tensors[named(name)] = change(tensors[named(name)])

    return weights(edit)


def swap(first: str, second: str) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """Tensors whose names start so are taken for each other."""

    def edit(tensors: Tensors, named: Callable[[str], str]) -> None:
        for part in ("weight", "bias"):
            one, other = f"{named(first)}.{part}", f"{named(second)}.{part}"
            tensors[one], tensors[other] = tensors[other], tensors[one]

    return weights(edit)


def swap_layers(tensors: Tensors, named: Callable[[str], str]) -> None:
    one, other = named("encoder.layer.0."), named("encoder.layer.1.")
    for name in [name for name in tensors if name.startswith(one)]:
        twin = other + name.removeprefix(one)
        tensors[name], tensors[twin] = tensors[twin], tensors[name]


def other_layer(tensors: Tensors, named: Callable[[str], str]) -> None:
    key = "attention.self.key.weight"
    tensors[named(f"encoder.layer.1.{key}")] = tensors[named(f"encoder.layer.0.{key}")].clone()


def cancel(tensors: Tensors, named: Callable[[str], str]) -> None:
    """Values and output projection negated: no number changes, and yet these are not the checkpoint's weights."""
    at = named("encoder.layer.1.attention.")
    for name in ("self.value.weight", "self.value.bias", "output.dense.weight"):
        tensors[at + name] = -tensors[at + name]


def drop(name: str) -> Callable[[Path, pytest.MonkeyPatch], None]:
    return weights(lambda tensors, named: tensors.pop(named(name)))


def round_trip(dtype: torch.dtype) -> Callable[[Path, pytest.MonkeyPatch], None]:
    return weights(lambda tensors, named: tensors.update({k: v.to(dtype).to(v.dtype) for k, v in tensors.items()}))


def config(**values: object) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """config.json says something else."""

    def plant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return plant


def fewer(field: str, by: int) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """config.json says a smaller number."""

    def plant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = folder / "config.json"
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, field: content[field] - by}))

    return plant


def both(*plants: Callable[[Path, pytest.MonkeyPatch], None]) -> Callable[[Path, pytest.MonkeyPatch], None]:
    def plant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for one in plants:
            one(folder, monkeypatch)

    return plant


def patch(owner: Any, name: str, value: object) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """The model is wrong, not the folder."""
    return lambda folder, monkeypatch: monkeypatch.setattr(owner, name, value)


def one_epsilon(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """config.json is right, and one module has another epsilon all the same."""
    real = modeling.RobertaPreLayerNormModel.__init__

    def wrong(self: Any, *args: Any, **options: Any) -> None:
        real(self, *args, **options)
        self.encoder.layer[1].intermediate.LayerNorm.eps = 1e-12

    monkeypatch.setattr(modeling.RobertaPreLayerNormModel, "__init__", wrong)


def pads_attended_to(mask: Tensor | None, skip_full: bool) -> Tensor | None:
    """An attention mask that is turned round."""
    return None if mask is None else ~mask.bool()[:, None, None]


def stay_in_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model keeps its dropout on."""
    monkeypatch.setattr(base.PretrainedModel, "eval", lambda self: self.train())


def positions_from_pad(input_ids: Tensor, pad_token_id: int, past: int = 0) -> Tensor:
    real = input_ids.ne(pad_token_id)
    return (real.cumsum(dim=1) - 1) * real + pad_token_id


def labels_flipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "config.json"
    content = json.loads(path.read_text())
    names = list(content["id2label"].values())[::-1]
    content["id2label"] = {str(number): name for number, name in enumerate(names)}
    content["label2id"] = {name: number for number, name in enumerate(names)}
    path.write_text(json.dumps(content))


def random_type_row(tensors: Tensors, named: Callable[[str], str]) -> None:
    name = named("embeddings.token_type_embeddings.weight")
    tensors[name] = torch.cat([tensors[name], torch.randn(1, tensors[name].shape[1])])


def halves_swapped(t: Tensor) -> Tensor:
    return t.roll(t.shape[0] // 2, 0)


def set_row(row: int, value: float) -> Callable[[Tensor], Tensor]:
    def change(t: Tensor) -> Tensor:
        t[row] = value
        return t

    return change


def one_percent(t: Tensor) -> Tensor:
    t[3, 5] *= 1.01
    return t


def other_head(t: Tensor) -> Tensor:
    """The rows of the first two of four heads."""
    size = t.shape[0] // 4
    return torch.cat([t[size : 2 * size], t[:size], t[2 * size :]])


LAYER = "encoder.layer.1."
WORDS, PLACES = "embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight"
NUMBERS = ("modules", "tensors")
FAULTS = (
    Fault("layer_norm_eps 1e-12", config(layer_norm_eps=1e-12), ("config", "modules")),
    Fault("tanh GELU", config(hidden_act="gelu_new"), ("config", "modules")),
    Fault("relu", config(hidden_act="relu"), ("config", "modules")),
    Fault("tanh GELU in the LM head", patch(heads, "gelu", gelu_tanh), ("logits",), WITH_LM),
    Fault("final norm's weights lost", tensor("LayerNorm.weight", torch.ones_like), NUMBERS),
    Fault("norm after the embeddings lost", tensor("embeddings.LayerNorm.weight", torch.ones_like), NUMBERS, HEADED),
    Fault("q and k swapped in one layer", swap(f"{LAYER}attention.self.query", f"{LAYER}attention.self.key"), NUMBERS),
    Fault("k and v swapped in one layer", swap(f"{LAYER}attention.self.key", f"{LAYER}attention.self.value"), NUMBERS),
    Fault("positions start at the pad", patch(embeddings, "positions_from_ids", positions_from_pad), ("modules",)),
    Fault("position rows shifted by one", tensor(PLACES, lambda t: t.roll(1, 0)), NUMBERS),
    Fault("key weight of another layer", weights(other_layer), NUMBERS),
    Fault("FFN weight scaled", tensor(f"{LAYER}intermediate.dense.weight", lambda t: t * 0.125), NUMBERS),
    Fault("two layers swapped", weights(swap_layers), NUMBERS),
    Fault("the two norms of a layer swapped", swap(f"{LAYER}attention.LayerNorm", f"{LAYER}intermediate.LayerNorm"), NUMBERS),
    Fault("one embedding row zeroed", tensor(WORDS, set_row(20, 0.0)), ("tensors",)),
    Fault("last position row zeroed", tensor(PLACES, set_row(-1, 0.0)), NUMBERS),
    Fault("token-type row not zero", tensor("embeddings.token_type_embeddings.weight", set_row(0, 1e-3)), ("tensors",)),
    Fault("one weight changed by 1 %", tensor(f"{LAYER}intermediate.dense.weight", one_percent), NUMBERS),
    Fault("heads 4 -> 2", config(num_attention_heads=2), ("config", "modules")),
    Fault("one layer fewer", config(num_hidden_layers=1), ("config", "logits")),
    Fault("out_proj transposed", tensor(f"{LAYER}attention.output.dense.weight", torch.t), NUMBERS),
    Fault("float16 round trip", round_trip(torch.float16), NUMBERS),
    Fault("bfloat16 round trip", round_trip(torch.bfloat16), NUMBERS),
    Fault("one tensor missing", drop(f"{LAYER}output.dense.bias"), ("tensors", "logits")),
    Fault("mask ignored", patch(modeling, "encoder_mask", lambda mask, skip_full: None), ("modules",)),
    Fault("pads attended to", patch(modeling, "encoder_mask", pads_attended_to), ("modules",)),
    Fault("one head's rows permuted", tensor(f"{LAYER}attention.self.query.weight", other_head), NUMBERS),
    Fault("FFN halves swapped", tensor(f"{LAYER}intermediate.dense.weight", halves_swapped), NUMBERS),
    Fault("LM-head norm lost", tensor("lm_head.layer_norm.weight", torch.ones_like), ("logits", "tensors"), WITH_LM),
    Fault("LM-head bias lost", tensor("lm_head.bias", torch.zeros_like), ("logits", "tensors"), WITH_LM),
    Fault("LM-head dense transposed", tensor("lm_head.dense.weight", torch.t), ("logits", "tensors"), WITH_LM),
    Fault("tied flag wrong", config(tie_word_embeddings=False), ("config",), WITH_LM),
    Fault("pooler transposed", tensor("pooler.dense.weight", torch.t), NUMBERS, ("choice",)),
    Fault("pooler's bias lost", tensor("pooler.dense.bias", torch.zeros_like), NUMBERS, ("choice",)),
    Fault("choice's bias lost", tensor("classifier.bias", torch.zeros_like), ("logits", "tensors"), ("choice",)),
    Fault("head's dense bias lost", tensor("classifier.dense.bias", torch.zeros_like), NUMBERS, ("classification",)),
    Fault("outputs permuted", tensor("classifier.out_proj.weight", lambda t: t.flip(0)), ("logits", "tensors"),
          ("classification",)),
    Fault("label order flipped", labels_flipped, ("config",), ("classification",)),
    Fault("vocabulary rows permuted", tensor(WORDS, lambda t: torch.cat([t[:20], t[20:].flip(0)])), NUMBERS),
    Fault("vocabulary row dropped", both(tensor(WORDS, lambda t: t[:-1]), fewer("vocab_size", 1)), ("config", "tensors")),
    Fault("pad id wrong", config(pad_token_id=0), ("config",)),
    Fault("epsilon wrong in one module", one_epsilon, ("modules",)),
    Fault("dropout left on", stay_in_training, ("modules",)),
    Fault("position table truncated", both(tensor(PLACES, lambda t: t[:-4]), fewer("max_position_embeddings", 4)),
          ("config", "tensors")),
    Fault("second token-type row, random", both(weights(random_type_row), config(type_vocab_size=2)), ("config", "tensors")),
    Fault("dtype in config wrong", config(dtype="float16"), ("config",)),
    Fault("model_type roberta", config(model_type="roberta"), ("config", "logits")),
    Fault("relative positions", config(position_embedding_type="relative_key"), ("config",)),
    Fault("decoder", config(is_decoder=True), ("config",)),
    Fault("query bias lost", tensor(f"{LAYER}attention.self.query.bias", torch.zeros_like), NUMBERS),
    Fault("key bias lost", tensor(f"{LAYER}attention.self.key.bias", torch.zeros_like), NUMBERS),
    Fault("values and their projection negated", weights(cancel), ("tensors",)),
    Fault("NaN in a weight", tensor(f"{LAYER}output.dense.weight", set_row(2, float("nan"))), NUMBERS),
    Fault("dropout rate in config wrong", config(hidden_dropout_prob=0.3), ("config",)),
)  # fmt: skip
