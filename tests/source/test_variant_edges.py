"""Where arguments and tensors disagree, where layers are picked, types mixed, names old, and models something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers.checkpoints import save_edited
from helpers.paths import FIXTURES, MLM
from helpers.variants import VARIANTS
from prenorm import convert, inspect
from prenorm.mapping.understood import prepare
from prenorm.options import SourceOptions
from prenorm.parts import open_checkpoint

Content = dict[str, Any]
Edit = Callable[[Content], None]
AT = "encoder.sentence_encoder."
CLASSIFIER = VARIANTS / "sequence-classification" / "checkpoint.pt"


def say(**values: object) -> Edit:
    """The arguments say something else."""

    def edit(content: Content) -> None:
        model = content["cfg"]["model"]
        (model if isinstance(model, dict) else vars(model)).update(values)

    return edit


def put(**tensors: torch.Tensor) -> Edit:
    """There are more tensors; two underscores stand for a dot."""

    def edit(content: Content) -> None:
        content["model"] |= {AT + key.replace("__", "."): value for key, value in tensors.items()}

    return edit


def rename(*pairs: tuple[str, str]) -> Edit:
    def edit(content: Content) -> None:
        model = {}
        for key, value in content["model"].items():
            for old, new in pairs:
                key = key.replace(old, new)
            model[key] = value
        content["model"] = model

    return edit


def both(*edits: Edit) -> Edit:
    def edit(content: Content) -> None:
        for one in edits:
            one(content)

    return edit


def change(key: str, to: Callable[[torch.Tensor], torch.Tensor]) -> Edit:
    def edit(content: Content) -> None:
        content["model"][key] = to(content["model"][key])

    return edit


LM = "encoder.lm_head.weight"
CONTRADICTIONS: dict[str, tuple[Edit, str]] = {
    "untied, said to be tied": (
        change(LM, lambda t: t + 1),
        f"untie_weights_roberta=False in the arguments, but '{LM}' is not",
    ),
    "final norm, said to have none": (
        say(encoder_normalize_before=False),
        "encoder_normalize_before=False in the arguments, a",
    ),
    "embedding norm, said to have none": (
        say(layernorm_embedding=False),
        "layernorm_embedding=False in the arguments, a",
    ),
    "no embedding norm, said to have one": (
        lambda content: (
            [content["model"].pop(f"{AT}layernorm_embedding.{part}") for part in ("weight", "bias")] and None
        ),
        "layernorm_embedding=True in the arguments, no",
    ),
    "version of models without the final norm": (put(version=torch.tensor([1.0])), f"'{AT}version' is 1"),
    "version in half precision": (put(version=torch.tensor([1.0]).bfloat16()), f"'{AT}version' is 1"),
    "another length": (say(max_positions=100), f"max_positions=100, but '{AT}embed_positions.weight' has 130 rows"),
    "a table, said to be sinusoidal": (
        say(encoder_learned_pos=False),
        "encoder_learned_pos=False, but there is a learned table",
    ),
    "a table, said to have none": (
        say(no_token_positional_embeddings=True),
        "no_token_positional_embeddings=True, but there is",
    ),
    "layers that are not there": (
        say(encoder_layers_to_keep="0,7"),
        "encoder_layers_to_keep=0,7 in the arguments, but the tensors",
    ),
    "no list of layers": (say(encoder_layers_to_keep="first"), "argument encoder_layers_to_keep='first' is no list"),
    "width": (say(encoder_embed_dim=768), "encoder_embed_dim=768 in the arguments, 48 in the tensors"),
    "layers": (say(encoder_layers=12), "encoder_layers=12 in the arguments, 3 in the tensors"),
    "two names for one norm": (
        both(put(emb_layer_norm__weight=torch.ones(48)), put(emb_layer_norm__bias=torch.ones(48))),
        "would both become",
    ),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions_are_refused_naming_both(name: str, tmp_path: Path) -> None:
    edit, said = CONTRADICTIONS[name]
    found = inspect(save_edited(tmp_path / "c.pt", edit))
    assert found.refusal_code == 4
    assert said in str(found.refusal)


def test_a_number_of_classes_that_the_head_has_not(tmp_path: Path) -> None:
    def edit(content: Content) -> None:
        content["cfg"]["task"]["num_classes"] = 5

    found = inspect(save_edited(tmp_path / "c.pt", edit, CLASSIFIER))
    assert (found.refusal_code, "num_classes=5 in the arguments, 3 outputs" in str(found.refusal)) == (4, True)


LAYER = "layers__1__"
REFUSALS: dict[str, tuple[Edit, str]] = {
    "linformer": (
        put(layers__0__self_attn__compress_k__weight=torch.ones(8, 130)),
        "layers.0.self_attn.compress_k.weight' rules",
    ),
    "shared linformer": (
        put(compress_layer__weight=torch.ones(8, 130)),
        "compress_layer.weight' rules it out: it is a Linformer",
    ),
    "bias_k": (put(layers__0__self_attn__bias_k=torch.ones(1, 1, 48)), "layers.0.self_attn.bias_k' rules it out"),
    "segment embeddings": (
        put(segment_embeddings__weight=torch.ones(2, 48)),
        "segment_embeddings.weight' rules it out",
    ),
    "adaptive embeddings": (
        both(
            put(embed_tokens__embeddings__0__0__weight=torch.ones(9, 48)),
            lambda content: content["model"].pop(f"{AT}embed_tokens.weight"),
        ),
        "embed_tokens.embeddings.0.0.weight' rules it out: its input embeddings are adaptive",
    ),
    "adaptive input": (say(adaptive_input=True), "adaptive_input=True"),
    "scalar quantization": (say(quant_noise_scalar=0.5), "quant_noise_scalar=0.5"),
    "pruned heads": (
        both(*(change(f"{AT}layers.1.self_attn.{part}_proj.weight", lambda t: t[:36]) for part in "qkv")),
        "heads were pruned",
    ),
    "pruned feed-forward": (
        change(f"{AT}layers.2.fc1.weight", lambda t: t[:80]),
        f"'{AT}layers.2.fc1.weight' has 80 rows, not 96",
    ),
    "quantized weights": (change(f"{AT}layers.2.fc1.weight", lambda t: t.to(torch.int8)), "is of type int8"),
    "a tensor of somebody's own": (put(layers__0__gate__weight=torch.ones(3)), "layers.0.gate.weight', shape [3]"),
    "unknown activation": (say(activation_fn="mish"), "activation_fn=mish, which is none of those"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_other_models_are_refused_with_what_rules_them_out(name: str, tmp_path: Path) -> None:
    edit, said = REFUSALS[name]
    found = inspect(save_edited(tmp_path / "c.pt", edit))
    assert found.refusal_code == 3
    assert said in str(found.refusal)


def pack(content: Content) -> None:
    """q, k and v stacked, as before November 2019."""
    model = content["model"]
    for n in range(3):
        for part in ("weight", "bias"):
            names = [f"{AT}layers.{n}.self_attn.{name}_proj.{part}" for name in "qkv"]
            model[f"{AT}layers.{n}.self_attn.in_proj_{part}"] = torch.cat([model.pop(name) for name in names])


PREFIX = rename(("encoder.sentence_encoder.", "decoder.sentence_encoder."), ("encoder.lm_head.", "decoder.lm_head."))
NORMS = rename(("self_attn_layer_norm", "layer_norms.0"), ("final_layer_norm", "layer_norms.1"))
EMBEDDING = rename(("layernorm_embedding", "emb_layer_norm"))
OLD: dict[str, Edit] = {
    "decoder prefix": PREFIX,
    "emb_layer_norm": EMBEDDING,
    "numbered norms": NORMS,
    "packed attention": pack,
    "decoder prefix, emb_layer_norm, numbered norms, packed attention": both(pack, NORMS, EMBEDDING, PREFIX),
}


@pytest.mark.slow
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("layout", OLD)
def test_old_names_give_the_same_weights(layout: str, legacy: bool, tmp_path: Path) -> None:
    path = save_edited(tmp_path / "old.pt", OLD[layout], _use_new_zipfile_serialization=not legacy)
    result = convert(path, tmp_path / "old")
    assert result.plan.description.layout == layout
    assert result.report.passed
    convert(MLM, tmp_path / "new")
    old, new = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("old", "new"))
    assert old == new


@pytest.mark.slow
@pytest.mark.parametrize(("listed", "kept"), [("0,2", (0, 2)), ("2, 0", (0, 2)), ([1], (1,)), ("0,1,2", None)])
def test_listed_layers_are_picked_and_renumbered(listed: object, kept: tuple[int, ...] | None, tmp_path: Path) -> None:
    path = save_edited(tmp_path / "c.pt", say(encoder_layers_to_keep=listed))
    result = convert(path, tmp_path / "out")
    assert result.report.passed
    assert result.plan.description.layers_kept == kept
    stored, model = load_file(tmp_path / "out" / "model.safetensors"), torch.load(MLM, weights_only=False)["model"]
    numbers = kept or (0, 1, 2)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["num_hidden_layers"] == len(numbers)
    for place, number in enumerate(numbers):
        name = f"roberta_prelayernorm.encoder.layer.{place}.output.dense.weight"
        assert torch.equal(stored[name], model[f"{AT}layers.{number}.fc2.weight"])
    assert any("of the file's layers only" in text for text in result.warnings) is (kept is not None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "others"), [(torch.float16, "float32"), (torch.bfloat16, "float32"), (torch.float64, "float64")]
)
def test_mixed_types_become_the_wider_one(dtype: torch.dtype, others: str, tmp_path: Path) -> None:
    key = f"{AT}layers.1.fc1.weight"
    path = save_edited(tmp_path / "c.pt", change(key, lambda t: t.to(dtype)))
    result = convert(path, tmp_path / "out", bpe_dir=FIXTURES / "gpt2_bpe")
    assert result.report.passed
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert {str(tensor.dtype) for tensor in stored.values()} == {f"torch.{others}"}
    original = torch.load(path, weights_only=False)["model"][key]
    assert torch.equal(
        stored["roberta_prelayernorm.encoder.layer.1.intermediate.dense.weight"].double(), original.double()
    )


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_are_kept(dtype: torch.dtype, tmp_path: Path) -> None:
    def cast(content: Content) -> None:
        content["model"] = {key: value.to(dtype) for key, value in content["model"].items()}

    result = convert(save_edited(tmp_path / "c.pt", cast), tmp_path / "out", bpe_dir=FIXTURES / "gpt2_bpe")
    assert result.report.passed
    assert result.plan.config["dtype"] == str(dtype).removeprefix("torch.")
    assert {tensor.dtype for tensor in load_file(tmp_path / "out" / "model.safetensors").values()} == {dtype}


@pytest.mark.slow
def test_moving_average_is_converted_when_asked_for(tmp_path: Path) -> None:
    def average(content: Content) -> None:
        content["extra_state"]["ema"] = {
            key: value * 0.5 if value.is_floating_point() else value for key, value in content["model"].items()
        }
        content["extra_state"]["ema"][f"{AT}version"] = torch.tensor([3.0])

    path = save_edited(tmp_path / "c.pt", average)
    convert(path, tmp_path / "model")
    result = convert(path, tmp_path / "ema", weights="ema")
    assert result.report.passed
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("model", "ema")]
    name = "roberta_prelayernorm.encoder.layer.1.output.dense.weight"
    assert torch.equal(weights[0][name] * 0.5, weights[1][name])
    assert "moving average (EMA)" in (tmp_path / "ema" / "README.md").read_text()


def test_inspect_shows_what_was_folded() -> None:
    found = inspect(VARIANTS / "spectral-norm-head" / "checkpoint.pt")
    fates = {
        line.name.rpartition(".")[2]: line
        for line in found.tensors
        if "out_proj.weight_" in line.name and "head" in line.name
    }
    assert {line.target for line in fates.values()} == {"classifier.out_proj.weight"}
    assert {line.reason for line in fates.values()} == {"divided by its spectral norm"}


def test_nothing_is_left_unaccounted_in_any_variant() -> None:
    for path in sorted(VARIANTS.glob("*/checkpoint.pt")):
        try:
            prepared = prepare(open_checkpoint(path), SourceOptions(task="encoder"))
        except Exception as error:
            assert type(error).__name__ in ("NotRepresentable", "UsageProblem"), path
            continue
        moved = {source for row in prepared.plan.rows for source in row.sources}
        dropped = {item.source for item in prepared.plan.dropped}
        assert moved | dropped == set(prepared.tensors), path
        assert not moved & dropped, path
