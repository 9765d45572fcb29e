"""The configuration: the documented fields with their documented defaults, validated, read from and written to JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from prenorm_model.config_attributes import check_names
from prenorm_model.config_file import ConfigFile

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
FLOAT_TYPES = ("bfloat16", "float16", "float32", "float64")

_NUMBERS = ("initializer_range", "layer_norm_eps")


def _is_size(value: object) -> bool:
    return type(value) is int and value > 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value) and value >= 0


def _is_rate(value: Any) -> bool:
    return _is_number(value) and value <= 1


def _is_token(value: object) -> bool:
    return value is None or type(value) is int


def _is_one_or_more_tokens(value: object) -> bool:
    return all(type(item) is int for item in value) if isinstance(value, list) else _is_token(value)


def _is_names(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value != {}
        and all(str(key).isdigit() and isinstance(name, str) for key, name in value.items())
    )


def _is_numbers(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) and type(item) is int for key, item in value.items())


# What the fields can hold.
_KINDS: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (
        (
            "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
            "max_position_embeddings", "type_vocab_size",
        ),
        _is_size, "a positive integer",
    ),
    (("hidden_dropout_prob", "attention_probs_dropout_prob"), _is_rate, "a rate from 0 to 1"),
    (("classifier_dropout",), lambda value: value is None or _is_rate(value), "a rate from 0 to 1"),
    (("layer_norm_eps",), lambda value: _is_number(value) and value > 0, "a positive number"),
    (("initializer_range",), _is_number, "a number from 0 on"),
    (("pad_token_id",), lambda value: type(value) is int, "the number of a row of the vocabulary"),
    (("bos_token_id",), _is_token, "a token's number"),
    (("eos_token_id",), _is_one_or_more_tokens, "a token's number, or a list of such"),
    (
        (
            "is_decoder", "add_cross_attention", "use_cache", "tie_word_embeddings", "output_attentions",
            "output_hidden_states", "return_dict",
        ),
        lambda value: type(value) is bool, "True or False",
    ),
    (("hidden_act",), lambda act: act in ACTIVATIONS or callable(act), f"one of {', '.join(ACTIVATIONS)} or a callable"),
    (("position_embedding_type",), lambda value: value in POSITION_TYPES, f"one of {', '.join(POSITION_TYPES)}"),
    (("problem_type",), lambda value: value in (None, *PROBLEM_TYPES), f"one of {', '.join(PROBLEM_TYPES)}"),
    (("dtype",), lambda value: value in (None, *FLOAT_TYPES), f"one of {', '.join(FLOAT_TYPES)}"),
)  # fmt: skip


@check_names
@dataclass
class RobertaPreLayerNormConfig(ConfigFile):
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
        eos_token_id: the id of the token that ends a text, or of several.
        position_embedding_type: one of `POSITION_TYPES`.
        use_cache: whether a decoder returns its keys and values.
        classifier_dropout: dropout of a classification head, 0 to 1; None: `hidden_dropout_prob`.
        is_decoder: whether each position sees only itself and what is before it.
        add_cross_attention: whether the layers attend to an encoder's states too; needs `is_decoder`.
        tie_word_embeddings: whether the LM head's matrix is the word embeddings.
        num_labels: number of labels, where `id2label` does not say it; default: 2.
        id2label: the labels' names by number.
        label2id: the labels' numbers by name.
        problem_type: the loss of sequence classification, one of `PROBLEM_TYPES`; None: inferred from the labels.
        output_attentions: whether the models return attention weights.
        output_hidden_states: whether the models return every layer's output.
        return_dict: whether the models return an output object, and not a tuple.
        dtype: the type of the weights, one of `FLOAT_TYPES` or the framework's own; None: as stored.
        model_type: one of `MODEL_TYPES`.
        extra: what config.json holds beyond these fields, written back as it is.

    Raises:
        TypeError: naming every keyword that is unknown, at once.
        ValueError: naming every field that cannot work, at once.
    """

    optional: ClassVar[frozenset[str]] = frozenset({
        "is_decoder", "add_cross_attention", "use_cache", "position_embedding_type", "problem_type", "output_attentions",
        "output_hidden_states", "return_dict", "dtype",
    })  # fmt: skip

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
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2
    position_embedding_type: str = "absolute"
    use_cache: bool = True
    classifier_dropout: float | None = None
    is_decoder: bool = False
    add_cross_attention: bool = False
    tie_word_embeddings: bool = True
    # By a factory, so that the class has no such attribute, and `__getattr__` is asked.
    num_labels: int | None = field(default_factory=lambda: None)
    id2label: dict[int, str] | None = None
    label2id: dict[str, int] | None = None
    problem_type: str | None = None
    output_attentions: bool = False
    output_hidden_states: bool = False
    return_dict: bool = True
    dtype: str | None = None
    model_type: str = MODEL_TYPE
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate the fields and complete the labels."""
        self.validate()
        self._complete_labels()

    def __getattr__(self, name: str) -> Any:
        """Return what is no field; the number of labels is that of their names."""
        if name == "num_labels":
            return None if self.id2label is None else len(self.id2label)
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _NUMBERS and type(value) is int:
            value = float(value)  # transformers 5 reads no integer there
        is_label = self._is_made and name in ("num_labels", "id2label", "label2id")
        if is_label and name == "id2label":
            super().__setattr__("label2id", None)  # it follows; whoever wants another one sets it afterwards
        super().__setattr__(name, value)
        if is_label:
            if problems := self._label_problems():
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
        assert self.id2label is not None  # completed when the object was made
        return len(self.id2label)

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

    def problems(self) -> list[str]:
        """Return what cannot work, a part of a sentence for each.

        Returns:
            The problems; empty where there is none.
        """
        if self.model_type not in MODEL_TYPES:  # then nothing else is what it should be
            return [f"model_type is {self.model_type!r}, not {' or '.join(MODEL_TYPES)}"]
        wrong = [
            f"{name} is {value!r}, not {meaning}"
            for names, fits, meaning in _KINDS
            for name in names
            if not fits(value := getattr(self, name))
        ]
        labels = self._label_problems()
        if not labels and self.id2label is not None and self.num_labels not in (None, len(self.id2label)):
            labels = [f"num_labels={self.num_labels}, but id2label has {len(self.id2label)} labels"]
        return [*wrong, *([] if wrong else self._relation_problems()), *labels, *super().problems()]

    def _relation_problems(self) -> list[str]:
        """Return which fields do not go together."""
        problems = []
        if self.hidden_size % self.num_attention_heads:
            problems.append(
                f"num_attention_heads={self.num_attention_heads} does not divide hidden_size={self.hidden_size}"
            )
        if not 0 <= self.pad_token_id < self.vocab_size:
            problems.append(f"pad_token_id is {self.pad_token_id!r}, not a row of the vocabulary of {self.vocab_size}")
        elif self.pad_token_id >= self.max_position_embeddings:
            problems.append(
                f"pad_token_id={self.pad_token_id} leaves no position: max_position_embeddings={self.max_position_embeddings}"
            )
        if self.add_cross_attention and not self.is_decoder:
            problems.append("add_cross_attention=True needs is_decoder=True")
        return problems

    def _label_problems(self) -> list[str]:
        """Return what is wrong with the labels and the problem type."""
        if self.id2label is not None and not _is_names(self.id2label):
            return [f"id2label is {self.id2label!r}, not names by number"]
        problems = []
        if self.num_labels is not None and not _is_size(self.num_labels):
            problems.append(f"num_labels is {self.num_labels!r}, not a positive integer")
        if self.label2id is not None and not _is_numbers(self.label2id):
            problems.append(f"label2id is {self.label2id!r}, not numbers by name")
        return problems

    def _complete_labels(self) -> None:
        """Make `id2label` as long as `num_labels` was last set to, and `label2id` its inverse where nobody has set it.

        From then on `num_labels` is no attribute of its own. The keys of `id2label` are text where JSON stated them.
        """
        count = self.__dict__.pop("num_labels", None)
        names = self.id2label
        if names is None or count not in (None, len(names)):
            if names is not None:
                self.__dict__["label2id"] = None
            names = {number: f"LABEL_{number}" for number in range(count or 2)}
        names = self.__dict__["id2label"] = {int(number): label for number, label in names.items()}
        if self.label2id is None:
            self.__dict__["label2id"] = {label: number for number, label in names.items()}

    @classmethod
    def _merged(cls, stated: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
        """Return the stated fields with some changed; another number of labels takes the names of the old ones away."""
        names, count = stated.get("id2label") or (), changed.get("num_labels")
        labels = {"num_labels"} if names else set()  # of both in config.json, transformers believes the names
        if changed.get("id2label") is not None or count not in (None, len(names)):
            labels = {"num_labels", "id2label", "label2id"}
        return {**{name: value for name, value in stated.items() if name not in labels}, **changed}

    def to_dict(self) -> dict[str, Any]:
        """Return everything that this configuration says, the defaults too; the number of labels is that of their names.

        Returns:
            The values by name, sorted.
        """
        values = super().to_dict()
        del values["num_labels"]
        return values

    def to_diff_dict(self) -> dict[str, Any]:
        """Return the content of config.json: the fields, the optional ones where they are not the default.

        Returns:
            The values by name, sorted.

        Raises:
            ValueError: if `hidden_act` is a callable, which JSON cannot hold, or the labels are none that transformers reads.
        """
        if not isinstance(self.hidden_act, str):
            raise ValueError("hidden_act is a callable; config.json can only hold the name of an activation")
        if self.problem_type == "single_label_classification" and self.num_labels == 1:
            raise ValueError(
                "problem_type is single_label_classification, and there is one label: transformers reads no such config.json"
            )
        values = super().to_diff_dict()
        if self.id2label == {0: "LABEL_0", 1: "LABEL_1"} and self.label2id == {"LABEL_0": 0, "LABEL_1": 1}:
            del values["id2label"], values["label2id"]
        return values
