"""The configuration: the documented fields with their documented defaults, validated, read from and written to JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from prenorm_model.hub import find_file

CONFIG_FILE = "config.json"
MODEL_TYPE = "roberta-prelayernorm"
XL_MODEL_TYPE = "xlm-roberta-xl"  # the same model without the norm after the embeddings
MODEL_TYPES = (MODEL_TYPE, XL_MODEL_TYPE)
POSITION_TYPES = ("absolute", "relative_key", "relative_key_query")
# The names that `hidden_act` can have, all that transformers knows of functions that fairseq can train (and of the documented
# silu); each framework has a function for every one of them.
ACTIVATIONS = (
    "gelu", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_python", "gelu_python_tanh", "gelu_pytorch_tanh", "linear",
    "relu", "relu2", "silu", "swish", "tanh",
)  # fmt: skip
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")

_SIZES = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "type_vocab_size",
)  # fmt: skip
_RATES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
# Fields that config.json states only where they are not the default.
_OPTIONAL = (
    "is_decoder", "add_cross_attention", "use_cache", "position_embedding_type", "problem_type", "output_attentions",
    "output_hidden_states", "return_dict",
)  # fmt: skip


@dataclass
class RobertaPreLayerNormConfig:
    """What a model is made of. Names and defaults are those of Hugging Face's `RobertaPreLayerNormConfig`.

    Attributes:
        vocab_size: rows of the word embeddings.
        hidden_size: width of the hidden states; a multiple of `num_attention_heads`.
        num_hidden_layers: number of layers.
        num_attention_heads: attention heads of a layer.
        intermediate_size: width of the feed-forward block.
        hidden_act: the feed-forward block's activation: one of `ACTIVATIONS`, or a function of the framework's arrays.
        hidden_dropout_prob: dropout after the embeddings and after each block, 0 to 1.
        attention_probs_dropout_prob: dropout of the attention weights, 0 to 1.
        max_position_embeddings: rows of the position table; the first `pad_token_id + 1` belong to no token of a text.
        type_vocab_size: rows of the token-type table.
        initializer_range: standard deviation of fresh weights.
        layer_norm_eps: added to the variance in every LayerNorm. The documented default is 1e-12; every model that
            fairseq trained needs 1e-5, which is what a converted folder's config.json says.
        pad_token_id: the pad's id, and the position id of pads.
        bos_token_id: the id of the token that begins a text.
        eos_token_id: the id of the token that ends a text.
        is_decoder: whether each position sees only itself and what is before it.
        add_cross_attention: whether the layers attend to an encoder's states too; needs `is_decoder`.
        use_cache: whether a decoder returns its keys and values.
        classifier_dropout: dropout of a classification head, 0 to 1; None: `hidden_dropout_prob`.
        tie_word_embeddings: whether the LM head's matrix is the word embeddings.
        position_embedding_type: one of `POSITION_TYPES`.
        num_labels: number of labels, where `id2label` does not say it; default: 2.
        id2label: the labels' names by number.
        label2id: the labels' numbers by name.
        problem_type: the loss of sequence classification, one of `PROBLEM_TYPES`; None: inferred from the labels.
        output_attentions: whether the models return attention weights.
        output_hidden_states: whether the models return every layer's output.
        return_dict: whether the models return an output object, and not a tuple.
        model_type: one of `MODEL_TYPES`.
        extra: what config.json holds beyond these fields, written back as it is.

    Raises:
        ValueError: naming every field that cannot work, at once.
    """

    vocab_size: int = 50265
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str | Callable[[Any], Any] = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 1
    bos_token_id: int = 0
    eos_token_id: int = 2
    is_decoder: bool = False
    add_cross_attention: bool = False
    use_cache: bool = True
    classifier_dropout: float | None = None
    tie_word_embeddings: bool = True
    position_embedding_type: str = "absolute"
    num_labels: int | None = None
    id2label: dict[int, str] | None = None
    label2id: dict[str, int] | None = None
    problem_type: str | None = None
    output_attentions: bool = False
    output_hidden_states: bool = False
    return_dict: bool = True
    model_type: str = MODEL_TYPE
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate the fields and complete the labels."""
        problems = [*self._size_problems(), *self._label_problems(), *self._choice_problems()]
        if problems:
            raise ValueError("the configuration cannot work: " + "; ".join(problems))
        self._complete_labels()

    @property
    def normalizes_embeddings(self) -> bool:
        """Whether a LayerNorm follows the embeddings; its absence is the one difference of `xlm-roberta-xl`."""
        return self.model_type != XL_MODEL_TYPE

    @property
    def head_dropout(self) -> float:
        """The dropout of a classification head: `classifier_dropout`, else `hidden_dropout_prob`."""
        return self.hidden_dropout_prob if self.classifier_dropout is None else self.classifier_dropout

    @property
    def label_count(self) -> int:
        """The number of labels."""
        assert self.num_labels is not None  # completed when the object was made
        return self.num_labels

    @property
    def longest_text(self) -> int:
        """The number of tokens that the position table takes; its first rows belong to the pad and what is below it."""
        return self.max_position_embeddings - self.pad_token_id - 1

    def infer_problem_type(self, *, are_labels_floating: bool) -> str:
        """Return the problem type of sequence classification: `problem_type`, else what the labels imply.

        Args:
            are_labels_floating: whether the labels' type is a floating-point one.

        Returns:
            One of `PROBLEM_TYPES`.
        """
        if self.problem_type is not None:
            return self.problem_type
        if self.label_count == 1:
            return "regression"
        return "multi_label_classification" if are_labels_floating else "single_label_classification"

    def _size_problems(self) -> list[str]:
        """Return what is wrong with sizes, rates and the pad."""
        problems = [
            f"{name} is {value!r}, not a positive integer"
            for name in _SIZES
            if type(value := getattr(self, name)) is not int or value < 1
        ]
        problems += [
            f"{name} is {value!r}, not a rate from 0 to 1"
            for name in _RATES
            if (value := getattr(self, name)) is not None
            and not (isinstance(value, int | float) and 0.0 <= value <= 1.0)
        ]
        if not isinstance(self.layer_norm_eps, int | float) or not self.layer_norm_eps > 0:
            problems.append(f"layer_norm_eps is {self.layer_norm_eps!r}, not a positive number")
        if problems:
            return problems
        if self.hidden_size % self.num_attention_heads:
            problems.append(
                f"num_attention_heads={self.num_attention_heads} does not divide hidden_size={self.hidden_size}"
            )
        if type(self.pad_token_id) is not int or not 0 <= self.pad_token_id < self.vocab_size:
            problems.append(f"pad_token_id is {self.pad_token_id!r}, not a row of the vocabulary of {self.vocab_size}")
        elif self.pad_token_id >= self.max_position_embeddings:
            problems.append(
                f"pad_token_id={self.pad_token_id} leaves no position: max_position_embeddings={self.max_position_embeddings}"
            )
        return problems

    def _label_problems(self) -> list[str]:
        """Return what is wrong with the labels and the problem type."""
        problems = []
        if self.num_labels is not None and (type(self.num_labels) is not int or self.num_labels < 1):
            problems.append(f"num_labels is {self.num_labels!r}, not a positive integer")
        elif self.num_labels is not None and self.id2label is not None and len(self.id2label) != self.num_labels:
            problems.append(f"num_labels={self.num_labels}, but id2label has {len(self.id2label)} labels")
        if self.problem_type not in (None, *PROBLEM_TYPES):
            problems.append(f"problem_type is {self.problem_type!r}, not one of {', '.join(PROBLEM_TYPES)}")
        return problems

    def _choice_problems(self) -> list[str]:
        """Return which fields do not hold one of the values that they can have."""
        problems = []
        if isinstance(self.hidden_act, str) and self.hidden_act not in ACTIVATIONS:
            problems.append(f"hidden_act is {self.hidden_act!r}, not one of {', '.join(ACTIVATIONS)} or a callable")
        if self.position_embedding_type not in POSITION_TYPES:
            problems.append(
                f"position_embedding_type is {self.position_embedding_type!r}, not one of {', '.join(POSITION_TYPES)}"
            )
        if self.model_type not in MODEL_TYPES:
            problems.append(f"model_type is {self.model_type!r}, not {' or '.join(MODEL_TYPES)}")
        if self.add_cross_attention and not self.is_decoder:
            problems.append("add_cross_attention=True needs is_decoder=True")
        return problems

    def _complete_labels(self) -> None:
        """Make `num_labels`, `id2label` and `label2id` agree; the keys of `id2label` are text where JSON stated them."""
        if self.id2label is None:
            count = 2 if self.num_labels is None else self.num_labels
            self.id2label = {number: f"LABEL_{number}" for number in range(count)}
            self.label2id = None
        self.id2label = {int(number): label for number, label in self.id2label.items()}
        if self.label2id is None:
            self.label2id = {label: number for number, label in self.id2label.items()}
        self.num_labels = len(self.id2label)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **changes: Any) -> RobertaPreLayerNormConfig:
        """Return the configuration that a parsed config.json states.

        A new `num_labels` that is not the old one takes the old labels' names away.

        Args:
            values: the content of config.json; keys that are no fields go to `extra`.
            **changes: fields to set in place of the stated ones.

        Returns:
            The configuration.

        Raises:
            ValueError: naming every field that cannot work, at once.
        """
        known = {item.name for item in fields(cls)} - {"extra"}
        merged = {**values, **changes}
        labels = merged.get("num_labels")
        if "id2label" not in changes and labels is not None and len(merged.get("id2label") or {}) != labels:
            merged["id2label"] = merged["label2id"] = None
        return cls(
            **{key: value for key, value in merged.items() if key in known},
            extra={key: value for key, value in merged.items() if key not in known},
        )

    @classmethod
    def from_pretrained(
        cls, folder_or_repo: str | Path, *, revision: str | None = None, **changes: Any
    ) -> RobertaPreLayerNormConfig:
        """Read config.json of a folder or a Hub repo.

        Args:
            folder_or_repo: a folder on disk, or a repo's id on the Hub.
            revision: branch, tag or commit of the repo.
            **changes: fields to set in place of the stated ones.

        Returns:
            The configuration.

        Raises:
            ValueError: if the file is no JSON object, states another model type, or cannot work.
            FileNotFoundError: if there is none.
        """
        path = find_file(folder_or_repo, CONFIG_FILE, revision=revision)
        if path is None:
            raise FileNotFoundError(f"{folder_or_repo} has no {CONFIG_FILE}")
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"{path} holds no JSON object")
        if values.get("model_type", MODEL_TYPE) not in MODEL_TYPES:
            raise ValueError(
                f"{path} says model_type {values['model_type']!r}, not {' or '.join(map(repr, MODEL_TYPES))}"
            )
        return cls.from_dict(values, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of config.json: the model's fields, the optional ones where they are not the default.

        Returns:
            Values that JSON can hold, sorted by key.

        Raises:
            ValueError: if `hidden_act` is a callable, which JSON cannot hold.
        """
        if not isinstance(self.hidden_act, str):
            raise ValueError("hidden_act is a callable; config.json can only hold the name of an activation")
        default_labels = self.id2label == {0: "LABEL_0", 1: "LABEL_1"}
        stated = {}
        for item in fields(self):
            value = getattr(self, item.name)
            optional = item.name in _OPTIONAL and value == item.default
            label = item.name == "num_labels" or (item.name in ("id2label", "label2id") and default_labels)
            if item.name != "extra" and not optional and not label:
                stated[item.name] = value
        return dict(sorted({**self.extra, **stated}.items()))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `folder/config.json`.

        Args:
            folder: an existing folder.

        Raises:
            ValueError: if `hidden_act` is a callable, which JSON cannot hold.
        """
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        (Path(folder) / CONFIG_FILE).write_text(text, encoding="utf-8")
