"""Multi-head self-attention with its norm before and its residual after."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from model.config import RobertaPreLayerNormConfig


class SelfAttention(nn.Module):
    """softmax(q k^T / sqrt(d)) v per head (Vaswani et al. 2017, arXiv:1706.03762), through torch's fused kernel."""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.head_size = config.hidden_size // config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def _heads(self, x: Tensor) -> Tensor:
        """[batch, length, hidden] -> [batch, heads, length, head size]."""
        return x.view(*x.shape[:-1], self.num_heads, self.head_size).transpose(1, 2)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """[batch, length, hidden] -> the same; `mask` [batch, 1, 1 or length, length] is true where to attend."""
        mixed = functional.scaled_dot_product_attention(
            self._heads(self.query(hidden)),
            self._heads(self.key(hidden)),
            self._heads(self.value(hidden)),
            attn_mask=mask,
            dropout_p=self.dropout.p if self.training else 0.0,
        )
        return mixed.transpose(1, 2).flatten(2)


class Projection(nn.Module):
    """A linear map and dropout; the residual is added where the block can be read."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs]."""
        projected: Tensor = self.dropout(self.dense(x))
        return projected


class Attention(nn.Module):
    """x + project(attend(norm(x)))."""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.self = SelfAttention(config)
        self.output = Projection(config.hidden_size, config.hidden_size, config.hidden_dropout_prob)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[batch, length, hidden] -> the same."""
        attended: Tensor = x + self.output(self.self(self.LayerNorm(x), mask))
        return attended
