"""RoBERTa-PreLayerNorm in plain PyTorch: usable without transformers, interchangeable with it.

State-dict names, config keys and folder format are those of Hugging Face's `roberta-prelayernorm`; folders of
`xlm-roberta-xl`, the same model without a norm after the embeddings, load as well.
"""

from model.cache import KeyValueCache
from model.classification import (
    RobertaPreLayerNormForMultipleChoice,
    RobertaPreLayerNormForQuestionAnswering,
    RobertaPreLayerNormForSequenceClassification,
    RobertaPreLayerNormForTokenClassification,
)
from model.config import RobertaPreLayerNormConfig
from model.heads import RobertaPreLayerNormForCausalLM, RobertaPreLayerNormForMaskedLM
from model.modeling import RobertaPreLayerNormModel
from model.outputs import (
    BaseModelOutputWithPoolingAndCrossAttentions,
    CausalLMOutputWithCrossAttentions,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

__all__ = [
    "BaseModelOutputWithPoolingAndCrossAttentions",
    "CausalLMOutputWithCrossAttentions",
    "KeyValueCache",
    "MaskedLMOutput",
    "MultipleChoiceModelOutput",
    "QuestionAnsweringModelOutput",
    "RobertaPreLayerNormConfig",
    "RobertaPreLayerNormForCausalLM",
    "RobertaPreLayerNormForMaskedLM",
    "RobertaPreLayerNormForMultipleChoice",
    "RobertaPreLayerNormForQuestionAnswering",
    "RobertaPreLayerNormForSequenceClassification",
    "RobertaPreLayerNormForTokenClassification",
    "RobertaPreLayerNormModel",
    "SequenceClassifierOutput",
    "TokenClassifierOutput",
]
