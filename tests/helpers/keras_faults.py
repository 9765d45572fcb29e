"""Faults planted in the Keras model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import keras
from keras import ops

from helpers.planted_faults import Plant, patch
from helpers.runtime_faults import around, together
from prenorm_model.keras import attention, classification, embeddings, heads, layer, linear, modeling
from prenorm_model.keras.activations import gelu_tanh


def one_epsilon(real: Any, self: Any, x: Any, **rest: Any) -> Any:
    if self.name == "layer_1":
        self.intermediate.LayerNorm.epsilon = 1e-12
    return real(self, x, **rest)


def swap_query_and_key(real: Any, self: Any, x: Any, **rest: Any) -> Any:
    if self.layer != 1:
        return real(self, x, **rest)
    with swapped((self, "query"), (self, "key")):
        return real(self, x, **rest)


def swap_norms(real: Any, self: Any, x: Any, **rest: Any) -> Any:
    with swapped((self.attention.LayerNorm, "call"), (self.intermediate.LayerNorm, "call")):
        return real(self, x, **rest)


@contextmanager
def swapped(one: tuple[Any, str], other: tuple[Any, str]) -> Iterator[None]:
    """Keras keeps a model between calls, so what is swapped for one is put back."""
    before = getattr(*one), getattr(*other)
    setattr(*one, before[1])
    setattr(*other, before[0])
    yield
    setattr(*one, before[0])
    setattr(*other, before[1])


def float32_softmax(x: Any, axis: int) -> Any:
    return ops.cast(ops.softmax(ops.cast(x, "float32"), axis=axis), x.dtype)


def interleaved(self: Any, x: Any) -> Any:
    batch, length = ops.shape(x)[:2]
    return ops.transpose(ops.reshape(x, (batch, length, self.head_size, self.num_heads)), (0, 3, 1, 2))


def positions_from_pad(input_ids: Any, pad_token_id: int, past: int = 0) -> Any:
    real = ops.cast(ops.not_equal(input_ids, pad_token_id), "int32")
    return (ops.cumsum(real, axis=1) - 1) * real + pad_token_id


def residual_behind_norm(self: Any, x: Any, context: Any, collected: Any) -> Any:
    x = self.LayerNorm(x)
    return x + self.output(self.self(x, context=context, collected=collected))


def norm_behind_block(self: Any, x: Any, context: Any, collected: Any) -> Any:
    return self.LayerNorm(x + self.output(self.self(x, context=context, collected=collected)))


def turned_round(real: Any, self: Any, *args: Any, **options: Any) -> Any:
    with swapped((self, "layer"), (SimpleNamespace(other=self.layer[::-1]), "other")):
        return real(self, *args, **options)


class NoNorm(linear.Norm):
    def call(self, inputs: Any) -> Any:
        return inputs


def in_other_places(real: Any, *args: Any) -> Any:
    packing = real(*args)
    return packing if packing.places is None else replace(packing, places=ops.roll(packing.places, 1))


def without_tanh(self: Any, hidden: Any) -> Any:
    return self.out_proj(self.dense(hidden[:, 0]))


FAULTS: Mapping[str, Plant] = {
    "epsilon wrong in one module": around(layer.Layer, "call", one_epsilon),
    "tanh GELU": patch(layer, "activation", lambda name: gelu_tanh),
    "tanh GELU in the LM head": patch(heads, "gelu", gelu_tanh),
    "mask ignored": patch(modeling, "encoder_mask", lambda mask: None),
    "pads attended to": patch(
        modeling, "encoder_mask", lambda mask: None if mask is None else ops.equal(mask, 0)[:, None, None]
    ),
    "scores not scaled": patch(attention, "math", SimpleNamespace(sqrt=lambda size: 1.0)),
    "softmax in float32": patch(attention, "ops", SimpleNamespace(**{**vars(ops), "softmax": float32_softmax})),
    "heads interleaved": patch(attention.MultiHeadAttention, "_heads", interleaved),
    "q and k swapped in one layer": around(attention.MultiHeadAttention, "call", swap_query_and_key),
    "positions start at the pad": patch(embeddings, "positions_from_ids", positions_from_pad),
    "residual from behind the norm": patch(attention.Attention, "call", residual_behind_norm),
    "norm behind the block": patch(attention.Attention, "call", norm_behind_block),
    "the two norms of a layer swapped": around(layer.Layer, "call", swap_norms),
    "two layers swapped": around(layer.Encoder, "call", turned_round),
    "norm after the embeddings left out": patch(embeddings, "Norm", NoNorm),
    "final norm left out": patch(modeling, "Norm", NoNorm),
    "LM-head norm left out": patch(heads, "Norm", NoNorm),
    "LM-head bias left out": around(
        heads.LMHead, "call", lambda real, self, features, words: real(self, features, words) - self.bias
    ),
    "dropout left on": around(
        keras.layers.Dropout, "call", lambda real, self, x, training=False: real(self, x, training=True)
    ),
    "tokens in other places, where pads are left out": around(modeling, "plan_packing", in_other_places),
    "tanh of the head left out": together(
        patch(classification.ClassificationHead, "call", without_tanh),
        patch(modeling.Pooler, "call", lambda self, hidden: self.dense(hidden[:, 0])),
    ),
    "head of the last token": together(
        around(classification.ClassificationHead, "call", lambda real, self, x: real(self, x[:, -1:])),
        around(modeling.Pooler, "call", lambda real, self, x: real(self, x[:, -1:])),
    ),
}
