"""One pre-LayerNorm transformer layer, and the stack of them."""

from __future__ import annotations

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.keras.activations import activation
from prenorm_model.keras.attention import Attention, Projection
from prenorm_model.keras.context import Collected, Context
from prenorm_model.keras.facts import Tensor
from prenorm_model.keras.linear import Block, Linear, Norm


class Intermediate(Block):
    """act(W norm(x) + b): the first half of the feed-forward block, with the block's norm.

    Args:
        config: the model's configuration.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(name="intermediate")
        self.LayerNorm = Norm(config, "LayerNorm")
        self.dense = Linear(config.hidden_size, config.intermediate_size, config, "dense")
        self.act = activation(config.hidden_act)

    def call(self, x: Tensor) -> Tensor:
        """Normalize, widen and activate.

        Args:
            x: [..., hidden].

        Returns:
            [..., intermediate].
        """
        return self.act(self.dense(self.LayerNorm(x)))


class Layer(Block):
    """Attention block, in a decoder with cross-attention that block too, then feed-forward block; each x + f(norm(x)).

    Args:
        config: the model's configuration.
        number: the layer's number, from 0.
    """

    def __init__(self, config: RobertaPreLayerNormConfig, number: int) -> None:
        super().__init__(name=f"layer_{number}")
        self.attention = Attention(config, number)
        if config.add_cross_attention:
            self.crossattention = Attention(config, number, is_cross=True)
        self.intermediate = Intermediate(config)
        self.projection = Projection(config.intermediate_size, config)

    def call(self, x: Tensor, context: Context, collected: Collected) -> Tensor:
        """Compute the layer.

        Args:
            x: [tokens, hidden].
            context: masks, packing and the encoder's states.
            collected: takes keys, values and weights.

        Returns:
            The shape of `x`.
        """
        x = self.attention(x, context=context, collected=collected)
        if context.cross_states is not None:
            x = self.crossattention(x, context=context, collected=collected)
        return x + self.output(self.intermediate(x))


class Encoder(Block):
    """The stack of layers. The norm that ends it belongs to the model, as in the state dict.

    Args:
        config: the model's configuration.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(name="encoder")
        self.layer = [Layer(config, number) for number in range(config.num_hidden_layers)]

    def call(
        self, x: Tensor, context: Context, collected: Collected, keep_states: bool = False
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Compute all layers.

        Args:
            x: [tokens, hidden].
            context: masks, packing and the encoder's states.
            collected: takes keys, values and weights.
            keep_states: whether to keep what goes in and every layer's output.

        Returns:
            The last layer's output, and the states that are kept, all of the shape of `x`.
        """
        states = [x] if keep_states else []
        for layer in self.layer:
            x = layer(x, context=context, collected=collected)
            if keep_states:
                states.append(x)
        return x, tuple(states)
