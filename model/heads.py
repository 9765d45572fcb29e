"""The heads on top of the encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.activations import gelu
from model.config import RobertaPreLayerNormConfig
from model.modeling import RobertaPreLayerNormModel
from model.outputs import MaskedLMOutput
from model.serialization import PretrainedModel


class LMHead(nn.Module):
    """decoder(norm(gelu(dense(x)))). Its activation is always gelu, whatever the config's `hidden_act` is."""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, features: Tensor) -> Tensor:
        """[..., hidden] -> [..., vocab]."""
        logits: Tensor = self.decoder(self.layer_norm(gelu(self.dense(features))))
        return logits


class RobertaPreLayerNormForMaskedLM(PretrainedModel):
    """The encoder with the masked-LM head; with `tie_word_embeddings` the head shares the word embeddings."""

    base_prefix = "roberta_prelayernorm"

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        self.roberta_prelayernorm = RobertaPreLayerNormModel(config)
        self.lm_head = LMHead(config)
        self.finish_init()

    @staticmethod
    def tied_names(config: RobertaPreLayerNormConfig) -> dict[str, str]:
        """`lm_head.decoder.bias` is always `lm_head.bias`; the matrix is the embedding where the config ties them."""
        tied = {"lm_head.decoder.bias": "lm_head.bias"}
        if config.tie_word_embeddings:
            tied["lm_head.decoder.weight"] = "roberta_prelayernorm.embeddings.word_embeddings.weight"
        return tied

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> MaskedLMOutput:
        """Logits over the vocabulary at every position; arguments as for the encoder."""
        features = self.roberta_prelayernorm(input_ids, attention_mask, token_type_ids, position_ids).last_hidden_state
        return MaskedLMOutput(self.lm_head(features))
