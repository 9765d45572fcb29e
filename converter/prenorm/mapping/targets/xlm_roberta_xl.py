"""The target `xlm-roberta-xl`: pre-LayerNorm without a norm after the embeddings.

fairseq's `--arch roberta_prenorm` makes such models, and XLM-R XL and XXL are some.

An identity in place of that norm does not exist: LayerNorm centres and scales whatever its weights are. So such a checkpoint
goes to the architecture that has none.
"""

from __future__ import annotations

from prenorm.mapping.targets import roberta_prelayernorm
from prenorm.mapping.targets.heads import head_rules
from prenorm.mapping.task import Task
from prenorm.options import TaskKind
from prenorm.rules.rules import Constant, Drop, Rename
from prenorm.source.description import SourceDescription
from prenorm.source.layouts import ENCODER, LAYER

MODEL_TYPE = "xlm-roberta-xl"
PREFIX = "roberta."
ARCHITECTURES = {
    TaskKind.MASKED_LM: "XLMRobertaXLForMaskedLM",
    TaskKind.SEQUENCE_CLASSIFICATION: "XLMRobertaXLForSequenceClassification",
    TaskKind.MULTIPLE_CHOICE: "XLMRobertaXLForMultipleChoice",
    TaskKind.ENCODER: "XLMRobertaXLModel",
}

_BODY = "roberta.encoder.layer.{n}."

ENCODER_RULES: tuple[Rename | Constant, ...] = (
    Rename(ENCODER + "embed_tokens.weight", ("roberta.embeddings.word_embeddings.weight",), ("vocab", "hidden")),
    Rename(
        ENCODER + "embed_positions.weight", ("roberta.embeddings.position_embeddings.weight",), ("positions", "hidden")
    ),
    Constant(
        "roberta.embeddings.token_type_embeddings.weight",
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
    Rename(ENCODER + "layer_norm.{p}", ("roberta.encoder.LayerNorm.{p}",), ("hidden",)),
)

VOCABULARY_MATRICES = ("roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight")


def rules(description: SourceDescription, task: Task) -> tuple[Rename | Drop | Constant, ...]:
    """The rule table for a task."""
    return (*ENCODER_RULES, *head_rules(description, task, PREFIX))


def config(description: SourceDescription, task: Task, extra_rows: int) -> dict[str, object]:
    """The content of config.json: the same fields as roberta-prelayernorm's, with the same meaning."""
    stated = roberta_prelayernorm.config(description, task, extra_rows)
    return {**stated, "architectures": [ARCHITECTURES[task.kind]], "model_type": MODEL_TYPE}
