"""The target `xlm-roberta-xl`: pre-LayerNorm without a norm after the embeddings.

fairseq's `--arch roberta_prenorm` makes such models, and XLM-R XL and XXL are some.

An identity in place of that norm does not exist: LayerNorm centres and scales whatever its weights are. So such a checkpoint
goes to the architecture that has none.
"""

from __future__ import annotations

from prenorm.mapping.targets.roberta_prelayernorm import CARD, CLASSES, MODULES
from prenorm.mapping.targets.target import ROBERTA_DEFAULTS, StageModules, Target
from prenorm.options import TaskKind
from prenorm.rules.rules import Constant, Rename
from prenorm.source.layouts import ENCODER, LAYER

_BASE = "roberta."
_BODY = _BASE + "encoder.layer.{n}."

_ENCODER_RULES: tuple[Rename | Constant, ...] = (
    Rename(ENCODER + "embed_tokens.weight", (_BASE + "embeddings.word_embeddings.weight",), ("vocab", "hidden")),
    Rename(
        ENCODER + "embed_positions.weight", (_BASE + "embeddings.position_embeddings.weight",), ("positions", "hidden")
    ),
    Constant(
        _BASE + "embeddings.token_type_embeddings.weight",
        ("token_types", "hidden"),
        0.0,
        "fairseq has no token types; the one row that transformers adds is zero",
    ),
    Rename(LAYER + "self_attn_layer_norm.{p}", (_BODY + "attention.self_attn_layer_norm.{p}",), ("hidden",)),
    Rename(LAYER + "self_attn.q_proj.{p}", (_BODY + "attention.self.query.{p}",), ("hidden", "hidden")),
    Rename(LAYER + "self_attn.k_proj.{p}", (_BODY + "attention.self.key.{p}",), ("hidden", "hidden")),
    Rename(LAYER + "self_attn.v_proj.{p}", (_BODY + "attention.self.value.{p}",), ("hidden", "hidden")),
    Rename(LAYER + "self_attn.out_proj.{p}", (_BODY + "attention.output.dense.{p}",), ("hidden", "hidden")),
    Rename(LAYER + "final_layer_norm.{p}", (_BODY + "LayerNorm.{p}",), ("hidden",)),
    Rename(LAYER + "fc1.{p}", (_BODY + "intermediate.dense.{p}",), ("ffn", "hidden")),
    Rename(LAYER + "fc2.{p}", (_BODY + "output.dense.{p}",), ("hidden", "ffn")),
    Rename(ENCODER + "layer_norm.{p}", (_BASE + "encoder.LayerNorm.{p}",), ("hidden",)),
)

XLM_ROBERTA_XL = Target(
    model_type="xlm-roberta-xl",
    fits=lambda description: not description.embedding_norm,
    prefix=_BASE,
    architectures={
        TaskKind.MASKED_LM: "XLMRobertaXLForMaskedLM",
        TaskKind.SEQUENCE_CLASSIFICATION: "XLMRobertaXLForSequenceClassification",
        TaskKind.MULTIPLE_CHOICE: "XLMRobertaXLForMultipleChoice",
        TaskKind.ENCODER: "XLMRobertaXLModel",
    },
    bundled_classes=CLASSES,  # each computes both architectures
    encoder_rules=_ENCODER_RULES,
    vocabulary_matrices=(_BASE + "embeddings.word_embeddings.weight", "lm_head.decoder.weight"),
    defaults={
        **ROBERTA_DEFAULTS, "vocab_size": 250880, "hidden_size": 2560, "num_hidden_layers": 36,
        "num_attention_heads": 32, "intermediate_size": 10240, "max_position_embeddings": 514, "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
    },
    mistaken="that architecture has no norm after the embeddings, and the checkpoint has one",
    modules={
        "bundled": MODULES,
        "transformers": StageModules(
            base=_BASE,
            final_norm="encoder.LayerNorm",
            heads={
                TaskKind.SEQUENCE_CLASSIFICATION: "classifier.dense",
                TaskKind.MULTIPLE_CHOICE: _BASE + "pooler.dense",
            },
        ),
    },
    card=CARD,
)  # fmt: skip
