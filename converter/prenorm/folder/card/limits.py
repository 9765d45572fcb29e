"""What the card says is not in the folder, and what is not known of the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prenorm.folder.card.names import PublicNames
from prenorm.options import TaskKind
from prenorm.reports.markdown_text import code

if TYPE_CHECKING:
    from prenorm.mapping.plan import ConversionPlan


def limits(plan: ConversionPlan, names: PublicNames, *, has_tokenizer: bool) -> list[str]:
    """The last two sections."""
    return [
        "## What is not in it",
        "",
        *(f"- {line}" for line in _left_out(plan, names, has_tokenizer)),
        "",
        "## Limits",
        "",
        *(f"- {line}" for line in _limits(plan)),
        "",
    ]


def _left_out(plan: ConversionPlan, names: PublicNames, has_tokenizer: bool) -> Iterator[str]:
    d = plan.description
    if plan.task.kind is not TaskKind.MULTIPLE_CHOICE:  # there the head's first map is the pooler
        yield (
            "No pooler: fairseq's RoBERTa has none. `AutoModel` would make one with random weights; "
            "`add_pooling_layer=False` leaves it out, and `last_hidden_state` needs none."
        )
    others = [head.name for head in d.heads if plan.task.head is None or head.name != plan.task.head.name]
    if others:
        listed = ", ".join(code(names.head(name)) for name in others)
        yield f"No other head: the checkpoint has {'one' if len(others) == 1 else len(others)} more, {listed}."
    if plan.task.kind is not TaskKind.MASKED_LM and d.lm_head:
        yield "No masked-LM head: the checkpoint has one, which this folder has no place for."
    if not has_tokenizer:
        yield "No tokenizer: token ids are rows of the training run's dictionary (`dict.txt`)."
    yield "No state of the optimizer: training can start from these weights, and not go on where it ended."


def _limits(plan: ConversionPlan) -> Iterator[str]:
    d = plan.description
    if d.deepspeed_kernels:
        yield (
            "Trained with DeepSpeed kernels, which compute GELU in its tanh form; this folder says "
            f"`hidden_act: {plan.config['hidden_act']}`. The float16 kernels themselves were not run for the comparison."
        )
    elif not d.activation_recorded:
        yield f"The checkpoint does not record its activation; `{plan.config['hidden_act']}`, fairseq's default, was assumed."
    if d.activation_dropout:
        yield (
            f"Trained with a dropout of {d.activation_dropout:g} inside the feed-forward block, which has no setting here: "
            "further training goes without."
        )
    yield (
        "The conversion proves that the folder computes what the checkpoint computes. How good that is, for which "
        "languages and texts, and which biases of its data the model repeats, it does not tell."
    )
    yield f"Texts of more than {d.longest_input} tokens must be cut; in a padded batch always pass the attention mask."
