"""The target `roberta-prelayernorm`: where each canonical tensor goes, and what its config.json says."""

from __future__ import annotations

from prenorm.mapping.targets.heads import head_config, head_rules
from prenorm.mapping.task import Task
from prenorm.options import ACTIVATIONS, TaskKind
from prenorm.rules.rules import Constant, Drop, Rename
from prenorm.source.description import SourceDescription
from prenorm.source.layouts import ENCODER, LAYER
from prenorm.source.positions import USUAL_PAD_ID

MODEL_TYPE = "roberta-prelayernorm"
PREFIX = "roberta_prelayernorm."
ARCHITECTURES = {
    TaskKind.MASKED_LM: "RobertaPreLayerNormForMaskedLM",
    TaskKind.SEQUENCE_CLASSIFICATION: "RobertaPreLayerNormForSequenceClassification",
    TaskKind.MULTIPLE_CHOICE: "RobertaPreLayerNormForMultipleChoice",
    TaskKind.ENCODER: "RobertaPreLayerNormModel",
}

# torch's and so fairseq's LayerNorm epsilon. The default of RobertaPreLayerNormConfig, 1e-12, fits no fairseq model.
LAYER_NORM_EPS = 1e-5

_BODY = "roberta_prelayernorm.encoder.layer.{n}."

ENCODER_RULES: tuple[Rename | Constant, ...] = (
    Rename(
        ENCODER + "embed_tokens.weight",
        ("roberta_prelayernorm.embeddings.word_embeddings.weight",),
        ("vocab", "hidden"),
    ),
    Rename(
        ENCODER + "embed_positions.weight",
        ("roberta_prelayernorm.embeddings.position_embeddings.weight",),
        ("positions", "hidden"),
    ),
    Constant(
        "roberta_prelayernorm.embeddings.token_type_embeddings.weight",
        ("token_types", "hidden"),
        0.0,
        "fairseq has no token types; the one row that transformers adds is zero",
    ),
    Rename(ENCODER + "layernorm_embedding.{p}", ("roberta_prelayernorm.embeddings.LayerNorm.{p}",), ("hidden",)),
    Rename(LAYER + "self_attn_layer_norm.{p}", (_BODY + "attention.LayerNorm.{p}",), ("hidden",)),
    Rename(LAYER + "self_attn.q_proj.{p}", (_BODY + "attention.self.query.{p}",), ("hidden", "hidden")),
    Rename(LAYER + "self_attn.k_proj.{p}", (_BODY + "attention.self.key.{p}",), ("hidden", "hidden")),
    Rename(LAYER + "self_attn.v_proj.{p}", (_BODY + "attention.self.value.{p}",), ("hidden", "hidden")),
    Rename(LAYER + "self_attn.out_proj.{p}", (_BODY + "attention.output.dense.{p}",), ("hidden", "hidden")),
    Rename(LAYER + "final_layer_norm.{p}", (_BODY + "intermediate.LayerNorm.{p}",), ("hidden",)),
    Rename(LAYER + "fc1.{p}", (_BODY + "intermediate.dense.{p}",), ("ffn", "hidden")),
    Rename(LAYER + "fc2.{p}", (_BODY + "output.dense.{p}",), ("hidden", "ffn")),
    Rename(ENCODER + "layer_norm.{p}", ("roberta_prelayernorm.LayerNorm.{p}",), ("hidden",)),
)
# The rows of the vocabulary, which grow when the tokenizer needs tokens that the dictionary lacks.
VOCABULARY_MATRICES = ("roberta_prelayernorm.embeddings.word_embeddings.weight", "lm_head.decoder.weight")


def rules(description: SourceDescription, task: Task) -> tuple[Rename | Drop | Constant, ...]:
    """The rule table for a task."""
    return (*ENCODER_RULES, *head_rules(description, task, PREFIX))


def config(description: SourceDescription, task: Task, extra_rows: int) -> dict[str, object]:
    """The content of config.json; `extra_rows` are the rows that the tokenizer adds to the vocabulary."""
    usual = description.pad_id == USUAL_PAD_ID  # of another dictionary, the ids of <s> and </s> are not known
    return {
        "architectures": [ARCHITECTURES[task.kind]],
        "attention_probs_dropout_prob": description.attention_dropout,
        "bos_token_id": 0 if usual else None,
        "classifier_dropout": description.pooler_dropout,
        "dtype": description.dtype,
        "eos_token_id": 2 if usual else None,
        "hidden_act": ACTIVATIONS[description.activation],
        "hidden_dropout_prob": description.dropout,
        "hidden_size": description.hidden_size,
        **head_config(description, task),
        "initializer_range": 0.02,
        "intermediate_size": description.ffn_size,
        "layer_norm_eps": LAYER_NORM_EPS,
        "max_position_embeddings": description.positions.rows,
        "model_type": MODEL_TYPE,
        "num_attention_heads": description.attention_heads,
        "num_hidden_layers": description.layers,
        "pad_token_id": description.pad_id,
        "tie_word_embeddings": description.shares_embedding,
        "type_vocab_size": 1,
        "vocab_size": description.vocab_size + extra_rows,
    }
