"""The target `roberta-prelayernorm`: LayerNorm in front of each block, and one after the embeddings."""

from __future__ import annotations

from prenorm.mapping.targets.shared import DEFAULTS, encoder_rules
from prenorm.mapping.targets.target import CardTexts, StageModules, Target
from prenorm.options import classes_of
from prenorm.source.layouts import ENCODER, LAYER

# The names of the headless model in `RobertaPreLayerNormForMaskedLM` and the like: transformers' and the bundled model's.
_BASE = "roberta_prelayernorm."

CLASSES = classes_of("RobertaPreLayerNorm")
MODULES = StageModules(base=_BASE, final_norm="LayerNorm")
CARD = CardTexts(
    title="RoBERTa with pre-LayerNorm",
    introduction="A RoBERTa with LayerNorm in front of each block (`--encoder-normalize-before`)",
)

ROBERTA_PRELAYERNORM = Target(
    model_type="roberta-prelayernorm",
    fits=lambda description: description.embedding_norm,
    prefix=_BASE,
    architectures=CLASSES,
    bundled_classes=CLASSES,
    encoder_rules=encoder_rules(
        _BASE,
        {
            ENCODER + "layernorm_embedding": "embeddings.LayerNorm",
            LAYER + "self_attn_layer_norm": "encoder.layer.{n}.attention.LayerNorm",
            LAYER + "final_layer_norm": "encoder.layer.{n}.intermediate.LayerNorm",
            ENCODER + "layer_norm": "LayerNorm",
        },
    ),
    # RobertaPreLayerNormConfig's epsilon, 1e-12, fits no fairseq model.
    defaults={
        **DEFAULTS, "vocab_size": 50265, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
        "intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
    },
    mistaken="that architecture has a norm after the embeddings, and the checkpoint has none",
    modules=dict.fromkeys(("bundled", "transformers", "tensorflow", "flax"), MODULES),
    card=CARD,
)  # fmt: skip
