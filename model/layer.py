"""One pre-LayerNorm transformer layer."""

from __future__ import annotations

from torch import Tensor, nn

from model.activations import activation
from model.attention import Attention, Projection
from model.config import RobertaPreLayerNormConfig


class Intermediate(nn.Module):
    """act(W norm(x) + b): the first half of the feed-forward block, with the block's norm."""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.act = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, length, hidden] -> [batch, length, intermediate]."""
        return self.act(self.dense(self.LayerNorm(x)))


class Layer(nn.Module):
    """Attention block, then feed-forward block, each x + f(norm(x))."""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = Projection(config.intermediate_size, config.hidden_size, config.hidden_dropout_prob)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[batch, length, hidden] -> the same."""
        x = self.attention(x, mask)
        transformed: Tensor = x + self.output(self.intermediate(x))
        return transformed


class Encoder(nn.Module):
    """The stack of layers. The norm that ends it belongs to the model, as in the state dict."""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[batch, length, hidden] -> the same."""
        for layer in self.layer:
            x = layer(x, mask)
        return x
