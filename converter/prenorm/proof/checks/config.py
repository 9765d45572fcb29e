"""config.json, field by field, against what the checkpoint's model is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prenorm.folder.published import Published
from prenorm.mapping.plan import ConversionPlan
from prenorm.mapping.targets import Target, target_of_type
from prenorm.options import TaskKind
from prenorm.reports.model import Check

# Set here and not by the checkpoint: these make another model of the same weights.
_MUST_BE: Mapping[str, object] = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}
# What a checkpoint does not decide, or a check of its own looks at.
_SKIPPED = ("architectures", "model_type", "dtype", "initializer_range", "id2label", "label2id", "classifier_dropout")
_OTHER_TYPES = {
    "roberta": "AutoModel would load it as RoBERTa with LayerNorm behind each block (post-LayerNorm), and it would "
    "compute something else from the same weights, without a word",
    "xlm-roberta": "AutoModel would load it as XLM-RoBERTa, a post-LayerNorm model",
}


@dataclass(frozen=True)
class ExpectedConfig:
    """What config.json must say.

    Attributes:
        target: the architecture.
        architecture: transformers' class.
        kind: what the folder is for.
        fields: every field that decides what is computed.
        outputs: of the classification head.
        labels: their names; None where nobody has named them.
    """

    target: Target
    architecture: str
    kind: TaskKind
    fields: Mapping[str, object]
    outputs: int
    labels: tuple[str, ...] | None

    @classmethod
    def of(cls, plan: ConversionPlan) -> ExpectedConfig:
        """Return what a plan's folder must say.

        Args:
            plan: the plan.

        Returns:
            The fields, and the head's labels.
        """
        task = plan.task
        labels = task.labels if task.labels_given else None
        outputs = task.head.outputs if task.head else 0
        return cls(plan.target, plan.architecture, task.kind, plan.config, outputs, labels)


def check_config(published: Published, expected: ExpectedConfig) -> tuple[Check, list[str]]:
    """Hold a folder's config.json against what the checkpoint's model is.

    Args:
        published: the folder.
        expected: what it must say.

    Returns:
        The check, and one sentence for every field that disagrees.
    """
    sentences = list(_sentences(published, expected))
    return Check("config", not sentences, {"disagreements": len(sentences)}), sentences


def _sentences(published: Published, expected: ExpectedConfig) -> Iterator[str]:
    """Yield one sentence for every field that disagrees."""
    config = published.config
    model_type = config.get("model_type")
    if model_type != expected.target.model_type:
        yield f"config: model_type is {model_type}, must be {expected.target.model_type}: {_why_not(model_type)}"
    if config.get("architectures") != [expected.architecture]:
        yield f"config: architectures is {config.get('architectures')}, must be ['{expected.architecture}']"
    defaults = expected.target.defaults
    for name, value in {**expected.fields, **_MUST_BE}.items():
        if name in _SKIPPED or (name == "tie_word_embeddings" and expected.kind is not TaskKind.MASKED_LM):
            continue
        stated = config.get(name, defaults.get(name))
        if not _same(stated, value):
            absent = "" if name in config else " (the default, where config.json does not say it)"
            yield f"config: {name} is {stated}{absent}, must be {value}"
    yield from check_dtype(published)
    if expected.kind is TaskKind.SEQUENCE_CLASSIFICATION:
        yield from _check_labels(config, expected)


def _why_not(model_type: object) -> str:
    """Return what comes of a folder that says it is of another type than it must be."""
    target = target_of_type(model_type)
    return target.mistaken if target else _OTHER_TYPES.get(str(model_type), "it would load as another architecture")


def _same(stated: object, wanted: object) -> bool:
    """Return whether two values mean the same to transformers: 1 is 1.0, and no number is True."""
    if isinstance(stated, bool) or isinstance(wanted, bool):
        return stated is wanted
    if isinstance(stated, int | float) and isinstance(wanted, int | float):
        return float(stated) == float(wanted)
    return stated == wanted


def check_dtype(published: Published) -> Iterator[str]:
    """Hold the type that config.json names against that of most tensors.

    Args:
        published: the folder.

    Yields:
        A sentence if they differ.
    """
    config, counts = published.config, Counter(item.dtype for item in published.tensors.values())
    stated = str(config.get("dtype", config.get("torch_dtype"))).removeprefix("torch.")
    most = max(counts, key=counts.__getitem__, default="float32")
    if stated != most and not (stated == "None" and most == "float32"):
        yield f"config: dtype is {stated}, and the tensors are of type {most}"


def _check_labels(config: Mapping[str, object], expected: ExpectedConfig) -> Iterator[str]:
    """Yield a sentence for every disagreement of the labels."""
    names = config.get("id2label")
    count = expected.outputs
    if not isinstance(names, dict) or len(names) != count:
        yield f"config: id2label has {len(names) if isinstance(names, dict) else 2} labels, the head has {count} outputs"
        return
    if expected.labels is not None and [names.get(str(n)) for n in range(count)] != list(expected.labels):
        yield f"config: id2label is {list(names.values())}, the label dictionary says {list(expected.labels)}"
    numbers = config.get("label2id")
    turned = {label: int(number) for number, label in names.items()}
    if isinstance(numbers, dict) and numbers != turned:
        yield f"config: label2id is {numbers}, which is not id2label turned round"
