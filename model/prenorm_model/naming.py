"""Names of weights in files: those of `roberta-prelayernorm` are the model's own, those of `xlm-roberta-xl` are renamed.

The rules are ordered pairs; the first one that matches a key applies. Turned round they lead back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from prenorm_model.config import XL_MODEL_TYPE, RobertaPreLayerNormConfig

# The name under which a model with a head holds the headless one.
BASE_PREFIX = "roberta_prelayernorm"

# The model's name, and the name in an xlm-roberta-xl folder, below the prefix of the headless model.
_XL_RULES = (
    ("encoder.layer.{n}.attention.LayerNorm.", "encoder.layer.{n}.attention.self_attn_layer_norm."),
    ("encoder.layer.{n}.crossattention.LayerNorm.", "encoder.layer.{n}.crossattention.self_attn_layer_norm."),
    ("encoder.layer.{n}.intermediate.LayerNorm.", "encoder.layer.{n}.LayerNorm."),
    ("LayerNorm.", "encoder.LayerNorm."),
)
_XL_PREFIX = "roberta"


def to_module(name: str, model_type: str) -> str:
    """Return the model's name of a stored weight.

    Args:
        name: the name in the folder.
        model_type: the folder's `model_type`.

    Returns:
        The name in the model's state dict.
    """
    if model_type != XL_MODEL_TYPE:
        return name
    return _rename(name, _XL_PREFIX, BASE_PREFIX, ((stored, module) for module, stored in _XL_RULES))


def to_file(name: str, model_type: str) -> str:
    """Return the name under which a folder stores a weight.

    Args:
        name: the name in the model's state dict.
        model_type: the folder's `model_type`.

    Returns:
        The name in the folder.
    """
    if model_type != XL_MODEL_TYPE:
        return name
    return _rename(name, BASE_PREFIX, _XL_PREFIX, _XL_RULES)


def architecture(class_name: str, config: RobertaPreLayerNormConfig) -> str:
    """Return the class's name in config.json: transformers calls the model without embedding norm XLMRobertaXL.

    Args:
        class_name: the class's name in this package, whichever framework's it is.
        config: the model's configuration.

    Returns:
        The entry of `architectures`.
    """
    class_name = class_name.removeprefix("Flax").removeprefix("TF")
    return class_name if config.normalizes_embeddings else class_name.replace("RobertaPreLayerNorm", "XLMRobertaXL")


def tied_names(config: RobertaPreLayerNormConfig) -> dict[str, str]:
    """Return the tied weights of a language model's head: its bias always, its matrix where the config ties it.

    Args:
        config: says what is tied.

    Returns:
        The name under which each is saved, by its own name, the alias.
    """
    tied = {"lm_head.decoder.bias": "lm_head.bias"}
    if config.tie_word_embeddings:
        tied["lm_head.decoder.weight"] = f"{BASE_PREFIX}.embeddings.word_embeddings.weight"
    return tied


def _rename(name: str, old_prefix: str, new_prefix: str, rules: Iterable[tuple[str, str]]) -> str:
    """Return `name` with its prefix replaced, and its beginning by the first rule that matches."""
    inner = name.removeprefix(f"{old_prefix}.")
    prefix = f"{new_prefix}." if inner != name else ""
    for old, new in rules:
        matched = re.match(re.escape(old).replace(r"\{n\}", r"(\d+)"), inner)
        if matched:
            number = matched[1] if matched.groups() else ""
            return prefix + new.replace("{n}", number) + inner[matched.end() :]
    return prefix + inner
