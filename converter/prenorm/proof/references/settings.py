"""What a reference is given of a checkpoint: its tensors in the folder's type, and what the tensors cannot tell."""

from __future__ import annotations

from collections.abc import Mapping

from prenorm.checkpoint.tensors import SourceTensor
from prenorm.mapping.understood import Prepared
from prenorm.proof.references.builtin import ReferenceSettings
from prenorm.rules.derived import cast
from prenorm.source.description import SourceDescription


def settings_of(description: SourceDescription) -> ReferenceSettings:
    """Return a described model's settings in fairseq's terms.

    Args:
        description: the source model.

    Returns:
        The settings of `BuiltinReference`.
    """
    return ReferenceSettings(
        attention_heads=description.attention_heads,
        activation=description.activation,
        head_activation=description.head_activation,
        pad=description.pad_id,
        positions=description.positions.kind,
        position_rows=description.positions.rows,
        scaled=description.scaled_embedding,
        layers=description.layers_kept,
    )


def is_rounded(prepared: Prepared, dtype: str) -> bool:
    """Return whether a folder stores the checkpoint's numbers in another floating-point type.

    Args:
        prepared: the checkpoint.
        dtype: the folder's type.

    Returns:
        False also for types that a model is not rounded to.
    """
    return dtype != prepared.description.dtype and dtype in ("float32", "float16", "bfloat16")


def tensors_as_stored(prepared: Prepared, dtype: str) -> Mapping[str, SourceTensor]:
    """Return the source tensors in the folder's type, so that what is left of a difference is the mapping's.

    Args:
        prepared: the checkpoint.
        dtype: the folder's type.

    Returns:
        The tensors under the checkpoint's own names; they are read when they are used.
    """
    if not is_rounded(prepared, dtype):
        return prepared.tensors
    return {name: cast(tensor, dtype) for name, tensor in prepared.tensors.items()}
