"""RoBERTa-PreLayerNorm in plain PyTorch: usable without transformers, interchangeable with it.

State-dict names, config keys and folder format are those of Hugging Face's `roberta-prelayernorm`.
"""

from model.config import RobertaPreLayerNormConfig
from model.heads import RobertaPreLayerNormForMaskedLM
from model.modeling import RobertaPreLayerNormModel

__all__ = [
    "RobertaPreLayerNormConfig",
    "RobertaPreLayerNormForMaskedLM",
    "RobertaPreLayerNormModel",
]
