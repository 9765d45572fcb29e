"""Language-model heads: masked and causal."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.outputs import CausalLMOutputWithCrossAttentions, MaskedLMOutput
from prenorm_model.torch.activations import gelu
from prenorm_model.torch.base import BASE_PREFIX, PretrainedModel
from prenorm_model.torch.cache import KeyValueCache
from prenorm_model.torch.generation import GenerationMixin
from prenorm_model.torch.losses import next_token_loss, token_loss
from prenorm_model.torch.modeling import RobertaPreLayerNormModel


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


class LanguageModel(PretrainedModel):
    """What both language models share: encoder or decoder, head, and how they are tied."""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        self.roberta_prelayernorm = RobertaPreLayerNormModel(config, add_pooling_layer=False)
        self.lm_head = LMHead(config)
        self.finish_init()

    @staticmethod
    def tied_names(config: RobertaPreLayerNormConfig) -> dict[str, str]:
        """`lm_head.decoder.bias` is always `lm_head.bias`; the matrix is the embedding where the config ties them."""
        tied = {"lm_head.decoder.bias": "lm_head.bias"}
        if config.tie_word_embeddings:
            tied["lm_head.decoder.weight"] = f"{BASE_PREFIX}.embeddings.word_embeddings.weight"
        return tied

    def get_output_embeddings(self) -> nn.Linear:
        """The head's last map."""
        return self.lm_head.decoder

    def _resize_head(self, new_num_tokens: int) -> None:
        head = self.lm_head
        head.bias = nn.Parameter(self._resized(head.bias, new_num_tokens, 0.0))
        if not self.config.tie_word_embeddings:
            spread = self.config.initializer_range
            head.decoder.weight = nn.Parameter(self._resized(head.decoder.weight, new_num_tokens, spread))
        head.decoder.out_features = new_num_tokens


class RobertaPreLayerNormForMaskedLM(LanguageModel):
    """The encoder with the masked-LM head; with `tie_word_embeddings` the head shares the word embeddings."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        return_dict: bool | None = None,
        **options: Any,
    ) -> Any:
        """Logits over the vocabulary at every position.

        Args:
            labels: [batch, length]: the tokens to predict, -100 where nothing is.
            options: the headless model's other arguments; see `RobertaPreLayerNormModel.forward`.

        Returns:
            `MaskedLMOutput`, or a tuple.
        """
        encoded = self.roberta_prelayernorm(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, encoder_hidden_states,
            encoder_attention_mask, return_dict=True, every_position=labels_reach_pads(labels, attention_mask), **options,
        )  # fmt: skip
        logits = self.lm_head(encoded.last_hidden_state)
        loss = None if labels is None else token_loss(logits, labels)
        output = MaskedLMOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return self.result(output, return_dict)


def labels_reach_pads(labels: Tensor | None, attention_mask: Tensor | None) -> bool:
    """Whether a loss will look at masked positions, which then have to be computed."""
    if (
        labels is None
        or attention_mask is None
        or labels.shape != attention_mask.shape
        or torch.compiler.is_compiling()
    ):
        return False
    return bool(((labels != -100) & (attention_mask == 0)).any())


class RobertaPreLayerNormForCausalLM(LanguageModel, GenerationMixin):
    """The decoder with the LM head: each position predicts the next token. Needs `is_decoder=True`."""

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        if not config.is_decoder:
            warnings.warn(
                "is_decoder is False, so every position sees the whole text, the next token too", stacklevel=2
            )

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: KeyValueCache | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        *,
        return_dict: bool | None = None,
        **options: Any,
    ) -> Any:
        """Logits over the vocabulary for the token that follows each position.

        Args:
            labels: [batch, length]: the text itself, -100 where nothing is predicted; shifted in here.
            past_key_values, use_cache: see `RobertaPreLayerNormModel.forward`; with labels there is no cache by default.
            logits_to_keep: compute the last so many positions only, or those of an index [positions]; 0: all.
            options: the headless model's other arguments.

        Returns:
            `CausalLMOutputWithCrossAttentions`, or a tuple.
        """
        if labels is not None and use_cache is None:
            use_cache = False
        decoded = self.roberta_prelayernorm(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, encoder_hidden_states,
            encoder_attention_mask, past_key_values, use_cache, return_dict=True, **options,
        )  # fmt: skip
        hidden = decoded.last_hidden_state
        if isinstance(logits_to_keep, Tensor):
            hidden = hidden[:, logits_to_keep]
        elif logits_to_keep:
            hidden = hidden[:, -logits_to_keep:]
        logits = self.lm_head(hidden)
        loss = None if labels is None else next_token_loss(logits, labels)
        output = CausalLMOutputWithCrossAttentions(
            loss, logits, decoded.past_key_values, decoded.hidden_states, decoded.attentions, decoded.cross_attentions
        )
        return self.result(output, return_dict)
