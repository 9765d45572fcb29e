"""The three kinds of modules that have parameters: linear maps, tables and norms.

Their leaves are named as in transformers' Flax: `kernel`, `embedding`, `scale` and `bias`.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
from flax import nnx
from jax import Array, lax
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


class Norm(nnx.LayerNorm):
    """LayerNorm with the variance in two passes, as PyTorch computes it, and a derivative of its own.

    The mean of squares minus the square of the mean loses digits, and what JAX derives from two passes is slow.
    """

    def __call__(self, x: Array, *, mask: Array | None = None) -> Array:
        """Normalize the last axis.

        Args:
            x: [..., hidden]; of a half-precision type it is normalized in float32.
            mask: None, since every feature counts.

        Returns:
            [..., hidden], in the type that is computed in.

        Raises:
            ValueError: if there is a mask, or no scale or bias.
        """
        if mask is not None or self.scale is None or self.bias is None:
            raise ValueError("a LayerNorm of hidden states has scale and bias, and takes no mask")
        wide = jnp.promote_types(x.dtype, jnp.float32)
        y = _normalized(x.astype(wide), self.epsilon) * self.scale[...].astype(wide) + self.bias[...].astype(wide)
        return y.astype(self.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _normalized(x: Array, epsilon: float) -> Array:
    """Return (x - mean) / sqrt(variance + epsilon) along the last axis."""
    return _normalized_and_factor(x, epsilon)[0]


def _normalized_and_factor(x: Array, epsilon: float) -> tuple[Array, Array]:
    """Return the normalized values, and 1 / sqrt(variance + epsilon), [..., 1]."""
    centered = x - _mean(x)
    factor = lax.rsqrt(_mean(jnp.square(centered)) + epsilon)
    return centered * factor, factor


@_normalized.defjvp
def _normalized_jvp(epsilon: float, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """Return y, and dy = s (dx - mean(dx) - y mean(y dx)), where s is 1 / sqrt(variance + epsilon)."""
    (x,), (dx,) = primals, tangents
    y, factor = _normalized_and_factor(x, epsilon)
    return y, factor * (dx - _mean(dx) - y * _mean(y * dx))


def _mean(x: Array) -> Array:
    """Return the mean of the last axis, [..., 1], by a product: on a CPU XLA reduces the last axis one value at a time."""
    return jnp.matmul(x, jnp.full((x.shape[-1], 1), 1 / x.shape[-1], x.dtype), precision=lax.Precision.HIGHEST)


def norm(config: RobertaPreLayerNormConfig, making: Making) -> Norm:
    """Return a LayerNorm of the hidden states.

    Args:
        config: the model's configuration.
        making: how its parameters are made.

    Returns:
        The module.
    """
    return Norm(config.hidden_size, epsilon=config.layer_norm_eps, dtype=making.dtype, rngs=making.rngs)
