"""Faults that are small, or at long range only: each is planted in the model that computes a folder of 512 positions."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from helpers.folder_faults import Fault, tensor
from helpers.random_models import Recipe
from prenorm_model.torch import attention, embeddings, layer, modeling
from prenorm_model.torch.activations import FUNCTIONS

Plant = Callable[[Path, pytest.MonkeyPatch], None]
LONG = 512
# Six layers, so that every third is two of them; the planted faults are in the third.
LONG_MODEL = Recipe(
    seed=17, layers=6, heads=4, head_size=4, ffn=32, vocab=45, positions=LONG, embedding_norm=True, kind="masked-lm",
    outputs=1, layout="standard", places="learned", scaled=False, untied=False, spectral=False, activation="gelu",
    dtype=torch.float32, legacy=False, as_args=False, spread=0.3,
)  # fmt: skip
AT = 2


def attend(change: Callable[[int, Tensor, Tensor, Tensor], Tensor | None]) -> Plant:
    """Attention without a mask is another; `change` gets the layer's number and all heads, and may return None."""

    def plant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        sound_forward, sound = attention.MultiHeadAttention.forward, attention.functional.scaled_dot_product_attention
        now = SimpleNamespace(layer=0)

        def forward(self: Any, *args: Any) -> Tensor:
            now.layer = self.layer
            return sound_forward(self, *args)

        def core(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, **options: Any) -> Tensor:
            changed = change(now.layer, query, key, value) if mask is None else None
            return sound(query, key, value, mask, **options) if changed is None else changed

        monkeypatch.setattr(attention.MultiHeadAttention, "forward", forward)
        monkeypatch.setattr(attention, "functional", SimpleNamespace(scaled_dot_product_attention=core))

    return plant


def plain(query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None = None) -> Tensor:
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    return (scores if seen is None else scores.masked_fill(~seen, -math.inf)).softmax(dim=-1) @ value


def windows(every: int) -> Plant:
    """Each query sees 128 keys, in every so-manieth layer."""

    def change(number: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor | None:
        if number % every or query.shape[2] < LONG:
            return None
        place = torch.arange(query.shape[2])
        return plain(query, key, value, (place[:, None] - place).abs() <= 64)

    return attend(change)


def unseen(head: int, query_at: slice, key_at: int) -> Plant:
    """One head of one layer does not see one key."""

    def change(number: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor | None:
        if number != AT or query.shape[2] < LONG:
            return None
        seen = torch.ones(query.shape[1], query.shape[2], key.shape[2], dtype=torch.bool)
        seen[head, query_at, key_at] = False
        return plain(query, key, value, seen)

    return attend(change)


def half_softmax(number: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    return scores.half().softmax(dim=-1).double() @ value


def polynomial_gelu(x: Tensor) -> Tensor:
    """erf by Abramowitz and Stegun, formula 7.1.26: off by 1.5e-7 at most."""
    t = 1 / (1 + 0.3275911 * x.abs() * math.sqrt(0.5))
    terms = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
    series = sum(factor * t ** (power + 1) for power, factor in enumerate(terms))
    erf = (1 - series * torch.exp(-x * x / 2)) * x.sign()
    return 0.5 * x * (1 + erf)


def activation(function: Callable[[Tensor], Tensor]) -> Plant:
    return lambda folder, monkeypatch: monkeypatch.setitem(FUNCTIONS, "gelu", function)


def norm_of(change: Callable[[nn.LayerNorm], None], path: str) -> Plant:
    """One LayerNorm of the model is another."""

    def plant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = modeling.RobertaPreLayerNormModel.__init__

        def wrong(self: Any, *args: Any, **options: Any) -> None:
            real(self, *args, **options)
            change(self.get_submodule(path))

        monkeypatch.setattr(modeling.RobertaPreLayerNormModel, "__init__", wrong)

    return plant


def other_epsilon(norm: nn.LayerNorm) -> None:
    norm.eps = 1.0001e-5


def unbiased(norm: nn.LayerNorm) -> None:
    def forward(x: Tensor) -> Tensor:
        normed: Tensor = (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + norm.eps)
        return normed * norm.weight + norm.bias

    norm.forward = forward  # type: ignore[method-assign]


def interpolated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = embeddings.positions_from_ids

    def positions(input_ids: Tensor, pad_token_id: int, past: Any = 0) -> Tensor:
        rows = sound(input_ids, pad_token_id, past)
        half = LONG // 2
        return torch.where(rows > half, half + (rows - half) // 2, rows)

    monkeypatch.setattr(embeddings, "positions_from_ids", positions)


def rounded_residual(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = attention.Attention.forward

    def forward(self: Any, x: Tensor, *args: Any) -> Tensor:
        sum_ = sound(self, x, *args)
        return sum_.float().double() if self.self.layer == AT else sum_

    monkeypatch.setattr(attention.Attention, "forward", forward)


def long_branch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the feed-forward block gives of many tokens at once is off by one part in a thousand million."""
    sound = layer.Layer._feed_forward

    def feed_forward(self: Any, x: Tensor, wide_bytes: int) -> Tensor:
        values = sound(self, x, wide_bytes)
        return values * (1 + 1e-9) if x.shape[:-1].numel() >= LONG else values

    monkeypatch.setattr(layer.Layer, "_feed_forward", feed_forward)


def next_number(*place: int) -> Callable[[Tensor], Tensor]:
    """One value is the next that its type has."""

    def change(values: Tensor) -> Tensor:
        values[place] = torch.nextafter(values[place], torch.tensor(math.inf))
        return values

    return change


INNER = f"encoder.layer.{AT}.intermediate"
PLACES = "embeddings.position_embeddings.weight"
PRECISE_FAULTS = (
    Fault("windows of 128 tokens in every layer", windows(1), ("modules",)),
    Fault("windows of 128 tokens in every third layer", windows(3), ("modules",)),
    Fault("positions beyond 256 interpolated", interpolated, ("modules",)),
    Fault("one key too few in one head of one layer", unseen(1, slice(None), LONG - 1), ("modules",)),
    Fault("one pair of query and key lost", unseen(0, slice(100, 101), 400), ("modules",)),
    Fault("softmax in float16", attend(half_softmax), ("modules",)),
    Fault("GELU by a polynomial good to 1e-7", activation(polynomial_gelu), ("modules",)),
    Fault("epsilon 1.0001e-5 in one norm", norm_of(other_epsilon, f"{INNER}.LayerNorm"), ("modules",)),
    Fault("epsilon 1.0001e-5 in the final norm", norm_of(other_epsilon, "LayerNorm"), ("modules",)),
    Fault("unbiased variance in one norm", norm_of(unbiased, f"{INNER}.LayerNorm"), ("modules",)),
    Fault("residual rounded to float32 in one layer", rounded_residual, ("modules",)),
    Fault("one unit in the last place of one weight", tensor(f"{INNER}.dense.weight", next_number(3, 5)),
          ("modules", "tensors")),
    Fault("one unit in the last place of one position", tensor(PLACES, next_number(300, 5)), ("modules", "tensors")),
    Fault("one unit in the last place of one bias", tensor(f"{INNER}.dense.bias", next_number(3)), ("modules", "tensors")),
    Fault("1e-9 off where many tokens go at once", long_branch, ("modules",)),
)  # fmt: skip
