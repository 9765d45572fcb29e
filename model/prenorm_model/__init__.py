"""RoBERTa-PreLayerNorm in plain PyTorch: usable without transformers, interchangeable with it.

State-dict names, config keys and folder format are those of Hugging Face's `roberta-prelayernorm`; folders of
`xlm-roberta-xl`, the same model without a norm after the embeddings, load as well.
"""

from prenorm_model.config import RobertaPreLayerNormConfig
from prenorm_model.outputs import (
    BaseModelOutputWithPoolingAndCrossAttentions,
    CausalLMOutputWithCrossAttentions,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from prenorm_model.torch.cache import KeyValueCache
from prenorm_model.torch.classification import (
    RobertaPreLayerNormForMultipleChoice,
    RobertaPreLayerNormForQuestionAnswering,
    RobertaPreLayerNormForSequenceClassification,
    RobertaPreLayerNormForTokenClassification,
)
from prenorm_model.torch.heads import RobertaPreLayerNormForCausalLM, RobertaPreLayerNormForMaskedLM
from prenorm_model.torch.modeling import RobertaPreLayerNormModel

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
