"""RoBERTa-PreLayerNorm in Flax: NNX modules, called as transformers 4's Flax models are."""

from prenorm_model.flax.classification import (
    FlaxRobertaPreLayerNormForMultipleChoice,
    FlaxRobertaPreLayerNormForQuestionAnswering,
    FlaxRobertaPreLayerNormForSequenceClassification,
    FlaxRobertaPreLayerNormForTokenClassification,
)
from prenorm_model.flax.heads import FlaxRobertaPreLayerNormForCausalLM, FlaxRobertaPreLayerNormForMaskedLM
from prenorm_model.flax.modeling import FlaxRobertaPreLayerNormModel
from prenorm_model.flax.pytrees import register_outputs

__all__ = [
    "FlaxRobertaPreLayerNormForCausalLM",
    "FlaxRobertaPreLayerNormForMaskedLM",
    "FlaxRobertaPreLayerNormForMultipleChoice",
    "FlaxRobertaPreLayerNormForQuestionAnswering",
    "FlaxRobertaPreLayerNormForSequenceClassification",
    "FlaxRobertaPreLayerNormForTokenClassification",
    "FlaxRobertaPreLayerNormModel",
]

register_outputs()
