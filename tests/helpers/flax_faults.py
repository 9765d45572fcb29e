"""Faults planted in the Flax model."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
from flax import nnx
from jax import numpy as jnp

from helpers.planted_faults import Plant, patch
from helpers.runtime_faults import around, together
from prenorm_model.flax import attention, classification, embeddings, heads, layer, modeling, packing
from prenorm_model.flax.activations import gelu_tanh
from prenorm_model.flax.dropout import drop


def one_epsilon(real: Any, self: Any, config: Any, number: int, making: Any) -> None:
    real(self, config, number, making)
    if number == 1:
        self.intermediate.LayerNorm.epsilon = 1e-12


def swap_query_and_key(real: Any, self: Any, *args: Any) -> Any:
    if self.layer == 1:
        self.query, self.key = self.key, self.query
    return real(self, *args)


def swap_norms(real: Any, self: Any, *args: Any) -> Any:
    self.attention.LayerNorm, self.intermediate.LayerNorm = self.intermediate.LayerNorm, self.attention.LayerNorm
    return real(self, *args)


def float32_softmax(x: Any, axis: int) -> Any:
    return jax.nn.softmax(x.astype(jnp.float32), axis=axis).astype(x.dtype)


def interleaved(real: Any, self: Any, x: Any, context: Any) -> Any:
    split = real(self, x, context)
    return split.reshape(*split.shape[:2], self.head_size, self.num_heads).swapaxes(2, 3)


def positions_from_pad(input_ids: Any, pad_token_id: int, past: int = 0) -> Any:
    real = (input_ids != pad_token_id).astype(jnp.int32)
    return (jnp.cumsum(real, axis=1) - 1) * real + pad_token_id


def residual_behind_norm(self: Any, x: Any, context: Any, collected: Any) -> Any:
    x = self.LayerNorm(x)
    return x + self.output(self.self(x, context, collected), context)


def norm_behind_block(self: Any, x: Any, context: Any, collected: Any) -> Any:
    return self.LayerNorm(x + self.output(self.self(x, context, collected), context))


def turned_round(real: Any, self: Any, *args: Any, **options: Any) -> Any:
    self.layer = nnx.List(list(self.layer)[::-1])
    return real(self, *args, **options)


class NoNorm(nnx.LayerNorm):
    def __call__(self, x: Any) -> Any:
        return x


def no_norm(config: Any, making: Any) -> NoNorm:
    return NoNorm(config.hidden_size, dtype=making.dtype, rngs=making.rngs)


def without_tanh(self: Any, hidden: Any, keys: Any) -> Any:
    return self.out_proj(self.dense(hidden[:, 0]))


def left_on(rate: float, x: Any, key: Any) -> Any:
    return drop(rate, x, jax.random.key(1))


FAULTS: Mapping[str, Plant] = {
    "epsilon wrong in one module": around(layer.FlaxLayer, "__init__", one_epsilon),
    "tanh GELU": patch(layer, "activation", lambda name: gelu_tanh),
    "tanh GELU in the LM head": patch(heads, "gelu", gelu_tanh),
    "mask ignored": patch(modeling, "encoder_mask", lambda mask: None),
    "pads attended to": patch(
        modeling, "encoder_mask", lambda mask: None if mask is None or mask.all() else (mask == 0)[:, None, None]
    ),
    "scores not scaled": patch(attention, "math", SimpleNamespace(sqrt=lambda size: 1.0)),
    "softmax in float32": patch(attention, "jax", SimpleNamespace(nn=SimpleNamespace(softmax=float32_softmax))),
    "heads interleaved": around(attention.FlaxMultiHeadAttention, "_heads", interleaved),
    "q and k swapped in one layer": around(attention.FlaxMultiHeadAttention, "__call__", swap_query_and_key),
    "positions start at the pad": patch(modeling, "positions_from_ids", positions_from_pad),
    "residual from behind the norm": patch(attention.FlaxAttention, "__call__", residual_behind_norm),
    "norm behind the block": patch(attention.FlaxAttention, "__call__", norm_behind_block),
    "the two norms of a layer swapped": around(layer.FlaxLayer, "__call__", swap_norms),
    "two layers swapped": around(layer.FlaxEncoder, "__call__", turned_round),
    "norm after the embeddings left out": patch(embeddings, "norm", no_norm),
    "final norm left out": patch(modeling, "norm", no_norm),
    "LM-head norm left out": patch(heads, "norm", no_norm),
    "LM-head bias left out": around(
        heads.FlaxLMHead, "__call__", lambda real, self, features, words: real(self, features, words) - self.bias[...]
    ),
    "dropout left on": patch(embeddings, "drop", left_on),
    "tokens in other places, where pads are left out": around(
        packing.FlaxPacking, "unpack", lambda real, self, x: real(self, jnp.roll(x, 1, axis=0))
    ),
    "tanh of the head left out": together(
        patch(classification.FlaxClassificationHead, "__call__", without_tanh),
        patch(modeling.FlaxPooler, "__call__", lambda self, hidden: self.dense(hidden[:, 0])),
    ),
    "head of the last token": together(
        around(
            classification.FlaxClassificationHead, "__call__", lambda real, self, x, keys: real(self, x[:, -1:], keys)
        ),
        around(modeling.FlaxPooler, "__call__", lambda real, self, x: real(self, x[:, -1:])),
    ),
}
