"""The target `xlm-roberta-xl`: pre-LayerNorm without a norm after the embeddings.

fairseq's `--arch roberta_prenorm` makes such models, and XLM-R XL and XXL are some.

An identity in place of that norm does not exist: LayerNorm centres and scales whatever its weights are. So such a checkpoint
goes to the architecture that has none.
"""

from __future__ import annotations

from prenorm.mapping.targets.roberta_prelayernorm import CARD, CLASSES, MODULES
from prenorm.mapping.targets.shared import DEFAULTS, encoder_rules
from prenorm.mapping.targets.target import StageModules, Target
from prenorm.options import classes_of
from prenorm.source.layouts import ENCODER, LAYER

_BASE = "roberta."

XLM_ROBERTA_XL = Target(
    model_type="xlm-roberta-xl",
    fits=lambda description: not description.embedding_norm,
    prefix=_BASE,
    architectures=classes_of("XLMRobertaXL"),
    bundled_classes=CLASSES,  # each computes both architectures
    encoder_rules=encoder_rules(
        _BASE,
        {
            LAYER + "self_attn_layer_norm": "encoder.layer.{n}.attention.self_attn_layer_norm",
            LAYER + "final_layer_norm": "encoder.layer.{n}.LayerNorm",
            ENCODER + "layer_norm": "encoder.LayerNorm",
        },
    ),
    defaults={
        **DEFAULTS, "vocab_size": 250880, "hidden_size": 2560, "num_hidden_layers": 36,
        "num_attention_heads": 32, "intermediate_size": 10240, "max_position_embeddings": 514, "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
    },
    mistaken="that architecture has no norm after the embeddings, and the checkpoint has one",
    modules={
        **dict.fromkeys(("bundled", "tensorflow", "flax"), MODULES),
        "transformers": StageModules(base=_BASE, final_norm="encoder.LayerNorm"),
    },
    card=CARD,
)  # fmt: skip
