"""The three kinds of modules that have parameters: linear maps, tables and norms.

Their leaves are named as in transformers' Flax: `kernel`, `embedding`, `scale` and `bias`.
"""

from __future__ import annotations

from typing import NamedTuple

from flax import nnx
from jax import numpy as jnp

from prenorm_model.config import RobertaPreLayerNormConfig


class Making(NamedTuple):
    """How a model's parameters are made.

    Attributes:
        dtype: the type that is computed in; parameters of another type are converted where they are used.
        rngs: what NNX asks for. Models are made as shapes alone, and their weights drawn or loaded afterwards.
    """

    dtype: jnp.dtype
    rngs: nnx.Rngs


def linear(inputs: int, outputs: int, making: Making, *, has_bias: bool = True) -> nnx.Linear:
    """Return a linear map.

    Args:
        inputs: size of what goes in.
        outputs: size of what comes out.
        making: how its parameters are made.
        has_bias: whether it adds a bias.

    Returns:
        The module, with a kernel [inputs, outputs].
    """
    return nnx.Linear(inputs, outputs, use_bias=has_bias, dtype=making.dtype, rngs=making.rngs)


def table(rows: int, features: int, making: Making) -> nnx.Embed:
    """Return a table of embeddings.

    Args:
        rows: number of ids.
        features: size of an embedding.
        making: how its parameters are made.

    Returns:
        The module.
    """
    return nnx.Embed(rows, features, dtype=making.dtype, rngs=making.rngs)


def norm(config: RobertaPreLayerNormConfig, making: Making) -> nnx.LayerNorm:
    """Return a LayerNorm of the hidden states.

    Args:
        config: the model's configuration.
        making: how its parameters are made.

    Returns:
        The module.
    """
    # The variance in two passes, as PyTorch computes it: the mean of squares minus the square of the mean loses digits.
    return nnx.LayerNorm(
        config.hidden_size, epsilon=config.layer_norm_eps, dtype=making.dtype, use_fast_variance=False, rngs=making.rngs
    )
