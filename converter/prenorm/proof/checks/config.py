"""config.json, field by field, against what the checkpoint's model is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prenorm.mapping.plan import ConversionPlan
from prenorm.options import TaskKind

# What transformers takes where config.json is silent, for the fields that decide what is computed.
_COMMON: Mapping[str, object] = {
    "attention_probs_dropout_prob": 0.1, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1,
    "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "tie_word_embeddings": True, "classifier_dropout": None,
    "position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False, "problem_type": None,
}  # fmt: skip
_DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "roberta-prelayernorm": {
        **_COMMON, "vocab_size": 50265, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
        "intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
    },
    "xlm-roberta-xl": {
        **_COMMON, "vocab_size": 250880, "hidden_size": 2560, "num_hidden_layers": 36, "num_attention_heads": 32,
        "intermediate_size": 10240, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
    },
}  # fmt: skip
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
    "roberta-prelayernorm": "that architecture has a norm after the embeddings, and the checkpoint has none",
    "xlm-roberta-xl": "that architecture has no norm after the embeddings, and the checkpoint has one",
}


@dataclass(frozen=True)
class ExpectedConfig:
    """What config.json must say. `labels` are None where nobody has named them."""

    model_type: str
    architecture: str
    kind: TaskKind
    fields: Mapping[str, object]
    outputs: int
    labels: tuple[str, ...] | None

    @classmethod
    def of(cls, plan: ConversionPlan) -> ExpectedConfig:
        """What a plan's folder must say."""
        task = plan.task
        labels = task.labels if task.labels_given else None
        outputs = task.head.outputs if task.head else 0
        return cls(plan.model_type, plan.architecture, task.kind, plan.config, outputs, labels)


def check_config(config: Mapping[str, object], expected: ExpectedConfig, stored: Mapping[str, int]) -> Iterator[str]:
    """One sentence for every field that disagrees.

    Args:
        config: the folder's config.json.
        stored: how many tensors the folder has of each type.
    """
    model_type = config.get("model_type")
    if model_type != expected.model_type:
        why = _OTHER_TYPES.get(str(model_type), "it would load as another architecture")
        yield f"config: model_type is {model_type}, must be {expected.model_type}: {why}"
    if config.get("architectures") != [expected.architecture]:
        yield f"config: architectures is {config.get('architectures')}, must be ['{expected.architecture}']"
    defaults = _DEFAULTS[expected.model_type]
    for name, value in {**expected.fields, **_MUST_BE}.items():
        if name in _SKIPPED or (name == "tie_word_embeddings" and expected.kind is not TaskKind.MASKED_LM):
            continue
        found = config.get(name, defaults.get(name))
        if not _same(found, value):
            absent = "" if name in config else " (the default, where config.json does not say it)"
            yield f"config: {name} is {found}{absent}, must be {value}"
    yield from check_dtype(config, stored)
    if expected.kind is TaskKind.SEQUENCE_CLASSIFICATION:
        yield from _check_labels(config, expected)


def _same(found: object, wanted: object) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        return float(found) == float(wanted)
    return found == wanted


def check_dtype(config: Mapping[str, object], stored: Mapping[str, int]) -> Iterator[str]:
    """A sentence if the type that config.json names is not that of most tensors; `stored` counts the tensors by type."""
    found = str(config.get("dtype", config.get("torch_dtype"))).removeprefix("torch.")
    most = max(stored, key=lambda name: stored[name], default="float32")
    if found != most and not (found == "None" and most == "float32"):
        yield f"config: dtype is {found}, and the tensors are of type {most}"


def _check_labels(config: Mapping[str, object], expected: ExpectedConfig) -> Iterator[str]:
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
