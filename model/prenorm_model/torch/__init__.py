"""RoBERTa-PreLayerNorm in plain PyTorch."""

from prenorm_model.torch.cache import KeyValueCache
from prenorm_model.torch.classification import (
    RobertaPreLayerNormForMultipleChoice,
    RobertaPreLayerNormForQuestionAnswering,
    RobertaPreLayerNormForSequenceClassification,
    RobertaPreLayerNormForTokenClassification,
)
from prenorm_model.torch.heads import RobertaPreLayerNormForCausalLM, RobertaPreLayerNormForMaskedLM
from prenorm_model.torch.modeling import RobertaPreLayerNormModel
from prenorm_model.torch.pytrees import register_cache, register_outputs

__all__ = [
    "KeyValueCache",
    "RobertaPreLayerNormForCausalLM",
    "RobertaPreLayerNormForMaskedLM",
    "RobertaPreLayerNormForMultipleChoice",
    "RobertaPreLayerNormForQuestionAnswering",
    "RobertaPreLayerNormForSequenceClassification",
    "RobertaPreLayerNormForTokenClassification",
    "RobertaPreLayerNormModel",
]

register_outputs()
register_cache()
