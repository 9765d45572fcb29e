"""What the targets share: the rules of the heads, by task, and what the heads cannot be."""

from __future__ import annotations

from prenorm.errors import NotRepresentable
from prenorm.mapping.task import Task
from prenorm.options import ACTIVATIONS, TaskKind
from prenorm.options.spoken import spoken
from prenorm.rules.rules import Drop, Rename
from prenorm.source.description import SourceDescription
from prenorm.source.layouts import ENCODER, HEADS

# The rows of the vocabulary, which grow when the tokenizer needs tokens that the dictionary lacks.
VOCABULARY_BIASES = ("lm_head.bias", "lm_head.decoder.bias")

_LM_BODY: tuple[Rename, ...] = (
    Rename("encoder.lm_head.dense.{p}", ("lm_head.dense.{p}",), ("hidden", "hidden")),
    Rename("encoder.lm_head.layer_norm.{p}", ("lm_head.layer_norm.{p}",), ("hidden",)),
)
_TIED: tuple[Rename | Drop, ...] = (
    Drop(
        "encoder.lm_head.weight",
        "tied: the same bytes as the word embeddings, which the target shares",
        same_as=ENCODER + "embed_tokens.weight",
    ),
    Rename("encoder.lm_head.bias", ("lm_head.bias",), ("vocab",)),
)
# transformers 5 wants all three of an untied head: the matrix, and the bias under both of its names.
_UNTIED: tuple[Rename | Drop, ...] = (
    Rename("encoder.lm_head.weight", ("lm_head.decoder.weight",), ("vocab", "hidden")),
    Rename("encoder.lm_head.bias", ("lm_head.bias", "lm_head.decoder.bias"), ("vocab",)),
)


def head_rules(description: SourceDescription, task: Task, prefix: str) -> tuple[Rename | Drop, ...]:
    """Return the rules of the task's head, and of the heads that its folder leaves out.

    Args:
        description: the source model.
        task: what the folder is for.
        prefix: the headless model's name within the target, with its dot.

    Returns:
        The rules, in the order in which they are tried.
    """
    others: tuple[Rename | Drop, ...] = (
        Drop(HEADS + "{head}.{rest}", f"head of another task; this folder is for {task.kind.value}"),
    )
    if task.kind is TaskKind.MASKED_LM:
        return (*_LM_BODY, *(_TIED if description.shares_embedding else _UNTIED), *others)
    others += (Drop("encoder.lm_head.{rest}", f"the masked-LM head; this folder is for {task.kind.value}"),)
    if task.head is None:
        return others
    dense, out = "classifier.dense.{p}", "classifier.out_proj.{p}"
    if task.kind is TaskKind.MULTIPLE_CHOICE:  # Hugging Face pools with the encoder's pooler: tanh(dense(first token))
        dense, out = prefix + "pooler.dense.{p}", "classifier.{p}"
    return (
        Rename(f"{HEADS}{task.head.name}.dense.{{p}}", (dense,), ("hidden", "hidden")),
        Rename(f"{HEADS}{task.head.name}.out_proj.{{p}}", (out,), ("labels", "hidden")),
        *others,
    )


def check_activation(description: SourceDescription, task: Task) -> None:
    """Refuse activations that transformers does not compute.

    Args:
        description: the source model.
        task: what the folder is for.

    Raises:
        NotRepresentable: naming the argument that rules it out.
    """
    if description.activation not in ACTIVATIONS:
        raise NotRepresentable(
            f"the model was trained with activation_fn={description.activation}, which is none of those that Hugging Face "
            f"computes the same way ({', '.join(ACTIVATIONS)})",
            advice="No Hugging Face architecture computes that",
        )
    if task.kind is TaskKind.MASKED_LM and description.head_activation != "gelu":
        raise NotRepresentable(
            f"the model was trained with activation_fn={description.head_activation}, and transformers' masked-LM head "
            "always uses gelu",
            advice=f"As a masked LM its logits would be wrong; exact are {spoken('task', 'encoder')} and classifiers",
        )


def sizes(description: SourceDescription, task: Task) -> dict[str, int]:
    """Return what the size names in the rule tables mean for a model.

    Args:
        description: the source model.
        task: what the folder is for.

    Returns:
        Numbers by name.
    """
    return {
        "vocab": description.vocab_size,
        "hidden": description.hidden_size,
        "ffn": description.ffn_size,
        "positions": description.positions.rows,
        "token_types": 1,
        "labels": task.head.outputs if task.head else 0,
    }


def head_config(description: SourceDescription, task: Task) -> dict[str, object]:
    """Return the fields of config.json that speak of the head.

    Args:
        description: the source model.
        task: what the folder is for.

    Returns:
        The labels of a classification head; nothing for other tasks.
    """
    if task.kind is not TaskKind.SEQUENCE_CLASSIFICATION:
        return {}
    return {
        "id2label": {str(number): label for number, label in enumerate(task.labels)},
        "label2id": {label: number for number, label in enumerate(task.labels)},
        "problem_type": "regression" if task.regression else "single_label_classification",
    }
