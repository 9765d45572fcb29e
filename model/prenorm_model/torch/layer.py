"""One pre-LayerNorm transformer layer, and the stack of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.torch.activations import activation
from prenorm_model.torch.attention import Attention, Projection
from prenorm_model.torch.checkpointing import Checkpointing
from prenorm_model.torch.context import Collected, Context
from prenorm_model.torch.facts import are_values_known
from prenorm_model.torch.linear import apply_linear

# On the CPU, blocks of memory above 32 MB are mapped from the system anew each time, page by page (glibc's malloc); below,
# they are used again. Without gradients nothing has to be kept, so the feed-forward block stays below: a tenth faster.
WIDE_BYTES = 24 << 20


class Intermediate(nn.Module):
    """act(W norm(x) + b): the first half of the feed-forward block, with the block's norm.

    Args:
        config: the model's configuration.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.act = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize, widen and activate.

        Args:
            x: [..., hidden].

        Returns:
            [..., intermediate].
        """
        return apply_linear(self.dense, self.LayerNorm(x), self.act)


class Layer(nn.Module):
    """Attention block, in a decoder with cross-attention that block too, then feed-forward block; each x + f(norm(x)).

    Args:
        config: the model's configuration.
        number: the layer's number, from 0.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, number: int) -> None:
        super().__init__()
        self.attention = Attention(config, number)
        if config.add_cross_attention:
            self.crossattention = Attention(config, number, is_cross=True)
        self.intermediate = Intermediate(config)
        self.output = Projection(config.intermediate_size, config.hidden_size, config.hidden_dropout_prob)

    def forward(self, x: Tensor, context: Context, collected: Collected) -> Tensor:
        """Compute the layer.

        Args:
            x: [batch, length, hidden], or [tokens, hidden] where the batch is packed.
            context: masks, packing and the encoder's states.
            collected: takes keys, values and weights.

        Returns:
            The shape of `x`.
        """
        x = self.attention(x, context, collected)
        if context.cross_states is not None:
            x = self.crossattention(x, context, collected)
        return self._feed_forward(x, context.wide_bytes)

    def _feed_forward(self, x: Tensor, wide_bytes: int) -> Tensor:
        """x + output(intermediate(x)), in pieces where the wide values in between would be large."""
        width = self.intermediate.dense.out_features * x.element_size()
        tokens = math.prod(x.shape[:-1])
        # A graph serves all sizes, and is fixed.
        is_fixed = torch.is_grad_enabled() or x.device.type != "cpu" or not are_values_known()
        if is_fixed or tokens * width <= wide_bytes:
            whole: Tensor = x + self.output(self.intermediate(x))
            return whole
        pieces = torch.split(x.reshape(tokens, -1), max(1, wide_bytes // width))
        return torch.cat([piece + self.output(self.intermediate(piece)) for piece in pieces]).view(x.shape)


class Encoder(nn.Module):
    """The stack of layers. The norm that ends it belongs to the model, as in the state dict.

    Args:
        config: the model's configuration.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.checkpointing: Checkpointing | None = None
        self.layer = nn.ModuleList(Layer(config, number) for number in range(config.num_hidden_layers))

    def forward(
        self, x: Tensor, context: Context, collected: Collected, *, keep_states: bool = False
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Compute all layers.

        Args:
            x: [batch, length, hidden], or [tokens, hidden] where the batch is packed.
            context: masks, packing and the encoder's states.
            collected: takes keys, values and weights.
            keep_states: whether to keep what goes in and every layer's output.

        Returns:
            The last layer's output, and the states that are kept, all of the shape of `x`.
        """
        states = [x] if keep_states else []
        for number, layer in enumerate(self.layer):
            if self.checkpointing is not None and self.training:
                x = self.checkpointing.run(layer, number, x, context, collected)
            else:
                x = layer(x, context, collected)
            if keep_states:
                states.append(x)
        return x, tuple(states)
