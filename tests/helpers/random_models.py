"""Checkpoints of random models: any shape, any layout, any head, with random weights."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from prenorm.reports import Report

AT = "encoder.sentence_encoder."


@dataclass(frozen=True)
class Recipe:
    """What a random checkpoint is made of."""

    seed: int
    layers: int
    heads: int
    head_size: int
    ffn: int
    vocab: int
    positions: int
    embedding_norm: bool
    kind: str
    outputs: int
    layout: str
    places: str
    scaled: bool
    untied: bool
    spectral: bool
    activation: str
    dtype: torch.dtype
    legacy: bool
    as_args: bool
    spread: float

    @property
    def width(self) -> int:
        """The hidden size."""
        return self.heads * self.head_size


def recipes() -> st.SearchStrategy[Recipe]:
    """Recipes that fairseq's options can make."""
    return st.builds(
        Recipe,
        seed=st.integers(0, 2**31),
        layers=st.integers(1, 3),
        heads=st.integers(1, 4),
        head_size=st.sampled_from([2, 4, 6, 10]),
        ffn=st.integers(1, 40),
        vocab=st.integers(8, 90),
        positions=st.integers(2, 40),
        embedding_norm=st.booleans(),
        kind=st.sampled_from(["masked-lm", "sequence-classification", "multiple-choice", "encoder"]),
        outputs=st.integers(1, 5),
        layout=st.sampled_from(["standard", "deepspeed", "packed", "old"]),
        places=st.sampled_from(["learned", "learned", "sinusoidal", "none"]),
        scaled=st.booleans(),
        untied=st.booleans(),
        spectral=st.booleans(),
        activation=st.sampled_from(["gelu", "gelu", "relu", "gelu_accurate", "tanh", "linear", "relu_squared"]),
        dtype=st.sampled_from([torch.float32, torch.float32, torch.float64, torch.float16, torch.bfloat16]),
        legacy=st.booleans(),
        as_args=st.booleans(),
        spread=st.sampled_from([0.02, 0.3, 1.0]),
    ).filter(lambda recipe: recipe.places != "sinusoidal" or recipe.width >= 4)  # fairseq divides by width / 2 - 1


@contextmanager
def drawn_seldom(every: int = 10) -> Iterator[None]:
    """Draws the plot of every tenth conversion, and lets the others have the one before: numbers are judged, not drawings.

    A random model's plot takes longer than its conversion and its proof.
    """
    from prenorm.reports import plots

    draw, numbers, last = plots.plot_png, count(), b""

    def plot_png(report: Report) -> bytes:
        nonlocal last
        last = last if next(numbers) % every else draw(report)
        return last

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "plot_png", plot_png)
        yield


def save(recipe: Recipe, path: Path) -> None:
    """Writes the checkpoint."""
    model = {key: value.to(recipe.dtype) for key, value in _tensors(recipe).items()}
    arguments = {
        "encoder_attention_heads": recipe.heads, "activation_fn": _activation(recipe), "encoder_normalize_before": True,
        "layernorm_embedding": recipe.embedding_norm, "no_scale_embedding": not recipe.scaled,
        "encoder_learned_pos": recipe.places != "sinusoidal", "no_token_positional_embeddings": recipe.places == "none",
        "max_positions": recipe.positions, "untie_weights_roberta": recipe.untied, "pooler_activation_fn": "tanh",
    }  # fmt: skip
    if recipe.as_args:
        content: dict[str, Any] = {"args": Namespace(**arguments, arch="roberta_base", task="masked_lm"), "cfg": None}
    else:
        content = {"args": None, "cfg": {"model": {**arguments, "_name": "roberta"}, "task": {"_name": "masked_lm"}}}
    torch.save({**content, "model": model}, path, _use_new_zipfile_serialization=not recipe.legacy)


def _activation(recipe: Recipe) -> str:
    return "gelu" if recipe.kind == "masked-lm" or recipe.layout == "deepspeed" else recipe.activation


def _tensors(recipe: Recipe) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(recipe.seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64) * recipe.spread

    def linear(name: str, rows: int, columns: int) -> dict[str, Tensor]:
        return {f"{name}.weight": random(rows, columns), f"{name}.bias": random(rows)}

    def norm(name: str) -> dict[str, Tensor]:
        return {f"{name}.weight": 1 + random(recipe.width), f"{name}.bias": random(recipe.width)}

    width, model = recipe.width, {f"{AT}embed_tokens.weight": random(recipe.vocab, recipe.width)}
    if recipe.places == "learned":
        model[f"{AT}embed_positions.weight"] = random(recipe.positions + 2, width)
    if recipe.embedding_norm:
        model |= norm(f"{AT}layernorm_embedding")
    for n in range(recipe.layers):
        at = f"{AT}layers.{n}."
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            model |= linear(f"{at}self_attn.{part}", width, width)
        model |= norm(f"{at}self_attn_layer_norm") | norm(f"{at}final_layer_norm")
        model |= linear(f"{at}fc1", recipe.ffn, width) | linear(f"{at}fc2", width, recipe.ffn)
    model |= norm(f"{AT}layer_norm")
    if recipe.kind == "masked-lm":
        model |= linear("encoder.lm_head.dense", width, width) | norm("encoder.lm_head.layer_norm")
        table = random(recipe.vocab, width) if recipe.untied else model[f"{AT}embed_tokens.weight"]
        model |= {"encoder.lm_head.weight": table, "encoder.lm_head.bias": random(recipe.vocab)}
    elif recipe.kind != "encoder":
        model |= _head(recipe, linear, random)
    return _renamed(model, recipe)


def _head(recipe: Recipe, linear: Any, random: Any) -> dict[str, Tensor]:
    at = "classification_heads.head"
    outputs = 1 if recipe.kind == "multiple-choice" else recipe.outputs
    head: dict[str, Tensor] = linear(f"{at}.dense", recipe.width, recipe.width)
    head |= linear(f"{at}.out_proj", outputs, recipe.width)
    if recipe.spectral:
        weight = head.pop(f"{at}.out_proj.weight")
        u, v = random(outputs).abs() + 0.1, random(recipe.width)
        v = weight.T @ u / (weight.T @ u).norm()
        head |= {
            f"{at}.out_proj.weight_{name}": part for name, part in (("orig", weight), ("u", u / u.norm()), ("v", v))
        }
    return head


def _renamed(model: dict[str, Tensor], recipe: Recipe) -> dict[str, Tensor]:
    """The same under the names of a layout."""
    for n in range(recipe.layers):
        at = f"{AT}layers.{n}."
        if recipe.layout == "standard":
            continue
        stacked = {
            part: torch.cat([model.pop(f"{at}self_attn.{name}_proj.{part}") for name in "qkv"])
            for part in ("weight", "bias")
        }
        if recipe.layout == "deepspeed":
            model |= {f"{at}attn_qkvw": stacked["weight"], f"{at}attn_qkvb": stacked["bias"]}
            for old, new in _KERNEL:
                for part, letter in (("weight", "w"), ("bias", "b")):
                    model[f"{at}{new}{letter}"] = model.pop(f"{at}{old}.{part}")
        else:
            model |= {f"{at}self_attn.in_proj_{part}": value for part, value in stacked.items()}
    if recipe.layout == "old":
        for old, new in (
            ("encoder.sentence_encoder.", "decoder.sentence_encoder."), ("encoder.lm_head.", "decoder.lm_head."),
            ("layernorm_embedding", "emb_layer_norm"), ("self_attn_layer_norm", "layer_norms.0"),
            ("final_layer_norm", "layer_norms.1"),
        ):  # fmt: skip
            model = {key.replace(old, new): value for key, value in model.items()}
    return model


_KERNEL = (
    ("self_attn.out_proj", "attn_o"), ("self_attn_layer_norm", "norm_"), ("fc1", "inter_"), ("fc2", "output_"),
    ("final_layer_norm", "attn_n"),
)  # fmt: skip
