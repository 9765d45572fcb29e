"""One pre-LayerNorm transformer layer, and the stack of them."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx
from jax import Array

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.flax.activations import activation
from prenorm_model.flax.attention import FlaxAttention, FlaxProjection
from prenorm_model.flax.context import FlaxCollected, FlaxContext
from prenorm_model.flax.linear import Making, linear, norm


class FlaxIntermediate(nnx.Module):
    """act(W norm(x) + b): the first half of the feed-forward block, with the block's norm.

    Args:
        config: the model's configuration.
        making: how parameters are made.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, making: Making) -> None:
        self.LayerNorm = norm(config, making)
        self.dense = linear(config.hidden_size, config.intermediate_size, making)
        self.act = activation(config.hidden_act)

    def __call__(self, x: Array) -> Array:
        """Normalize, widen and activate.

        Args:
            x: [..., hidden].

        Returns:
            [..., intermediate].
        """
        return self.act(self.dense(self.LayerNorm(x)))


class FlaxLayer(nnx.Module):
    """Attention block, in a decoder with cross-attention that block too, then feed-forward block; each x + f(norm(x)).

    Args:
        config: the model's configuration.
        number: the layer's number, from 0.
        making: how parameters are made.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, number: int, making: Making) -> None:
        self.attention = FlaxAttention(config, number, making)
        if config.add_cross_attention:
            self.crossattention = FlaxAttention(config, number, making, is_cross=True)
        self.intermediate = FlaxIntermediate(config, making)
        self.output = FlaxProjection(config.intermediate_size, config.hidden_size, config.hidden_dropout_prob, making)

    def __call__(self, x: Array, context: FlaxContext, collected: FlaxCollected) -> Array:
        """Compute the layer.

        Args:
            x: [batch, length, hidden], or [tokens, hidden] where the batch is packed.
            context: masks, packing, dropout and the encoder's states.
            collected: takes keys, values and weights.

        Returns:
            The shape of `x`.
        """
        x = self.attention(x, context.at(0), collected)
        if context.cross_states is not None:
            x = self.crossattention(x, context.at(1), collected)
        return x + self.output(self.intermediate(x), context.at(2))


class FlaxEncoder(nnx.Module):
    """The stack of layers. The norm that ends it belongs to the model, as in the state dict.

    Args:
        config: the model's configuration.
        making: how parameters are made.
        gradient_checkpointing: whether a gradient computes each layer anew, instead of keeping what is in between.
    """

    def __init__(
        self, config: RobertaPreLayerNormConfig, making: Making, *, gradient_checkpointing: bool = False
    ) -> None:
        self.gradient_checkpointing = gradient_checkpointing
        self.layer = nnx.List([FlaxLayer(config, number, making) for number in range(config.num_hidden_layers)])

    def __call__(
        self, x: Array, context: FlaxContext, collected: FlaxCollected, *, keep_states: bool = False
    ) -> tuple[Array, tuple[Array, ...]]:
        """Compute all layers.

        Args:
            x: [batch, length, hidden], or [tokens, hidden] where the batch is packed.
            context: masks, packing, dropout and the encoder's states.
            collected: takes keys, values and weights.
            keep_states: whether to keep what goes in and every layer's output.

        Returns:
            The last layer's output, and the states that are kept, all of the shape of `x`.
        """
        states = [x] if keep_states else []
        # A layer that is computed twice leaves nothing behind.
        is_checkpointed = self.gradient_checkpointing and collected.cache is None and not collected.keeps_weights
        for number, layer in enumerate(self.layer):
            inner = context.at(number)
            x = _computed_anew(layer, x, inner, collected) if is_checkpointed else layer(x, inner, collected)
            if keep_states:
                states.append(x)
        return x, tuple(states)


def _computed_anew(layer: FlaxLayer, x: Array, context: FlaxContext, collected: FlaxCollected) -> Array:
    """Compute a layer, of which a gradient keeps nothing but what went in."""
    structure, state = nnx.split(layer)

    def forward(state: Any, x: Array) -> Array:
        return nnx.merge(structure, state)(x, context, collected)

    computed: Array = jax.checkpoint(forward)(state, x)
    return computed
