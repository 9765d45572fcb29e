"""What a folder is for: the masked LM, one of the classification heads, or the encoder alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prenorm.errors import NotRepresentable, UsageProblem
from prenorm.options import AUTO, TaskKind
from prenorm.options.spoken import spoken
from prenorm.source.description import SourceDescription
from prenorm.source.sizes import HeadDescription
from prenorm.source.training import UNKNOWN, trained_kind
from prenorm.tokenization.dictionary import read_labels

_USES_HEAD = (TaskKind.SEQUENCE_CLASSIFICATION, TaskKind.MULTIPLE_CHOICE)


@dataclass(frozen=True)
class Task:
    """What the folder is for; `why` says how that was decided. `labels` name the outputs of `head`."""

    kind: TaskKind
    why: str
    head: HeadDescription | None = None
    labels: tuple[str, ...] = ()
    labels_given: bool = False
    regression: bool = False


def choose_task(
    description: SourceDescription, wanted: str = AUTO, head_name: str | None = None, label_dict: Path | None = None
) -> Task:
    """Choose the task of the folder.

    Args:
        description: the model.
        wanted: one of `options.TASKS`; `auto` is what the checkpoint was trained for.
        head_name: which classification head, where there are several.
        label_dict: fairseq's dictionary of labels.

    Returns:
        The task, with its head and labels.

    Raises:
        UsageProblem: if the checkpoint has no such head, or has several and none is named, or the labels do not fit.
        NotRepresentable: if the target cannot hold the head.
    """
    kind, why = (TaskKind(wanted), spoken("task", wanted)) if wanted != AUTO else _trained_for(description, head_name)
    if kind not in _USES_HEAD:
        _refuse_head_options(kind, why, head_name, label_dict)
        if kind is TaskKind.MASKED_LM and not description.lm_head:
            raise UsageProblem(
                "the checkpoint has no masked-LM head ('encoder.lm_head.dense.weight' is missing)",
                advice=f"Choose {spoken('task', 'encoder')}, or a head it has",
            )
        return Task(kind, why)
    head = _head(description, head_name)
    _check_head(description, head, kind)
    if kind is TaskKind.MULTIPLE_CHOICE:
        if label_dict is not None:
            raise UsageProblem(
                f"{spoken('label_dict')} is for classification; a choice has no labels", advice="Leave it out"
            )
        return Task(kind, why, head)
    trained = description.trained_head
    regression = description.regression and (trained is None or trained.name == head.name)
    if regression and label_dict is not None:
        raise UsageProblem(
            f"{spoken('label_dict')} is for classes; this head was trained on numbers", advice="Leave it out"
        )
    labels = read_labels(label_dict, head.outputs) if label_dict else tuple(f"LABEL_{n}" for n in range(head.outputs))
    return Task(kind, why, head, labels, label_dict is not None, regression)


def _trained_for(description: SourceDescription, head_name: str | None) -> tuple[TaskKind, str]:
    trained = description.trained_head
    if trained is not None and description.heads:
        return trained.kind, trained.why
    kind = trained_kind(description.task, description.criterion)
    if head_name is not None or (description.heads and kind is not TaskKind.MASKED_LM):
        raise _unknown_training(description)
    if description.lm_head:
        return TaskKind.MASKED_LM, f"the checkpoint was trained for {description.task}"
    return TaskKind.ENCODER, "the checkpoint has no head that a target holds"


def _unknown_training(description: SourceDescription) -> UsageProblem:
    """Return the error for heads that may be for anything."""
    heads = f"its classification heads ({', '.join(head.name for head in description.heads) or 'none'})"
    if description.task == UNKNOWN or not description.heads:
        return UsageProblem(f"what {heads} were trained for is not recorded", advice=_say_the_task())
    names = f"task {description.task}"
    if description.criterion != UNKNOWN:
        names += f" and criterion {description.criterion}"
    return UsageProblem(
        f"it is not known what {heads} were trained for: the checkpoint records {names}",
        advice=f"{_say_the_task()}. A head that labels single tokens has no place in a folder",
    )


def _say_the_task() -> str:
    return f"Say it with {spoken('task', 'sequence-classification')} or multiple-choice (or masked-lm, or encoder)"


def _refuse_head_options(kind: TaskKind, why: str, head_name: str | None, label_dict: Path | None) -> None:
    for option, value in (("head", head_name), ("label_dict", label_dict)):
        if value is not None:
            raise UsageProblem(
                f"{spoken(option)} is for classification heads, and this conversion is {kind.value} ({why})",
                advice=f"Leave it out, or choose another {spoken('task')}",
            )


def _head(description: SourceDescription, name: str | None) -> HeadDescription:
    names = [head.name for head in description.heads]
    if not names:
        raise UsageProblem(
            "the checkpoint has no classification head",
            advice=f"fairseq keeps them as 'classification_heads.NAME.*'; choose {spoken('task', 'masked-lm')} or encoder",
        )
    if name is None and len(names) > 1:
        raise UsageProblem(
            f"the checkpoint has {len(names)} classification heads: {', '.join(names)}",
            advice=f"Choose one with {spoken('head', ...)}",
        )
    if name is not None and name not in names:
        raise UsageProblem(
            f"the checkpoint has no classification head '{name}', only {', '.join(names)}",
            advice=f"Choose one of them with {spoken('head', ...)}",
        )
    return description.heads[0 if name is None else names.index(name)]


def _check_head(description: SourceDescription, head: HeadDescription, kind: TaskKind) -> None:
    at = f"classification_heads.{head.name}"
    advice = f"Convert the encoder alone, with {spoken('task', 'encoder')}"
    if head.inner_size != description.hidden_size:
        raise NotRepresentable(
            f"'{at}.dense.weight' makes {head.inner_size} values of {description.hidden_size}; in Hugging Face's heads it "
            "is as wide as the encoder",
            advice=advice,
        )
    if description.pooler_activation != "tanh":
        raise NotRepresentable(
            f"head '{head.name}' was trained with pooler_activation_fn={description.pooler_activation}; Hugging Face's "
            "heads always use tanh",
            advice=advice,
        )
    if head.outputs < 1:
        raise UsageProblem(f"the head has no '{at}.out_proj.weight'", advice=advice)
    if kind is TaskKind.MULTIPLE_CHOICE and head.outputs != 1:
        raise NotRepresentable(
            f"head '{head.name}' has {head.outputs} outputs; a choice among texts needs one score for each text",
            advice=f"It is a classifier: choose {spoken('task', 'sequence-classification')}",
        )
