"""The encoder without a head, and what all models share."""

from __future__ import annotations

from torch import Tensor, nn

from model.config import RobertaPreLayerNormConfig
from model.embeddings import RobertaPreLayerNormEmbeddings
from model.layer import Encoder
from model.outputs import BaseModelOutput
from model.serialization import PretrainedModel


class RobertaPreLayerNormModel(PretrainedModel):
    """Embeddings, layers, final norm."""

    base_prefix = ""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        self.embeddings = RobertaPreLayerNormEmbeddings(config)
        self.encoder = Encoder(config)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.finish_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> BaseModelOutput:
        """Encodes a batch.

        Args:
            input_ids: [batch, length], int64.
            attention_mask: [batch, length], non-zero where to attend; default: everywhere.
            token_type_ids: [batch, length]; default: zeros.
            position_ids: [batch, length]; default: counted as fairseq does, pads left out.
        """
        mask = None if attention_mask is None else attention_mask.bool()[:, None, None, :]
        x = self.embeddings(input_ids, token_type_ids, position_ids)
        return BaseModelOutput(self.LayerNorm(self.encoder(x, mask)))
