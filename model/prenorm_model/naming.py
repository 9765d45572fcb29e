"""Names of weights in files: those of `roberta-prelayernorm` are the modules' own, those of `xlm-roberta-xl` are renamed.

The rules are ordered pairs; the first one that matches a key applies. Turned round they lead back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from prenorm_model.config import XL_MODEL_TYPE
from prenorm_model.torch.base import BASE_PREFIX

# The module's name, and the name in an xlm-roberta-xl folder, below the prefix of the headless model.
_XL_RULES = (
    ("encoder.layer.{n}.attention.LayerNorm.", "encoder.layer.{n}.attention.self_attn_layer_norm."),
    ("encoder.layer.{n}.crossattention.LayerNorm.", "encoder.layer.{n}.crossattention.self_attn_layer_norm."),
    ("encoder.layer.{n}.intermediate.LayerNorm.", "encoder.layer.{n}.LayerNorm."),
    ("LayerNorm.", "encoder.LayerNorm."),
)
_XL_PREFIX = "roberta"


def to_module(name: str, model_type: str) -> str:
    """The module's name of the weight that a folder of that type stores as `name`."""
    if model_type != XL_MODEL_TYPE:
        return name
    return _rename(name, _XL_PREFIX, BASE_PREFIX, ((there, here) for here, there in _XL_RULES))


def to_file(name: str, model_type: str) -> str:
    """The name under which a folder of that type stores the weight that the module calls `name`."""
    if model_type != XL_MODEL_TYPE:
        return name
    return _rename(name, BASE_PREFIX, _XL_PREFIX, _XL_RULES)


def _rename(name: str, old_prefix: str, new_prefix: str, rules: Iterable[tuple[str, str]]) -> str:
    inner = name.removeprefix(f"{old_prefix}.")
    prefix = f"{new_prefix}." if inner != name else ""
    for old, new in rules:
        pattern = re.escape(old).replace(r"\{n\}", r"(\d+)")
        found = re.match(pattern, inner)
        if found:
            number = found[1] if found.groups() else ""
            return prefix + new.replace("{n}", number) + inner[found.end() :]
    return prefix + inner
