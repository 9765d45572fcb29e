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

__all__ = [
    "KeyValueCache",
    "RobertaPreLayerNormConfig",
    "RobertaPreLayerNormForCausalLM",
    "RobertaPreLayerNormForMaskedLM",
    "RobertaPreLayerNormForMultipleChoice",
    "RobertaPreLayerNormForQuestionAnswering",
    "RobertaPreLayerNormForSequenceClassification",
    "RobertaPreLayerNormForTokenClassification",
    "RobertaPreLayerNormModel",
]
