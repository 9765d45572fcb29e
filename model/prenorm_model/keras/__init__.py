"""RoBERTa-PreLayerNorm in Keras 3, on its TensorFlow, JAX and PyTorch backends."""

from prenorm_model.keras.classification import (
    TFRobertaPreLayerNormForMultipleChoice,
    TFRobertaPreLayerNormForQuestionAnswering,
    TFRobertaPreLayerNormForSequenceClassification,
    TFRobertaPreLayerNormForTokenClassification,
)
from prenorm_model.keras.heads import TFRobertaPreLayerNormForCausalLM, TFRobertaPreLayerNormForMaskedLM
from prenorm_model.keras.modeling import TFRobertaPreLayerNormModel
from prenorm_model.keras.pytrees import register_outputs

__all__ = [
    "TFRobertaPreLayerNormForCausalLM",
    "TFRobertaPreLayerNormForMaskedLM",
    "TFRobertaPreLayerNormForMultipleChoice",
    "TFRobertaPreLayerNormForQuestionAnswering",
    "TFRobertaPreLayerNormForSequenceClassification",
    "TFRobertaPreLayerNormForTokenClassification",
    "TFRobertaPreLayerNormModel",
]

register_outputs()
