"""The configuration: the documented fields with their documented defaults, validated, read from and written to JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from model.activations import ACTIVATIONS

CONFIG_FILE = "config.json"
MODEL_TYPE = "roberta-prelayernorm"


@dataclass
class RobertaPreLayerNormConfig:
    """What a model is made of. Names and defaults are those of Hugging Face's `RobertaPreLayerNormConfig`.

    `layer_norm_eps` keeps the documented default of 1e-12; every model trained by fairseq needs 1e-5, which is what a
    converted folder's config.json says. Keys this class does not know are kept in `extra` and written back.

    Raises:
        ValueError: naming every field that is out of range, at once.
    """

    vocab_size: int = 50265
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str | Callable[[Tensor], Tensor] = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 1
    bos_token_id: int = 0
    eos_token_id: int = 2
    classifier_dropout: float | None = None
    tie_word_embeddings: bool = True
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ValueError("the configuration cannot work: " + "; ".join(problems))

    def _problems(self) -> list[str]:
        sizes = (
            "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
            "max_position_embeddings", "type_vocab_size",
        )  # fmt: skip
        found = [
            f"{name} is {value!r}, not a positive integer"
            for name in sizes
            if type(value := getattr(self, name)) is not int or value < 1
        ]
        rates = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
        found += [
            f"{name} is {value!r}, not a rate from 0 to 1"
            for name in rates
            if (value := getattr(self, name)) is not None
            and not (isinstance(value, int | float) and 0.0 <= value <= 1.0)
        ]
        if not found and self.hidden_size % self.num_attention_heads:
            found.append(
                f"num_attention_heads={self.num_attention_heads} does not divide hidden_size={self.hidden_size}"
            )
        if isinstance(self.hidden_act, str) and self.hidden_act not in ACTIVATIONS:
            found.append(f"hidden_act is {self.hidden_act!r}, not one of {', '.join(ACTIVATIONS)} or a callable")
        return found

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RobertaPreLayerNormConfig:
        """The configuration a parsed config.json states; unknown keys go to `extra`."""
        known = {item.name for item in fields(cls)} - {"extra"}
        return cls(
            **{key: value for key, value in values.items() if key in known},
            extra={key: value for key, value in values.items() if key not in known},
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> RobertaPreLayerNormConfig:
        """Reads `folder/config.json`.

        Raises:
            ValueError: if the file is no JSON object or states another model type.
        """
        path = Path(folder) / CONFIG_FILE
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"{path} holds no JSON object")
        if values.get("model_type", MODEL_TYPE) != MODEL_TYPE:
            raise ValueError(f"{path} says model_type {values['model_type']!r}, not {MODEL_TYPE!r}")
        return cls.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """The content of config.json.

        Raises:
            ValueError: if `hidden_act` is a callable, which JSON cannot hold.
        """
        if not isinstance(self.hidden_act, str):
            raise ValueError("hidden_act is a callable; config.json can only hold the name of an activation")
        stated = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "extra"}
        return dict(sorted({**self.extra, **stated, "model_type": MODEL_TYPE}.items()))

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes `folder/config.json`."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        (Path(folder) / CONFIG_FILE).write_text(text, encoding="utf-8")
