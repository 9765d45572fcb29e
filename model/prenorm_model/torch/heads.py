"""Language-model heads: masked and causal."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from prenorm_model.checks import IGNORED
from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.naming import tied_names
from prenorm_model.outputs import CausalLMOutputWithCrossAttentions, MaskedLMOutput
from prenorm_model.torch.activations import gelu
from prenorm_model.torch.base import PretrainedModel
from prenorm_model.torch.cache import KeyValueCache, PastKeyValues
from prenorm_model.torch.generation import GenerationMixin
from prenorm_model.torch.inputs import DecoderOptions, NextTokenOptions
from prenorm_model.torch.linear import apply_linear
from prenorm_model.torch.losses import next_token_loss, token_loss
from prenorm_model.torch.masks import labels_reach_pads
from prenorm_model.torch.modeling import RobertaPreLayerNormModel
from prenorm_model.torch.positional import in_documented_orders
from prenorm_model.torch.resizing import resized

if TYPE_CHECKING:
    from typing import Unpack  # from Python 3.11 on


class LMHead(nn.Module):
    """decoder(norm(gelu(dense(x)))). Its activation is always gelu, whatever the config's `hidden_act` is.

    Args:
        config: the model's configuration.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, features: Tensor) -> Tensor:
        """Score every token of the vocabulary.

        Args:
            features: [..., hidden].

        Returns:
            [..., vocab].
        """
        return apply_linear(self.decoder, self.layer_norm(apply_linear(self.dense, features, gelu)))


class LanguageModel(PretrainedModel):
    """What both language models share: encoder or decoder, head, and how they are tied.

    Args:
        config: the model's configuration.
    """

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        self.roberta_prelayernorm = RobertaPreLayerNormModel(config, add_pooling_layer=False)
        self.lm_head = LMHead(config)
        self.finish_init()

    @staticmethod
    def tied_names(config: RobertaPreLayerNormConfig) -> dict[str, str]:
        """Return the tied parameters of the head: its bias always, its matrix where the config ties it to the embeddings.

        Args:
            config: says what is tied.

        Returns:
            The name under which each is saved, by its own name, the alias.
        """
        return tied_names(config)

    def get_output_embeddings(self) -> nn.Linear:
        """Return the map onto the vocabulary.

        Returns:
            The map, from hidden to vocab.
        """
        return self.lm_head.decoder

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Replace the map onto the vocabulary.

        Args:
            new_embeddings: the new one, from hidden to vocab. Another matrix than the word embeddings' unties the two.
        """
        self.lm_head.decoder = new_embeddings
        bias = new_embeddings.bias
        self.lm_head.bias = (
            nn.Parameter(new_embeddings.weight.new_zeros(new_embeddings.out_features)) if bias is None else bias
        )
        self.config.tie_word_embeddings = new_embeddings.weight is self.get_input_embeddings().weight
        self.tie_weights()

    def _resize_head(self, rows: int, *, mean_resizing: bool) -> None:
        """Let bias and matrix follow. As in transformers, a tied head's bias is zero for new tokens in any case."""
        head, is_tied = self.lm_head, self.config.tie_word_embeddings
        head.bias = resized(head.bias, rows, None if mean_resizing and not is_tied else 0.0)
        if not is_tied:
            spread = None if mean_resizing else self.config.initializer_range
            head.decoder.weight = resized(head.decoder.weight, rows, spread)
        head.decoder.out_features = rows


class RobertaPreLayerNormForMaskedLM(LanguageModel):
    """The encoder with the masked-LM head; with `tie_word_embeddings` the head shares the word embeddings.

    Args:
        config: the model's configuration.
    """

    @in_documented_orders
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
        **options: Unpack[DecoderOptions],
    ) -> Any:
        """Score every token of the vocabulary at every position.

        Args:
            input_ids: [batch, length], int64.
            attention_mask: [batch, length], or as in `RobertaPreLayerNormModel.forward`; default: attend everywhere.
            token_type_ids: [batch, length]; default: zeros.
            position_ids: [batch, length]; default: counted as fairseq does, pads left out.
            inputs_embeds: [batch, length, hidden], in place of `input_ids`.
            encoder_hidden_states: [batch, encoder length, hidden], for a decoder with cross-attention.
            encoder_attention_mask: [batch, encoder length].
            labels: [batch, length]: the tokens to predict, -100 where nothing is.
            return_dict: whether to return an output object, and not a tuple; default: the config's.
            **options: other arguments of `RobertaPreLayerNormModel.forward`.

        Returns:
            `MaskedLMOutput` with logits [batch, length, vocab], or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        encoded = self.roberta_prelayernorm(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, encoder_hidden_states,
            encoder_attention_mask, return_dict=True,
            every_position=labels_reach_pads(labels, attention_mask, IGNORED), **options,
        )  # fmt: skip
        logits = self.lm_head(encoded.last_hidden_state)
        loss = None if labels is None else token_loss(logits, labels)
        output = MaskedLMOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return self.result(output, return_dict)


class RobertaPreLayerNormForCausalLM(LanguageModel, GenerationMixin):
    """The decoder with the LM head: each position predicts the next token. Needs `is_decoder=True`.

    Attributes:
        accepts_loss_kwargs: tells `Trainer` that the loss divides by `num_items_in_batch`.
        loss_type: tells `Trainer` that the labels are shifted in here.

    Args:
        config: the model's configuration.
    """

    accepts_loss_kwargs = True
    loss_type = "ForCausalLM"
    generation_config = (
        None  # peft hands it on; `generate` has its arguments, and takes what is left out from the config
    )

    def __init__(self, config: RobertaPreLayerNormConfig) -> None:
        super().__init__(config)
        if not config.is_decoder:
            warnings.warn(
                "is_decoder is False, so every position sees the whole text, the next token too", stacklevel=2
            )

    @in_documented_orders
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
        past_key_values: PastKeyValues | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        *,
        return_dict: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **options: Unpack[NextTokenOptions],
    ) -> Any:
        """Score every token of the vocabulary as the one that follows each position.

        Args:
            input_ids: [batch, length], int64.
            attention_mask: [batch, past + length], or as in `RobertaPreLayerNormModel.forward`.
            token_type_ids: [batch, length]; default: zeros.
            position_ids: [batch, length]; default: counted as fairseq does, pads left out.
            inputs_embeds: [batch, length, hidden], in place of `input_ids`.
            encoder_hidden_states: [batch, encoder length, hidden], for cross-attention.
            encoder_attention_mask: [batch, encoder length].
            labels: [batch, length]: the text itself, -100 where nothing is predicted; shifted in here.
            past_key_values: the cache that an earlier forward returned, or past tuples.
            use_cache: whether to return one; default: the config's, and none with labels.
            cache_position: [length], the places of the tokens behind those in the cache.
            logits_to_keep: compute the last so many positions only, or those of an index [positions]; 0: all.
            return_dict: whether to return an output object, and not a tuple; default: the config's.
            num_items_in_batch: divide the loss by this, and not by the number of labels; so that the gradients of several
                batches can be added.
            **options: `shift_labels` [batch, length], each position's own target in place of `labels`, which must be there
                too; and other arguments of `RobertaPreLayerNormModel.forward`.

        Returns:
            `CausalLMOutputWithCrossAttentions` with logits [batch, positions, vocab], or a tuple.

        Raises:
            ValueError: naming the argument, its value and the limit.
        """
        shift_labels = options.pop("shift_labels", None)
        if labels is not None and use_cache is None:
            use_cache = False
        decoded = self.roberta_prelayernorm(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, encoder_hidden_states,
            encoder_attention_mask, past_key_values, use_cache, cache_position, return_dict=True, **options,
        )  # fmt: skip
        hidden = decoded.last_hidden_state
        if isinstance(logits_to_keep, Tensor):
            hidden = hidden[:, logits_to_keep]
        elif logits_to_keep:
            hidden = hidden[:, -logits_to_keep:]
        logits = self.lm_head(hidden)
        loss = None if labels is None else next_token_loss(logits, labels, num_items_in_batch, shift_labels)
        output = CausalLMOutputWithCrossAttentions(
            loss, logits, decoded.past_key_values, decoded.hidden_states, decoded.attentions, decoded.cross_attentions
        )
        return self.result(output, return_dict)

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        past_key_values: KeyValueCache | None = None,
        attention_mask: Tensor | None = None,
        use_cache: bool | None = None,
    ) -> dict[str, Any]:
        """Return the arguments of the next forward of a generation; adapters of causal language models ask for it.

        Args:
            input_ids: [batch, length], the text so far.
            past_key_values: the cache that the last forward returned.
            attention_mask: [batch, length], non-zero where to attend.
            use_cache: whether to return a cache.

        Returns:
            The arguments by name; of `input_ids` those that the cache does not hold yet.
        """
        past = 0 if past_key_values is None else past_key_values.get_seq_length()
        return {
            "input_ids": input_ids[:, past:],
            "attention_mask": attention_mask,
            "past_key_values": past_key_values,
            "use_cache": use_cache,
        }
