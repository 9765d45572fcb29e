"""The target `roberta-prelayernorm`: LayerNorm in front of each block, and one after the embeddings."""

from __future__ import annotations

from prenorm.mapping.targets.target import ROBERTA_DEFAULTS, CardTexts, StageModules, Target
from prenorm.options import TaskKind
from prenorm.rules.rules import Constant, Rename
from prenorm.source.layouts import ENCODER, LAYER

# The names of the headless model in `RobertaPreLayerNormForMaskedLM` and the like: transformers' and the bundled model's.
_BASE = "roberta_prelayernorm."
_BODY = _BASE + "encoder.layer.{n}."

_ENCODER_RULES: tuple[Rename | Constant, ...] = (
    Rename(
        ENCODER + "embed_tokens.weight",
        (_BASE + "embeddings.word_embeddings.weight",),
        ("vocab", "hidden"),
    ),
    Rename(
        ENCODER + "embed_positions.weight",
        (_BASE + "embeddings.position_embeddings.weight",),
        ("positions", "hidden"),
    ),
    Constant(
        _BASE + "embeddings.token_type_embeddings.weight",
        ("token_types", "hidden"),
        0.0,
        "fairseq has no token types; the one row that transformers adds is zero",
    ),
    Rename(ENCODER + "layernorm_embedding.{p}", (_BASE + "embeddings.LayerNorm.{p}",), ("hidden",)),
    Rename(LAYER + "self_attn_layer_norm.{p}", (_BODY + "attention.LayerNorm.{p}",), ("hidden",)),
    Rename(LAYER + "self_attn.q_proj.{p}", (_BODY + "attention.self.query.{p}",), ("hidden", "hidden")),
    Rename(LAYER + "self_attn.k_proj.{p}", (_BODY + "attention.self.key.{p}",), ("hidden", "hidden")),
    Rename(LAYER + "self_attn.v_proj.{p}", (_BODY + "attention.self.value.{p}",), ("hidden", "hidden")),
    Rename(LAYER + "self_attn.out_proj.{p}", (_BODY + "attention.output.dense.{p}",), ("hidden", "hidden")),
    Rename(LAYER + "final_layer_norm.{p}", (_BODY + "intermediate.LayerNorm.{p}",), ("hidden",)),
    Rename(LAYER + "fc1.{p}", (_BODY + "intermediate.dense.{p}",), ("ffn", "hidden")),
    Rename(LAYER + "fc2.{p}", (_BODY + "output.dense.{p}",), ("hidden", "ffn")),
    Rename(ENCODER + "layer_norm.{p}", (_BASE + "LayerNorm.{p}",), ("hidden",)),
)

CLASSES = {
    TaskKind.MASKED_LM: "RobertaPreLayerNormForMaskedLM",
    TaskKind.SEQUENCE_CLASSIFICATION: "RobertaPreLayerNormForSequenceClassification",
    TaskKind.MULTIPLE_CHOICE: "RobertaPreLayerNormForMultipleChoice",
    TaskKind.ENCODER: "RobertaPreLayerNormModel",
}
MODULES = StageModules(
    base=_BASE,
    final_norm="LayerNorm",
    heads={
        TaskKind.SEQUENCE_CLASSIFICATION: "classifier.dense",
        TaskKind.MULTIPLE_CHOICE: _BASE + "pooler.dense",
    },
)
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
    encoder_rules=_ENCODER_RULES,
    vocabulary_matrices=(_BASE + "embeddings.word_embeddings.weight", "lm_head.decoder.weight"),
    # RobertaPreLayerNormConfig's epsilon, 1e-12, fits no fairseq model.
    defaults={
        **ROBERTA_DEFAULTS, "vocab_size": 50265, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
        "intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
    },
    mistaken="that architecture has a norm after the embeddings, and the checkpoint has none",
    modules={"bundled": MODULES, "transformers": MODULES},
    card=CARD,
)  # fmt: skip
